# frozen_string_literal: true

module DurableStreams
  # A read, iterated once. What ends the iteration, `break` included, closes it. Belongs to one
  # thread; {#close} may be called from any.
  class Reader
    include Enumerable

    # @return [String] where to resume, after the last batch handed out
    attr_reader :next_offset
    # @return [String, nil] cursor for a later live read
    attr_reader :cursor
    # @return [Integer, nil] status of the latest answer
    attr_reader :status

    alias offset next_offset

    # @api private
    def initialize(native, offset)
      @native = native
      @next_offset = offset
      @up_to_date = false
      @stream_closed = false
      @consumed = false
    end

    # Everything available had been read.
    def up_to_date
      @up_to_date
    end
    alias up_to_date? up_to_date

    # The end of a closed stream was reached.
    def stream_closed?
      @stream_closed
    end

    # Yields batches; some carry nothing but news of the position.
    def each_batch
      return enum_for(:each_batch) unless block_given?
      raise AlreadyConsumedError.new("the read has been iterated", code: "ALREADY_CONSUMED") if @consumed

      @consumed = true
      begin
        while (fields = Native.wait { @native.next_batch })
          yield note(fields)
        end
      ensure
        close
      end
      self
    end

    def each(&block)
      return enum_for(:each) unless block

      each_batch(&block)
    end

    # Ends the read and its connection. A thread that waits in it gets {ClosedError}.
    def close
      @native.close
      nil
    end

    def closed?
      @native.closed?
    end

    private

    def note(fields)
      @next_offset, @cursor, @up_to_date, @status = fields.values_at(:next_offset, :cursor, :up_to_date, :status)
      @stream_closed ||= fields[:stream_closed]
      batch(fields)
    end

    def batch(fields)
      fields[:json] ? json_batch(fields) : byte_chunk(fields)
    end

    def json_batch(fields)
      JsonBatch.new(text: fields[:data], empty: fields[:empty], **position(fields))
    end

    def byte_chunk(fields)
      ByteChunk.new(data: fields[:data], **position(fields)).freeze
    end

    def position(fields)
      fields.slice(:next_offset, :cursor, :up_to_date, :stream_closed, :status)
    end
  end

  # A read of messages.
  class JsonReader < Reader
    def each(&block)
      return enum_for(:each) unless block

      each_batch { |batch| batch.items.each(&block) }
    end

    private

    def batch(fields)
      json_batch(fields)
    end
  end

  # A read of bytes.
  class ByteReader < Reader
    # @return [String] everything, as bytes
    def body
      each_batch.map(&:data).join
    end

    # @return [String] everything, as UTF-8
    def text
      body.force_encoding(Encoding::UTF_8)
    end

    private

    def batch(fields)
      byte_chunk(fields)
    end
  end
end
