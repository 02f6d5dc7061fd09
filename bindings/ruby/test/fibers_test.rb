# frozen_string_literal: true

require_relative "helper"
require_relative "scheduler"

# Under a fiber scheduler a call that waits lets other fibers run.
class FibersTest < StreamTest
  def scheduled(&block)
    Thread.new do
      Fiber.set_scheduler(Scheduler.new)
      Fiber.schedule(&block)
    end.join
  end

  def test_other_fibers_run_while_one_waits
    order = []
    stream = json_stream
    scheduled do
      Fiber.schedule do
        order << :reading
        stream.read_json(live: :long_poll).each { |item| order << item }
        order << :over
      end
      Fiber.schedule do
        order << :writing
        stream.append('"first"')
        stream.close(data: '"last"')
      end
      order << :scheduled
    end
    assert_equal %w[first last], order.grep(String)
    assert_equal :over, order.last
    assert_operator order.index(:writing), :<, order.index("first")
  end

  def test_a_producer_works_in_a_fiber
    stream = json_stream
    scheduled do
      DurableStreams::Producer.open(stream: stream, producer_id: "p", max_queued_messages: 10) do |producer|
        100.times { |n| producer << [n] }
      end
    end
    assert_equal Array.new(100) { |n| [n] }, stream.read_all
  end
end
