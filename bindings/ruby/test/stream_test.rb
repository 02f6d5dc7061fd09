# frozen_string_literal: true

require_relative "helper"
require "stringio"

class OperationsTest < StreamTest
  def test_results_answer_to_methods_and_to_names
    stream = json_stream
    result = stream.append({ "message" => "hello" })
    assert_equal result.next_offset, result[:next_offset]
    assert_predicate result, :frozen?
    refute_predicate result, :duplicate?
    head = stream.head
    assert_equal [result.next_offset, "application/json", false],
                 [head[:offset], head[:content_type], head[:stream_closed]]
  end

  def test_an_array_is_one_message_and_append_all_is_several
    stream = json_stream
    stream << [1, 2] << '{"a":1}' << { "b" => nil }
    stream.append_all([3, [4]])
    assert_equal [[1, 2], { "a" => 1 }, { "b" => nil }, 3, [4]], stream.read_all
  end

  def test_append_all_is_one_request
    stream = json_stream
    assert_nil stream.append_all([])
    before = stream.append_all([{ "a" => 1 }, "[2]", 3]).next_offset
    assert_equal [[{ "a" => 1 }, [2], 3]], stream.read.reject(&:empty?).map(&:items)
    assert_raises(ArgumentError) { stream.append_all(["1],[2", 3]) }
    assert_raises(ArgumentError) { stream.append_all([1, nil]) }
    assert_equal before, stream.head.offset
    @client.stream("/b").create(content_type: :bytes)
    bytes = @client.stream("/b")
    bytes.append_all(%w[ab c])
    assert_equal "abc", bytes.read_bytes.body
  end

  def test_data_in_the_making_is_one_append
    text = @client.stream("/text").create(content_type: "text/plain")
    text.append_stream(%w[ab c])
    text.append_stream(StringIO.new("d" * 200_000))
    IO.pipe do |reader, writer|
      Thread.new { writer << "ef" and writer.close }
      text.append_stream(reader, seq: "1")
    end
    assert_equal "abc#{'d' * 200_000}ef", text.read.map(&:data).join
    stream = json_stream
    result = stream.append_stream(Enumerator.new { |pieces| pieces << '[1,{"a"' << ":2}" << "]" })
    assert_equal [[1, { "a" => 2 }], result.next_offset], [stream.read_all, stream.head.offset]
  end

  def test_data_that_cannot_be_made_is_not_appended
    stream = json_stream
    made = []
    broken = Enumerator.new do |pieces|
      pieces << "[1,"
      made << Thread.current
      raise IOError, "no more"
    end
    assert_equal "no more", assert_raises(IOError) { stream.append_stream(broken) }.message
    assert_equal [Thread.current], made
    assert_raises(ArgumentError) { stream.append_stream([1, 2]) }
    assert_raises(ArgumentError) { stream.append_stream(5) }
    assert_raises(ArgumentError) { stream.append_stream(["1"], producer_id: "p") }
    assert_raises(Timeout::Error) { Timeout.timeout(0.2) { stream.append_stream(Enumerator.new { |_| sleep }) } }
    assert_empty stream.read_all
  end

  def test_batches_answer_to_methods_names_and_patterns
    stream = json_stream
    stream.append_all([1, 2, 3])
    batch = stream.read.first
    assert_equal [3, 2, true], [batch.size, batch[1], batch.up_to_date?]
    assert_equal [batch.next_offset, [1, 2, 3], "[1,2,3]"], [batch["offset"], batch[:items], batch.text]
    assert_equal [2, 4, 6], batch.map { |n| n * 2 }
    assert_equal [3], batch.select(&:odd?).drop(1)
    case batch
    in { items: [first, *], offset: String }
      assert_equal 1, first
    end
    case stream.append(4)
    in { next_offset: String => offset, duplicate: false }
      assert_equal stream.head.offset, offset
    end
  end

  def test_a_reader_tells_of_its_answer
    stream = json_stream
    stream.append(1)
    reader = stream.read(headers: { "X-Read" => "yes" }, params: { "trace" => 7 }, timeout: 5)
    assert_equal [1], reader.flat_map(&:items)
    assert_equal ["application/json", 200], [reader.content_type, reader.status]
    assert_equal reader.next_offset, reader.headers["stream-next-offset"]
    assert_predicate reader, :up_to_date?
    refute_predicate reader, :stream_closed?
    @server.inject_fault("/s", delay_ms: 2_000, count: 20)
    impatient = DurableStreams::Client.new(base_url: @server.url, retry_policy: DurableStreams::RetryPolicy.new(max_retries: 0))
    assert_raises(DurableStreams::TimeoutError) { impatient.stream("/s").read(timeout: 0.1).to_a }
    @server.clear_faults
  end

  def test_what_a_creation_answered_is_kept
    stream = json_stream
    assert_equal [true, 201, "application/json"], [stream.created.new?, stream.created.status, stream.created[:content_type]]
    assert_equal [false, 200], stream.create(content_type: :json).created.to_h.values_at(:is_new, :status)
    assert_equal [1, 2], @client.stream("/forked").create(fork_from: "/s").append_all([1, 2]).then { @client.stream("/forked").read_all }
  end

  def test_other_statuses_to_repeat_are_accepted_with_a_warning
    logged = StringIO.new
    DurableStreams.logger = Logger.new(logged)
    DurableStreams::RetryPolicy.new(retryable_statuses: [418])
    assert_match(/retryable_statuses/, logged.string)
  ensure
    DurableStreams.logger = nil
  end

  def test_bytes_come_back_as_they_went
    stream = @client.stream("/b").create(content_type: :bytes)
    data = (0..255).map(&:chr).join.b
    stream.append(data)
    assert_equal data, stream.read_bytes.body
    chunk = stream.read.first
    refute_respond_to chunk, :items
    assert_equal Encoding::BINARY, chunk.data.encoding
  end

  def test_reading_goes_on_from_an_offset
    stream = json_stream
    stream.append(1)
    batch = stream.read.first
    stream.append(2)
    assert_equal [2], stream.read_json(offset: batch.offset).to_a
  end

  def test_readers_are_lazy_enumerables_iterated_once
    stream = json_stream
    5.times { |n| stream.append(n) }
    assert_equal [0, 4], stream.read_json.lazy.select(&:even?).map { |n| n * 2 }.first(2)
    assert_equal 0, stream.each.next
    reader = stream.read
    assert_equal 5, reader.first.size
    assert_predicate reader, :closed?
    assert_raises(DurableStreams::AlreadyConsumedError) { reader.to_a }
  end

  def test_what_is_closed_can_be_closed_again_and_not_used
    stream = json_stream
    reader = stream.read
    2.times { assert_nil reader.close }
    assert_raises(DurableStreams::ClosedError) { reader.to_a }
    assert_equal(:value, stream.read { |open| open.first && :value })
    client = DurableStreams::Client.new(base_url: @server.url)
    2.times { assert_nil client.close }
    assert_predicate client, :closed?
    %i[stream connect create].each { |name| assert_raises(DurableStreams::ClosedError) { client.public_send(name, "/s") } }
    2.times { @server.stop }
  end

  def test_a_live_read_ends_when_the_stream_is_closed
    %i[long_poll sse auto].each do |live|
      stream = json_stream("/live-#{live}")
      stream.append(1)
      reading = Thread.new { stream.read_json(live: live).to_a }
      wait_for_readers(1)
      stream.append(2)
      stream.close(data: 3)
      assert_equal [1, 2, 3], reading.value
      wait_for_readers(0)
    end
  end

  def test_close_ends_the_stream_and_raises_only_with_data
    stream = json_stream
    stream.append(1)
    offset = stream.close[:final_offset]
    assert_equal offset, stream.close_stream.final_offset
    assert_raises(DurableStreams::StreamClosedError) { stream.close(data: 2) }
    error = assert_raises(DurableStreams::StreamClosedError) { stream.append(2) }
    assert_equal [409, 409, "STREAM_CLOSED"], [error.status_code, error.status, error.code]
    assert_predicate stream.head, :closed?
  end

  def test_errors_have_a_class_each
    stream = @client.stream("/missing")
    error = assert_raises(DurableStreams::StreamNotFoundError) { stream.head }
    assert_equal [404, "NOT_FOUND", stream.url], [error.status, error.code, error.url]
    refute_predicate stream, :exists?
    json_stream("/s")
    assert_raises(DurableStreams::StreamExistsError) { @client.stream("/s").create(content_type: :bytes) }
    @client.stream("/s").append(1, seq: "b")
    assert_raises(DurableStreams::SeqConflictError) { @client.stream("/s").append(1, seq: "a") }
    { 401 => DurableStreams::UnauthorizedError, 403 => DurableStreams::ForbiddenError }.each do |status, error_class|
      @server.inject_fault("/s", status: status)
      assert_raises(error_class) { @client.stream("/s").head }
    end
    assert_same DurableStreams::Error, DurableStreams::DurableStreamError
  end

  def test_a_plain_append_survives_a_failing_server
    stream = json_stream
    @server.inject_fault("/s", status: 503, count: 2, method: "POST")
    stream.append(1)
    assert_equal [1], stream.read_all
  end

  def test_open_returns_the_value_of_its_block
    assert_equal 7, DurableStreams::Client.open(base_url: @server.url) { 7 }
    client = DurableStreams::Client.open(base_url: @server.url)
    client.close
    assert_raises(DurableStreams::ClosedError) { client.stream("/s") }
  end

  def test_class_methods
    url = "#{@server.url}/made"
    DurableStreams::Stream.create(url, content_type: "application/json", ttl_seconds: 86_400)
    assert DurableStreams::Stream.exists?(url)
    DurableStreams::Stream.connect(url).append(1)
    assert_equal 86_400, DurableStreams::Stream.connect(url).head.ttl_seconds
    DurableStreams.append(url, 2)
    assert_equal [1, 2], DurableStreams.read(url, format: :json).to_a
    DurableStreams.stream(url).delete
    assert_raises(DurableStreams::StreamNotFoundError) { DurableStreams::Stream.connect(url) }
  end
end
