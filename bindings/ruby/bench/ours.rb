# frozen_string_literal: true

# Our gem: `ours.rb WHAT SERVER`.
$LOAD_PATH.unshift(File.expand_path("../lib", __dir__))

require "durable_streams"
require_relative "work"

SERVER = ARGV.fetch(1)
READERS = 10

def produce(name, content_type, messages)
  stream = DurableStreams::Stream.create(Work.new_url(SERVER, name), content_type: content_type)
  taken = Work.seconds do
    DurableStreams::Producer.open(stream: stream, producer_id: "bench") { |producer| yield producer, messages }
  end
  Work.report(messages_per_second: messages.size / taken)
end

def fill
  json = DurableStreams::Stream.create(Work.json_url(SERVER), content_type: :json)
  DurableStreams::Producer.open(stream: json, producer_id: "fill") do |producer|
    Work::MESSAGES.times { |number| producer << Work.message(number) }
  end
  bytes = DurableStreams::Stream.create(Work.bytes_url(SERVER), content_type: :bytes)
  piece = Random.new(1).bytes(1 << 20)
  (Work::READ_BYTES >> 20).times { bytes.append(piece) }
  Work.report
end

def read_json
  sum = 0
  taken = Work.seconds do
    DurableStreams::Stream.new(Work.json_url(SERVER)).read_json.each { |message| sum += message["n"] }
  end
  Work.expect(sum, Work::SUM)
  Work.report(messages_per_second: Work::MESSAGES / taken)
end

def read_batches
  sum = 0
  taken = Work.seconds do
    DurableStreams::Stream.new(Work.json_url(SERVER)).read.each { |batch| batch.items.each { |message| sum += message["n"] } }
  end
  Work.expect(sum, Work::SUM)
  Work.report(messages_per_second: Work::MESSAGES / taken)
end

def read_bytes
  count = 0
  taken = Work.seconds do
    DurableStreams::Stream.new(Work.bytes_url(SERVER)).read_bytes.each { |chunk| count += chunk.data.bytesize }
  end
  Work.expect(count, Work::READ_BYTES)
  Work.report(mib_per_second: (count >> 20) / taken)
end

def produce_json
  produce("ours-json", :json, Array.new(Work::MESSAGES) { |number| Work.message(number) }) do |producer, messages|
    messages.each { |message| producer << message }
  end
end

def produce_json_all
  produce("ours-json-all", :json, Array.new(Work::MESSAGES) { |number| Work.message(number) }) do |producer, messages|
    messages.each_slice(Work::BATCH) { |slice| producer.append_all(slice) }
  end
end

def produce_bytes
  produce("ours-bytes", :bytes, Array.new(Work::MESSAGES) { "x" * Work::MESSAGE_BYTES }) do |producer, messages|
    messages.each { |message| producer << message }
  end
end

# Additions in a second.
def compute
  ends = Work.now + 1.0
  count = 0
  while Work.now < ends
    1000.times { count += 1 }
  end
  count
end

# Threads that read live, while one computes; a program of its own writes 20 messages a second, so
# that each reader gets 20.
def live_beside_computing
  stream = DurableStreams::Stream.create(Work.new_url(SERVER, "live"), content_type: :json)
  alone = []
  beside = []
  received = 0
  3.times do
    alone << compute
    got = Array.new(READERS, 0)
    readers = Array.new(READERS) do |number|
      Thread.new { stream.read_json(offset: "now", live: number.even? ? :sse : :long_poll) { |reader| reader.each { got[number] += 1 } } }
    end
    writer = Process.spawn("ruby", __FILE__, "write", stream.url)
    sleep 0.01 until got.all?(&:positive?)
    beside << compute
    Process.kill("TERM", writer)
    Process.wait(writer)
    readers.each(&:kill).each(&:join)
    received += got.sum
  end
  Work.report(alone: alone.max, beside: beside.max, received: received)
end

def write
  stream = DurableStreams::Stream.new(SERVER, content_type: :json)
  trap("TERM") { exit!(0) }
  loop do
    stream.append({ "at" => Work.now })
    sleep 0.05
  end
end

WORK = { "fill" => :fill, "read-json" => :read_json, "read-batches" => :read_batches, "read-bytes" => :read_bytes,
         "produce-json" => :produce_json, "produce-json-all" => :produce_json_all, "produce-bytes" => :produce_bytes,
         "live" => :live_beside_computing, "write" => :write }.freeze
send(WORK.fetch(ARGV.fetch(0)))
