# frozen_string_literal: true

# Where Ruby finds the gem: in this checkout, or, when it is said so, where it is installed.
LIBRARY = ENV["DURABLE_STREAMS_INSTALLED"] ? [] : ["-I", File.expand_path("../lib", __dir__)]
$LOAD_PATH.unshift(LIBRARY.last) unless LIBRARY.empty?

require "minitest/autorun"
require "timeout"
require "durable_streams/testing"

# A server per test, and a client of it.
class StreamTest < Minitest::Test
  def setup
    @server = DurableStreams::Testing::Server.start(long_poll_timeout_ms: 20_000)
    @client = DurableStreams::Client.new(base_url: @server.url)
  end

  def teardown
    @server.stop
  end

  def json_stream(path = "/s", client: @client, **options)
    client.stream(path, **options).create(content_type: :json)
  end

  # Waits until that many live reads have reached the server.
  def wait_for_readers(count)
    Timeout.timeout(10) { Thread.pass until @server.live_readers == count }
  end
end
