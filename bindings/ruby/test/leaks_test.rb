# frozen_string_literal: true

require_relative "helper"

class LeaksTest < StreamTest
  ROUNDS = 10_000

  def resident_kib
    GC.start
    File.read("/proc/self/status")[/VmRSS:\s+(\d+)/, 1].to_i
  end

  # A leak grows with every lot; what Ruby and the allocator take for themselves now and then does not: one lot that
  # leaves nothing behind is enough.
  def assert_settles(most_kib)
    grown = []
    5.times do
      before = resident_kib
      yield
      grown << (resident_kib - before)
      return pass if grown.last < most_kib
    end
    flunk "every lot left more than #{most_kib} KiB behind: #{grown}"
  end

  def rounds(stream, count)
    count.times { stream.read(live: :long_poll).first }
  end

  def test_opening_and_closing_readers_does_not_grow
    stream = json_stream
    stream.append({ "text" => "x" * 1000 })
    # Allocators spread first.
    rounds(stream, ROUNDS / 4)
    # 8 MiB over 10,000 rounds is 800 bytes a round: less than one message, or one reader.
    assert_settles(8192) { rounds(stream, ROUNDS) }
    wait_for_readers(0)
  end

  def test_batches_that_are_dropped_do_not_pile_up
    stream = json_stream
    stream.append_all(Array.new(200) { { "text" => "x" * 10_000 } })
    read = -> { 50.times { stream.read.each(&:text) } }
    read.call
    # 400 MiB are read.
    assert_settles(100 * 1024) { 4.times { read.call } }
  end

  def test_producing_does_not_grow
    stream = json_stream
    produce = lambda do
      DurableStreams::Producer.open(stream: stream, producer_id: "p", auto_claim: true) do |producer|
        20_000.times { |n| producer << { n: n } }
      end
      stream.delete
      stream.create(content_type: :json)
    end
    2.times { produce.call }
    assert_settles(20 * 1024) { 5.times { produce.call } }
  end

  def test_callables_leave_the_table
    table = -> { GC.start; ObjectSpace.each_object(Proc).count }
    make = -> { 200.times { @client.stream("/s", headers: { "X-Id" => -> { "id" } }).content_type } }
    make.call
    before = table.call
    5.times { make.call }
    # Those of the last round may still be reachable from the stack.
    assert_operator table.call - before, :<, 600
  end
end
