# frozen_string_literal: true

require_relative "helper"

# What no signature allows.
class ArgumentsTest < StreamTest
  def test_arguments_are_refused_by_name_before_anything_is_sent
    assert_raises(ArgumentError) { DurableStreams::Stream.new(" ") }
    assert_raises(ArgumentError) { DurableStreams::Stream.new("/path") }
    stream = json_stream
    assert_match(/live/, assert_raises(ArgumentError) { stream.read(live: :bogus) }.message)
    assert_match(/data/, assert_raises(ArgumentError) { stream.append("") }.message)
    assert_match(/data/, assert_raises(ArgumentError) { stream.append("{") }.message)
    assert_raises(ArgumentError) { stream.append(Object.new) }
    assert_equal [], stream.read_all
  end

  def test_a_message_that_is_refused_is_told_and_not_taken
    stream = json_stream
    producer = DurableStreams::Producer.new(stream: stream, producer_id: "p")
    [nil, :symbol, Object.new, "{", "", [Float::NAN]].each { |data| assert_raises(ArgumentError) { producer << data } }
    assert_raises(ArgumentError) { producer.append_all([1, 2, nil, 3]) }
    producer.flush
    assert_equal [1, 2], stream.read_all
    assert_equal [0, 0, 0, stream.head.offset],
                 [producer.pending, producer.pending_bytes, producer.in_flight, producer.acknowledged_offset]
    producer.close
  end
end
