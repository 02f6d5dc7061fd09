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

    # @return [Boolean] whether everything available had been read
    attr_reader :up_to_date
    alias up_to_date? up_to_date

    # @return [Boolean] whether the end of a closed stream was reached
    def stream_closed?
      @stream_closed
    end

    # @return [String, nil] the stream's content type, as the latest answer says
    def content_type
      @native.content_type
    end

    # @return [Hash{String => String}] headers of the latest answer
    def headers
      @native.headers
    end

    # Yields batches; some carry nothing but news of the position.
    # @yieldparam batch [JsonBatch, ByteChunk]
    # @return [self, Enumerator]
    # @raise [AlreadyConsumedError] when it was iterated before
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

    # The same as {#each_batch}.
    # @yieldparam batch [JsonBatch, ByteChunk]
    # @return [self, Enumerator]
    def each(&block)
      return enum_for(:each) unless block

      each_batch(&block)
    end

    # Ends the read and its connection. A thread that waits in it gets {ClosedError}.
    # @return [nil]
    def close
      @native.close
      nil
    end

    # @return [Boolean]
    def closed?
      @native.closed?
    end

    private

    def note(fields)
      @next_offset, @cursor, @up_to_date, @status = fields.values_at(:next_offset, :cursor, :up_to_date, :status)
      @stream_closed ||= fields[:stream_closed]
      warn_once(fields[:sse_given_up]) if fields[:sse_given_up]
      batch(fields)
    end

    def warn_once(reason)
      return if @has_warned

      @has_warned = true
      DurableStreams.logger.warn("durable_streams: long-polls instead of server-sent events: #{reason}")
    end

    def batch(fields)
      fields[:json] ? json_batch(fields) : byte_chunk(fields)
    end

    def json_batch(fields)
      source = fields[:json] ? fields[:data] : Native::Batch.new(fields[:data])
      JsonBatch.new(source: source, empty: fields[:empty], **position(fields))
    end

    def byte_chunk(fields)
      data = fields[:json] ? fields[:data].text.b : fields[:data]
      ByteChunk.new(data: data, **position(fields)).freeze
    end

    def position(fields)
      fields.slice(:next_offset, :cursor, :up_to_date, :stream_closed, :status)
    end
  end

  # A read of messages.
  class JsonReader < Reader
    # Yields messages.
    # @yieldparam message [Object] a Hash with string keys, or whatever the message is
    # @return [self, Enumerator]
    def each(&block)
      return enum_for(:each) unless block

      each_batch { |batch| batch.each_once(&block) }
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
      chunks = []
      each_batch { |chunk| chunks << chunk.data }
      chunks.join
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
