# frozen_string_literal: true

require_relative "helper"

class ProducerTest < StreamTest
  def test_everything_is_stored_once_in_order_although_the_network_breaks
    stream = json_stream
    @server.inject_fault("/s", drop_connection: true, count: 2, method: "POST")
    DurableStreams::Producer.open(stream: stream, producer_id: "p", max_batch_items: 10) do |producer|
      200.times { |n| producer << { n: n }.to_json }
    end
    assert_equal (0...200).to_a, stream.read_json.map { |item| item["n"] }
    refute_predicate stream.head, :closed?
  end

  def test_hashes_text_and_whole_arrays_of_messages_are_taken
    stream = json_stream
    DurableStreams::Producer.open(stream: stream, producer_id: "p", max_queued_messages: 50) do |producer|
      producer << { n: 0, "at" => Time.at(0).utc } << '{"n":1}' << [2]
      producer.append_all(Array.new(500) { |n| { n: n } })
    end
    items = stream.read_all
    assert_equal [{ "n" => 0, "at" => Time.at(0).utc.to_s }, { "n" => 1 }, [2]], items.first(3)
    assert_equal((0...500).to_a, items.drop(3).map { |item| item["n"] })
  end

  def test_headers_of_a_producer_may_be_callables
    tokens = Queue.new
    DurableStreams::Testing.install!
    stream = DurableStreams.create("/s")
    headers = { "X-Token" => -> { "t".tap { |token| tokens << token } }, "X-Static" => 1 }
    DurableStreams::Producer.open(stream: stream, producer_id: "p", headers: headers) { |producer| producer << 1 }
    post = DurableStreams::Testing.requests.last
    assert_equal %w[POST t 1], [post.method, post.headers["x-token"], post.headers["x-static"]]
    assert_equal 1, tokens.size
  ensure
    DurableStreams::Testing.reset!
  end

  def test_many_threads_share_a_producer
    stream = json_stream
    DurableStreams::Producer.open(stream: stream, producer_id: "p", max_queued_messages: 100) do |producer|
      Array.new(5) { |t| Thread.new { 200.times { |n| producer << [t, n] } } }.each(&:join)
    end
    stored = stream.read_all
    5.times { |t| assert_equal (0...200).to_a, stored.select { |thread, _| thread == t }.map(&:last) }
  end

  def test_append_with_a_result
    producer = DurableStreams::Producer.new(stream: json_stream, producer_id: "p")
    result = producer.append!(1)
    assert_equal [0, 0, false], [result.seq, result.epoch, result.duplicate?]
    assert_equal 1, producer.seq
    producer.close
    assert_raises(DurableStreams::ClosedError) { producer.append(2) }
    assert_nil producer.close
  end

  def test_a_flush_raises_what_went_wrong_under_both_names
    stream = json_stream
    DurableStreams::Producer.new(stream: stream, producer_id: "p", epoch: 2).tap { |newer| newer.append!(1) }.close
    told = Queue.new
    late = DurableStreams::Producer.new(stream: stream, producer_id: "p", epoch: 1, on_error: told.method(:push))
    late.append(2)
    error = assert_raises(DurableStreams::StaleEpochError) { late.flush }
    assert_kind_of DurableStreams::ProducerError, error
    assert_equal 2, error.current_epoch
    assert_kind_of DurableStreams::StaleEpochError, Timeout.timeout(10) { told.pop }
    assert_equal [1], stream.read_all
  end

  def test_auto_claim_takes_over
    stream = json_stream
    DurableStreams::Producer.open(stream: stream, producer_id: "p", epoch: 3) { |old| old << 1 }
    DurableStreams::Producer.open(stream: stream, producer_id: "p", auto_claim: true) do |producer|
      producer << 2
      producer.flush
      assert_equal 4, producer.epoch
    end
    assert_equal [1, 2], stream.read_all
  end

  def test_the_first_error_of_a_block_wins
    stream = json_stream
    error = assert_raises(RuntimeError) do
      DurableStreams::Producer.open(stream: stream, producer_id: "p") do |producer|
        producer << 1
        raise "mine"
      end
    end
    assert_equal "mine", error.message
    assert_equal [1], stream.read_all
  end

  def test_closing_the_stream_twice_returns_the_same
    stream = json_stream
    producer = DurableStreams::Producer.new(stream: stream, producer_id: "p")
    producer << 1
    closed = producer.close_stream(data: 2)
    assert_equal closed[:final_offset], producer.close_stream(data: 2).final_offset
    assert_equal [1, 2], stream.read_json(live: :long_poll).to_a
  end

  def test_settings_are_refused_by_name
    stream = json_stream
    assert_raises(ArgumentError) { DurableStreams::Producer.new(producer_id: "p") }
    error = assert_raises(ArgumentError) { DurableStreams::Producer.new(stream: stream, producer_id: "p", epoch: -1) }
    assert_match(/epoch/, error.message)
    error = assert_raises(ArgumentError) { DurableStreams::Producer.new(stream: stream, producer_id: "p", next_seq: 3) }
    assert_match(/next_seq/, error.message)
  end
end
