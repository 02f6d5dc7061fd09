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

    # Most bytes of a piece that is read from an IO.
    PIECE = 64 * 1024
    private_constant :PIECE

    # @return [#call] the next piece of data in the making, `nil` at its end
    # @raise [ArgumentError]
    def self.source(pieces)
      if pieces.respond_to?(:readpartial)
        -> { at_end(EOFError) { pieces.readpartial(PIECE) } }
      elsif pieces.respond_to?(:each) && !pieces.is_a?(Hash)
        rest = pieces.to_enum(:each)
        -> { at_end(StopIteration) { piece(rest.next) } }
      else
        raise ArgumentError, "pieces: expected an IO or an Enumerable of Strings, got #{pieces.inspect}"
      end
    end

    def self.at_end(error)
      yield
    rescue error
      nil
    end
    private_class_method :at_end

    def self.piece(piece)
      raise ArgumentError, "pieces: expected Strings, got #{piece.inspect}" unless piece.is_a?(String)

      piece
    end
    private_class_method :piece
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
