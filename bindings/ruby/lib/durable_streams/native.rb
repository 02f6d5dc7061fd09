# frozen_string_literal: true

module DurableStreams
  # The extension, and what surrounds every call of it.
  # @api private
  module Native
    class << self
      # The transport of tests, if one is installed.
      attr_accessor :mock
    end

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
      data.is_a?(String) ? [data, false] : [text(data), true]
    end

    # @return [String] a Hash or an Array as JSON text
    # @raise [ArgumentError]
    def self.text(data)
      case data
      when Hash, Array, Numeric, true, false then Native.generate(data) || JSON.generate(data)
      else raise ArgumentError, "data: expected a String, Hash or Array, got #{data.inspect}"
      end
    rescue JSON::GeneratorError, JSON::NestingError => e
      raise ArgumentError, "data: has no form in JSON: #{e.message}"
    end
  end

  # Names and values, where a value may be a callable.
  # @api private
  module Pairs
    # Whether any value is asked anew for every request.
    def self.calls?(hash)
      hash.each_value.any? { |value| value.respond_to?(:call) }
    end

    # @return [Array<Array(String, String)>]
    def self.texts(pairs)
      pairs.map { |name, value| [name.to_s, (value.respond_to?(:call) ? value.call : value).to_s] }
    end
  end
end
