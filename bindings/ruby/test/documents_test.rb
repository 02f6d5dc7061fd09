# frozen_string_literal: true

require_relative "helper"

# The published documentation's examples in their order, with another URL.
class DocumentsTest < StreamTest
  def test_the_quick_start
    client = DurableStreams::Client.new(base_url: @server.url)
    stream = client.stream("/my-stream")
    stream.create(content_type: "application/json")
    stream.append({ message: "hello" }.to_json)
    items = []
    saved = []
    closer = Thread.new do
      wait_for_readers(1)
      stream.close
    end
    stream.read(offset: "-1", live: :long_poll).each do |batch|
      batch.items.each { |item| items << "Item: #{item}" }
      saved << batch.offset
    end
    closer.join
    assert_equal ["Item: #{{ 'message' => 'hello' }}"], items
    assert_equal stream.head.offset, saved.last
  end

  def test_the_stream_examples
    stream = DurableStreams::Stream.create("#{@server.url}/events", content_type: "application/json", ttl_seconds: 86_400)
    result = stream.append({ message: "hello" })
    assert_equal stream.head[:offset], result[:next_offset]
    stream.append('{"message":"hello"}')
    stream.append({ message: "world" }, seq: "seq-001")
    seen = []
    last_offset = "-1"
    stream.read(offset: last_offset).each do |batch|
      if batch.respond_to?(:items)
        batch.items.each { |item| seen << item["message"] }
      else
        flunk "a JSON stream has items"
      end
      last_offset = batch.offset
    end
    assert_equal %w[hello hello world], seen
    bytes = DurableStreams::Stream.create("#{@server.url}/raw", content_type: "application/octet-stream")
    bytes.append("raw bytes")
    assert_equal [9], bytes.read.reject(&:empty?).map { |chunk| chunk.data.bytesize }
  end

  def test_the_producer_example
    stream = json_stream
    producer = DurableStreams::Producer.new(
      stream: stream, producer_id: "order-service-1", epoch: 0, auto_claim: true,
      max_batch_bytes: 1024 * 1024, linger_ms: 5
    )
    producer.append({ orderId: "123" }.to_json)
    producer.append({ orderId: "456" }.to_json)
    producer.flush
    producer.close
    assert_equal(%w[123 456], stream.read_json.map { |order| order["orderId"] })
  end

  def test_the_chain_and_the_errors
    stream = json_stream("/events")
    stream.append({ type: "order.created", id: 1 })
    stream.append({ type: "other", id: 2 })
    stream.close
    results = []
    stream.read_json(live: :long_poll).lazy.select { |item| item["type"] == "order.created" }
          .map { |item| item["id"] }.each { |result| results << result }
    assert_equal [1], results
    text = begin
      stream.append({ late: true })
    rescue DurableStreams::StreamClosedError => e
      "Stream is closed: #{e.url}"
    rescue DurableStreams::DurableStreamError => e
      "Error #{e.status_code}: #{e.message}"
    end
    assert_equal "Stream is closed: #{@server.url}/events", text
  end

  def test_the_test_example
    json_stream("/test-stream").append({ event: "test" })
    items = @client.stream("/test-stream").read.first.items
    assert_includes items, { "event" => "test" }
  end
end
