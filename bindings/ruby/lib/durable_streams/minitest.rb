# frozen_string_literal: true

require "minitest"
require "durable_streams/testing"
require_relative "testing/shared"

module DurableStreams
  module Testing
    # For test classes of Minitest, Rails' among them: a server, empty before each test.
    #
    #     class EventServiceTest < Minitest::Test
    #       include DurableStreams::Testing::Minitest
    #
    #       def test_events_are_published
    #         stream = streams_client.stream("/events").create(content_type: :json)
    #         EventService.new(stream).publish("event" => "test")
    #         assert_stream_messages [{ "event" => "test" }], stream
    #       end
    #     end
    module Minitest
      # @return [Server]
      def streams_server
        Shared.server
      end

      # @return [String] what a client's `base_url:` is
      def streams_url
        streams_server.streams_url
      end

      # @return [Client]
      def streams_client
        @streams_client ||= Client.new(base_url: streams_url)
      end

      # Fails unless a stream holds exactly these messages, in this order.
      # @param expected [Array]
      # @param stream [Stream]
      def assert_stream_messages(expected, stream)
        assert_equal(expected, stream.read_all.map { |message| message.is_a?(ByteChunk) ? message.data : message })
      end

      # Fails unless a message was appended to a path through the mock transport.
      # @param path [String]
      # @param data [Object] the message; any when absent
      def assert_appended_to(path, data = (any = true))
        matcher = Matchers::AppendedTo.new(path)
        matcher.with(data) unless any
        found = matcher.matches?(Testing)
        assert(found, (matcher.failure_message unless found))
      end

      # Empties the server.
      # @api private
      def after_teardown
        super
      ensure
        Shared.clean {}
      end
    end
  end
end

Minitest.after_run { DurableStreams::Testing::Shared.stop }
