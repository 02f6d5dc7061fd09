# frozen_string_literal: true

require_relative "helper"
require "stringio"

# The example for Rails, with as much of Rails as it touches.
class RailsTest < StreamTest
  EXAMPLE = File.expand_path("../examples/rails", __dir__)

  # What the controller writes to.
  class Browser
    attr_reader :written

    def initialize = @written = []
    def write(items, id:) = @written << [id, items]
    def close = nil
  end

  def setup
    super
    @logged = StringIO.new
    rails = Module.new
    logger = Logger.new(@logged)
    rails.define_singleton_method(:logger) { logger }
    Object.const_set(:Rails, rails)
    ENV["STREAMS_URL"] = @server.url
    ENV["STREAMS_TOKEN"] = "t"
    load "#{EXAMPLE}/config/initializers/durable_streams.rb"
    load "#{EXAMPLE}/app/services/event_publisher.rb"
  end

  def teardown
    DurableStreams.logger = nil
    %i[Rails RAILS_DURABLE_STREAMS EventPublisher ActionController ApplicationController EventsController].each do |name|
      Object.send(:remove_const, name) if Object.const_defined?(name)
    end
    super
  end

  def test_the_initializer_and_the_publisher
    2.times { EventPublisher.prepare }
    EventPublisher.publish({ "type" => "order.created" })
    assert_equal [{ "type" => "order.created" }], @client.stream("/events").read_all
    RAILS_DURABLE_STREAMS.stream("/events").close
    assert_match(/ending .*events/, @logged.string)
  end

  def test_the_controller_passes_on_what_a_browser_has_not_seen
    EventPublisher.prepare
    seen = EventPublisher.publish({ "n" => 1 }).offset
    EventPublisher.publish({ "n" => 2 })
    RAILS_DURABLE_STREAMS.stream("/events").close
    browser = Browser.new
    controller(browser, "Last-Event-ID" => seen).index
    assert_equal([[{ "n" => 2 }]], browser.written.map(&:last))
    assert_equal @client.stream("/events").head.offset, browser.written.last.first
  end

  def controller(browser, headers)
    live = Module.new
    live.const_set(:SSE, Class.new { define_singleton_method(:new) { |_| browser } })
    live.const_set(:ClientDisconnected, Class.new(StandardError))
    base = Class.new do
      define_method(:request) { Struct.new(:headers).new(headers) }
      define_method(:response) { @response ||= Struct.new(:headers, :stream).new({}, nil) }
    end
    Object.const_set(:ActionController, Module.new).const_set(:Live, live)
    Object.const_set(:ApplicationController, base)
    load "#{EXAMPLE}/app/controllers/events_controller.rb"
    EventsController.new
  end
end
