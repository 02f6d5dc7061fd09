# frozen_string_literal: true

require_relative "helper"
require "durable_streams/minitest"

# The mock transport, from the side of a program that knows nothing of it.
class MockTransportTest < Minitest::Test
  include DurableStreams::Testing::Minitest

  URL = "https://streams.example.com/v1/stream/orders"
  PATH = "/v1/stream/orders"

  def setup
    @mock = DurableStreams::Testing.install!
  end

  def teardown
    DurableStreams::Testing.reset!
    refute DurableStreams::Testing.installed?
  end

  def test_requests_to_any_host_are_written_down_and_answered
    assert DurableStreams::Testing.installed?
    orders = DurableStreams.create(URL)
    orders.append({ id: 7 }, headers: { "X-Trace" => "t" })
    assert_equal [{ "id" => 7 }], orders.read_all
    assert_equal([["PUT", 201], ["POST", 204], ["GET", 200]], @mock.requests.map { |request| [request.method, request.status] })
    post = DurableStreams::Testing.requests[1]
    assert_equal [PATH, URL, "t", '[{"id":7}]'], [post.path, post.url, post.headers["x-trace"], post.body]
    assert_equal [{ "id" => 7 }], DurableStreams::Testing.messages_for(PATH)
    assert_appended_to PATH, { id: 7 }
    assert_raises(Minitest::Assertion) { assert_appended_to PATH, { id: 8 } }
    assert_raises(Minitest::Assertion) { assert_appended_to "/other" }
  end

  def test_an_answer_can_be_given
    @mock.on(:post, PATH, status: 401, body: "no")
    DurableStreams.create(URL)
    error = assert_raises(DurableStreams::UnauthorizedError) { DurableStreams.append(URL, { id: 1 }) }
    assert_equal [401, URL, 1, "no"], [error.status, error.url, error.attempts, error.server_text]
    assert_empty DurableStreams::Testing.messages_for(PATH)
  end

  def test_streams_can_be_there_already
    @mock.seed_stream(PATH, [{ id: 1 }, [2]])
    assert_empty @mock.requests
    assert_equal [{ "id" => 1 }, [2]], DurableStreams.stream(URL).read_all
  end

  def test_paths_need_no_base_url_and_producers_go_the_same_way
    stream = DurableStreams.create("/events")
    DurableStreams::Producer.open(stream: stream, producer_id: "p") { |producer| producer << { a: 1 } }
    assert_equal [{ "a" => 1 }], DurableStreams::Testing.messages_for("/events")
    assert_equal "http://durable-streams.test/events", stream.url
    DurableStreams::Testing.clear!
    assert_empty @mock.requests
    refute_predicate stream, :exists?
  end

  def test_live_reads_work
    stream = DurableStreams.create("/live")
    reading = Thread.new { stream.read_json(live: :sse).to_a }
    stream.append(1)
    stream.close
    assert_equal [1], reading.value
  end
end

# The helper for Minitest with a server.
class MinitestHelperTest < Minitest::Test
  include DurableStreams::Testing::Minitest

  # Both find the server empty, whichever comes first.
  %w[one other].each do |name|
    define_method("test_#{name}_finds_an_empty_server") do
      stream = streams_client.stream("/events").create(content_type: :json)
      assert_stream_messages [], stream
      stream.append({ name: name })
      assert_stream_messages [{ "name" => name }], stream
      assert_raises(Minitest::Assertion) { assert_stream_messages [], stream }
    end
  end

  def test_without_the_mock_its_questions_are_refused
    error = assert_raises(RuntimeError) { DurableStreams::Testing.messages_for("/x") }
    assert_match(/install!/, error.message)
  end
end
