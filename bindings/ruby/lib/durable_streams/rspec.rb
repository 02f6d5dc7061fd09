# frozen_string_literal: true

require "rspec/core"
require "rspec/expectations"
require "durable_streams/testing"
require_relative "testing/shared"

# Examples tagged `:durable_streams` get a server, which is empty before each of them:
#
#     RSpec.describe EventService, :durable_streams do
#       let(:stream) { streams_client.stream("/test-stream").create(content_type: :json) }
#
#       it "publishes events" do
#         EventService.new(stream).publish("event" => "test")
#         expect(stream).to have_messages(include("event" => "test"))
#       end
#     end
#
# With `durable_streams: :mock` the mock transport is installed instead, for programs whose URLs
# are their own.
RSpec.shared_context "with a durable streams server" do
  # The server, a {DurableStreams::Testing::Server}.
  let(:streams_server) { DurableStreams::Testing::Shared.server }
  # What a client's `base_url:` is.
  let(:test_server_url) { streams_server.streams_url }
  let(:streams_client) { DurableStreams::Client.new(base_url: test_server_url) }

  around do |example|
    DurableStreams::Testing::Shared.clean { example.run }
  end
end

RSpec.shared_context "with a durable streams mock" do
  # The {DurableStreams::Testing::MockTransport}.
  let(:streams_mock) { DurableStreams::Testing.mock_transport }

  around do |example|
    DurableStreams::Testing.install!
    example.run
  ensure
    DurableStreams::Testing.reset!
  end
end

# Matches a stream that holds exactly these messages, in this order; each may be a matcher.
RSpec::Matchers.define :have_messages do |*expected|
  match do |stream|
    @actual = stream.read_all.map { |message| message.is_a?(DurableStreams::ByteChunk) ? message.data : message }
    values_match?(expected, @actual)
  end
  failure_message { |stream| "expected #{stream.inspect} to hold #{expected.inspect}, but it holds #{@actual.inspect}" }
end

RSpec.configure do |config|
  config.include DurableStreams::Testing::Matchers
  config.include_context "with a durable streams server", durable_streams: true
  config.include_context "with a durable streams mock", durable_streams: :mock
  config.after(:suite) { DurableStreams::Testing::Shared.stop }
end
