# frozen_string_literal: true

require "json"

# What every side of the benchmark works on, and how a figure is printed.
module Work
  MESSAGES = Integer(ENV.fetch("BENCH_MESSAGES", 1_000_000))
  MESSAGE_BYTES = 100
  # Of the numbers of all messages.
  SUM = MESSAGES * (MESSAGES - 1) / 2
  READ_BYTES = 256 << 20
  # Messages per request wherever a batch is built by hand; the producer's own limit is 1 MiB.
  BATCH = 1_000

  module_function

  # The n-th message as a Hash; its JSON has `MESSAGE_BYTES` bytes.
  def message(number)
    { "n" => number, "name" => "sensor-a", "ok" => true, "celsius" => 21.5, "text" => PADDING[number.digits.size..] }
  end

  # The text makes up for the digits of the number.
  PADDING = "x" * (MESSAGE_BYTES - JSON.generate({ "n" => 0, "name" => "sensor-a", "ok" => true, "celsius" => 21.5, "text" => "" }).size + 1)
  [0, MESSAGES].each { |number| raise "a message has another size" unless JSON.generate(message(number)).bytesize == MESSAGE_BYTES }

  def json_url(server) = "#{server}/v1/stream/bench-json"

  def bytes_url(server) = "#{server}/v1/stream/bench-bytes"

  def new_url(server, name) = "#{server}/v1/stream/#{name}-#{Process.pid}-#{Process.clock_gettime(Process::CLOCK_MONOTONIC, :nanosecond)}"

  def now = Process.clock_gettime(Process::CLOCK_MONOTONIC)

  # Seconds that a block takes.
  def seconds
    started = now
    yield
    now - started
  end

  def expect(found, wanted)
    raise "#{found} instead of #{wanted}" unless found == wanted
  end

  def report(**figures) = puts(JSON.generate(figures))
end
