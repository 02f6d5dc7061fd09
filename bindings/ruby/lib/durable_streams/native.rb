# frozen_string_literal: true

module DurableStreams
  # The extension, and what surrounds every call of it.
  # @api private
  module Native
    # Runs a blocking call. Under a fiber scheduler a thread waits instead, so that other fibers
    # run meanwhile.
    def self.wait(&call)
      return yield unless Fiber.respond_to?(:current_scheduler) && Fiber.current_scheduler

      thread = Thread.new(&call)
      thread.report_on_exception = false
      begin
        thread.value
      ensure
        thread.kill
      end
    end

    @guard = Mutex.new

    # Keeps the thread that evaluates callables for background work, such as a producer's.
    def self.keep_dispatcher
      @guard.synchronize do
        next if @dispatcher&.alive?

        @dispatcher = Thread.new { serve_callbacks }
        @dispatcher.name = "durable_streams callbacks"
      end
    end
  end

  # What may be appended, and as what.
  # @api private
  module Data
    # @return [Array(String, Boolean)] the text, and whether it is an encoded value
    def self.encode(data)
      case data
      when String then [data, false]
      when Hash, Array, Numeric, true, false then [JSON.generate(data), true]
      else raise ArgumentError, "data: expected a String, Hash or Array, got #{data.inspect}"
      end
    end
  end
end
