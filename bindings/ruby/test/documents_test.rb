# frozen_string_literal: true

require_relative "helper"
require "securerandom"

# The published documentation's examples in their order, with another URL. Its RSpec example is
# in `spec/`, its initializer for Rails in `rails_test.rb`.
class DocumentsTest < StreamTest
  # Collects what the examples print.
  def puts(text)
    (@printed ||= []) << text
  end

  def save_offset(offset)
    (@saved ||= []) << offset
  end
  alias save_checkpoint save_offset

  # Closes the stream once somebody follows it, so that the example comes to its end.
  def close_when_followed(stream)
    Thread.new do
      wait_for_readers(1)
      stream.close
    end
  end

  def test_01_quick_start
    # Create a client
    client = DurableStreams::Client.new(base_url: @server.url)
    stream = client.stream("/my-stream")
    # Create the stream
    stream.create(content_type: "application/json")
    # Append data
    stream.append({ message: "hello" }.to_json)
    closer = close_when_followed(stream)
    # Read data
    stream.read(offset: "-1", live: :long_poll).each do |batch|
      batch.items.each do |item|
        puts "Item: #{item}"
      end
      # Save checkpoint
      save_offset(batch.offset)
    end
    closer.join
    assert_equal ["Item: #{{ 'message' => 'hello' }}"], @printed
    assert_equal stream.head.offset, @saved.last
  end

  def test_02_client
    client = DurableStreams::Client.new(
      base_url: @server.url,
      headers: {
        "Authorization" => "Bearer token123",
        "X-Request-ID" => -> { SecureRandom.uuid }
      },
      timeout: 60
    )
    assert_kind_of DurableStreams::Stream, client.stream("/events").create
    value = DurableStreams::Client.open(base_url: @server.url) do |opened|
      stream = opened.stream("/events")
      assert_predicate stream, :exists?
      :value
    end # auto-closes
    assert_equal :value, value
  end

  def test_03_factories
    stream = DurableStreams::Stream.create(
      "#{@server.url}/events",
      content_type: "application/json",
      ttl_seconds: 86_400 # 24 hours
    )
    assert_equal 86_400, stream.head.ttl_seconds
    assert_equal stream.url, DurableStreams::Stream.connect("#{@server.url}/events").url
    assert_raises(DurableStreams::StreamNotFoundError) { DurableStreams::Stream.connect("#{@server.url}/nothing") }
    error = assert_raises(DurableStreams::StreamExistsError) { DurableStreams::Stream.create("#{@server.url}/events", content_type: "text/plain") }
    assert_equal [409, "CONFLICT_EXISTS"], [error.status_code, error.code]
    later = Time.at(4_000_000_000).utc
    DurableStreams::Stream.create("#{@server.url}/until", expires_at: later)
    assert_equal later, Time.iso8601(DurableStreams::Stream.connect("#{@server.url}/until").head.expires_at)
  end

  def test_04_writing
    stream = json_stream("/events")
    # JSON stream - pass hash (auto-encoded)
    result = stream.append({ message: "hello" })
    puts "Offset: #{result[:next_offset]}"
    # Or pre-encode JSON
    stream.append('{"message":"hello"}')
    # With sequence
    result = stream.append({ message: "world" }, seq: "seq-001")
    assert_equal stream.head[:offset], result[:next_offset]
    assert_raises(DurableStreams::SeqConflictError) { stream.append({}, seq: "seq-001") }
    # Byte stream
    bytes = @client.stream("/raw").create(content_type: "application/octet-stream")
    bytes.append("raw bytes")
    assert_equal "raw bytes", bytes.read_bytes.text
    closed = stream.close
    assert_equal stream.head[:offset], closed[:final_offset]
    assert_raises(DurableStreams::StreamClosedError) { stream.close(data: {}) }
    bytes.delete
    assert_raises(DurableStreams::StreamNotFoundError) { bytes.delete }
  end

  def test_05_reading
    json_stream("/json").append({ message: "hello" })
    @client.stream("/bytes").create(content_type: :bytes).append("raw bytes")
    %w[/json /bytes].each do |path|
      stream = @client.stream(path)
      last_offset = "-1"
      closer = close_when_followed(stream)
      stream.read(offset: last_offset, live: :long_poll).each do |batch|
        # For JSON streams
        if batch.respond_to?(:items)
          batch.items.each do |item|
            puts "Item: #{item.inspect}"
          end
        else
          # For byte streams
          puts "Got #{batch.data.bytesize} bytes" unless batch.empty?
        end
        # Save checkpoint
        save_checkpoint(batch.offset)
      end
      closer.join
      assert_equal stream.head.offset, @saved.last
    end
    assert_equal ["Item: #{{ 'message' => 'hello' }.inspect}", "Got 9 bytes"], @printed
  end

  def test_06_reading_json_and_metadata
    stream = json_stream("/events")
    stream.append({ id: 1, type: "created" })
    closer = close_when_followed(stream)
    stream.read_json(live: :long_poll).each do |item|
      puts "Event #{item['id']}: #{item['type']}"
    end
    closer.join
    assert_equal ["Event 1: created"], @printed
    head = stream.head
    assert_equal ["application/json", true], [head[:content_type], head[:stream_closed]]
    assert_kind_of String, head[:offset]
    assert_raises(DurableStreams::StreamNotFoundError) { @client.stream("/nothing").head }
  end

  def test_07_producer
    stream = json_stream
    producer = DurableStreams::Producer.new(
      stream: stream,
      producer_id: "order-service-1",
      epoch: 0,
      auto_claim: true,
      max_batch_bytes: 1024 * 1024,
      linger_ms: 5
    )
    # Fire-and-forget writes
    producer.append({ orderId: "123" }.to_json)
    producer.append({ orderId: "456" }.to_json)
    # Ensure delivery
    producer.flush
    producer.close
    assert_equal(%w[123 456], stream.read_json.map { |order| order["orderId"] })
    refute_predicate stream.head, :closed?
    other = DurableStreams::Producer.new(stream: stream, producer_id: "order-service-2")
    assert_equal stream.head[:offset], other.close_stream[:final_offset]
  end

  def explain(stream, data)
    stream.append(data)
  rescue DurableStreams::StreamClosedError => e
    puts "Stream is closed: #{e.url}"
  rescue DurableStreams::SeqConflictError
    puts "Sequence conflict"
  rescue DurableStreams::StreamNotFoundError => e
    puts "Stream not found: #{e.url}"
  rescue DurableStreams::DurableStreamError => e
    puts "Error #{e.status_code}: #{e.message}"
  end

  def test_08_errors
    explain(@client.stream("/nothing", content_type: :json), 1)
    stream = json_stream("/events")
    @server.inject_fault("/events", status: 418)
    explain(stream, 1)
    stream.close
    explain(stream, 1)
    assert_equal ["Stream not found: #{@server.url}/nothing", "Stream is closed: #{@server.url}/events"], @printed.values_at(0, 2)
    assert_match(/\AError 418: /, @printed[1])
  end

  def test_09_error_hierarchy
    %i[StreamNotFoundError StreamExistsError StreamClosedError SeqConflictError StaleEpochError UnauthorizedError
       ForbiddenError RateLimitedError].each do |name|
      assert_operator DurableStreams.const_get(name), :<, DurableStreams::DurableStreamError
    end
    { 401 => DurableStreams::UnauthorizedError, 403 => DurableStreams::ForbiddenError,
      429 => DurableStreams::RateLimitedError }.each do |status, error_class|
      @server.inject_fault("/x", status: status, count: 20)
      patient = DurableStreams::RetryPolicy.new(max_retries: 0)
      client = DurableStreams::Client.new(base_url: @server.url, retry_policy: patient)
      assert_equal status, assert_raises(error_class) { client.stream("/x").head }.status_code
      @server.clear_faults
    end
  end

  def test_10_block_form_and_callables
    asked = []
    DurableStreams::Client.open(
      base_url: @server.url,
      headers: {
        "Authorization" => -> { asked << :token && "Bearer #{fetch_token}" },
        "X-Request-ID" => -> { SecureRandom.uuid }
      }
    ) do |client|
      stream = client.stream("/events")
      stream.create(content_type: "application/json")
      stream.append({ event: "test" })
      assert_equal [{ "event" => "test" }], stream.read_all
    end # auto-closes client
    assert_equal 3, asked.size
  end

  def fetch_token = "t"

  def process_order(item) = item["id"] * 10

  def save_result(result) = puts(result)

  def test_11_enumerable_chaining
    stream = json_stream("/events")
    stream.append({ type: "order.created", id: 1 })
    stream.append({ type: "other", id: 2 })
    closer = close_when_followed(stream)
    stream.read_json(live: :long_poll)
          .lazy
          .select { |item| item["type"] == "order.created" }
          .map { |item| process_order(item) }
          .each { |result| save_result(result) }
    closer.join
    assert_equal [10], @printed
  end

  def test_12_thread_safety
    # Client is thread-safe
    client = DurableStreams::Client.new(base_url: @server.url)
    threads = 10.times.map do |i|
      Thread.new do
        stream = client.stream("/stream-#{i}")
        stream.create(content_type: "application/json")
        stream.append({ index: i })
      end
    end
    threads.each(&:join)
    10.times { |i| assert_equal [{ "index" => i }], client.stream("/stream-#{i}").read_all }
  end

  # The examples of this gem's own README, one after the other.
  def test_13_readme
    text = File.read(File.expand_path("../README.md", __dir__))
    blocks = text.scan(/^```ruby\n(.*?)^```$/m).flatten.reject { |block| block.match?(/RSpec\.describe|Minitest::Test/) }
    assert_operator blocks.size, :>=, 3
    program = blocks.join("\n").gsub("http://localhost:4437/v1/stream", @server.url)
    closer = Thread.new do
      wait_for_readers(1)
      @client.stream("/meters").close
    end
    instance_eval(program, "README.md")
    closer.join
    assert_equal 1003, @client.stream("/meters").read_all.size
  end
end
