# frozen_string_literal: true

# The least that a fiber scheduler must do: fibers that block, wake and sleep.
class Scheduler
  def initialize
    @ready = Thread::Queue.new
    @blocked = {}
    @sleeping = {}
  end

  def fiber(&block)
    Fiber.new(blocking: false, &block).tap(&:resume)
  end

  def block(_blocker, timeout = nil)
    @blocked[Fiber.current] = true
    @sleeping[Fiber.current] = now + timeout if timeout
    Fiber.yield
  ensure
    @blocked.delete(Fiber.current)
    @sleeping.delete(Fiber.current)
  end

  def unblock(_blocker, fiber)
    @ready << fiber
  end

  def kernel_sleep(duration = nil)
    block(:sleep, duration)
  end

  def io_wait(_io, events, _timeout)
    events
  end

  def close
    until @blocked.empty?
      wait = @sleeping.values.min
      fiber = wait ? pop_until(wait) : @ready.pop
      fiber.resume if fiber&.alive? && @blocked.key?(fiber)
    end
  end

  private

  def pop_until(time)
    @ready.pop(true)
  rescue ThreadError
    @sleeping.key(time) if now >= time
  end

  def now
    Process.clock_gettime(Process::CLOCK_MONOTONIC)
  end
end
