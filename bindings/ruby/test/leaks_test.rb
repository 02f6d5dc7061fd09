# frozen_string_literal: true

require_relative "helper"

class LeaksTest < StreamTest
  ROUNDS = 2000

  def resident_kib
    GC.start
    File.read("/proc/self/status")[/VmRSS:\s+(\d+)/, 1].to_i
  end

  def rounds(stream, count)
    count.times { stream.read(live: :long_poll).first }
  end

  def test_opening_and_closing_readers_does_not_grow
    stream = json_stream
    stream.append({ "text" => "x" * 1000 })
    # Allocators spread first.
    rounds(stream, ROUNDS)
    before = resident_kib
    rounds(stream, ROUNDS)
    # 4 MiB over 2,000 rounds is 2 KiB a round: less than one reader.
    assert_operator resident_kib - before, :<, 4096
    wait_for_readers(0)
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
