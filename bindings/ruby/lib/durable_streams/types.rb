# frozen_string_literal: true

module DurableStreams
  # Results answer to methods and to `[:name]`, also by the names that are aliases.
  # @api private
  module HashAccess
    # @param key [Symbol, String, Integer]
    # @return [Object]
    def [](key)
      key.is_a?(Integer) || members.include?(key.to_sym) ? super : public_send(key)
    end
  end

  # A stored append. `status` and `headers` are the answer's.
  AppendResult = Struct.new(:next_offset, :duplicate, :status, :headers, :attempts, :etag, :closed, :producer_epoch,
                            :producer_seq, keyword_init: true) do
    prepend HashAccess
    alias_method :offset, :next_offset
    alias_method :duplicate?, :duplicate
    alias_method :closed?, :closed
  end

  # A stream that was created, or that existed already as it was asked for.
  CreateResult = Struct.new(:is_new, :content_type, :next_offset, :closed, :status, :headers, :attempts,
                            keyword_init: true) do
    prepend HashAccess
    alias_method :offset, :next_offset
    alias_method :new?, :is_new
    alias_method :closed?, :closed
  end

  # A closed stream.
  CloseResult = Struct.new(:final_offset, :status, :headers, :attempts, keyword_init: true)

  # What a server tells about a stream.
  HeadResult = Struct.new(:exists, :content_type, :next_offset, :etag, :cache_control, :stream_closed,
                          :ttl_seconds, :expires_at, :status, :headers, :attempts, keyword_init: true) do
    prepend HashAccess
    alias_method :offset, :next_offset
    alias_method :exists?, :exists
    alias_method :closed?, :stream_closed
  end

  # What the server said to the batch of a producer's message.
  ProducerResult = Struct.new(:next_offset, :duplicate, :epoch, :seq, keyword_init: true) do
    prepend HashAccess
    alias_method :offset, :next_offset
    alias_method :duplicate?, :duplicate
  end

  # Messages that came together. `each` and everything of Enumerable go over the items, which
  # are decoded when they are asked for.
  class JsonBatch
    include Enumerable

    # @return [String] where to resume
    attr_reader :next_offset
    # @return [String, nil] cursor for a later live read
    attr_reader :cursor
    # @return [Boolean] whether everything available had been read
    attr_reader :up_to_date
    # @return [Boolean] whether the end of a closed stream was reached
    attr_reader :stream_closed
    # @return [Integer, nil] status of the answer
    attr_reader :status

    alias offset next_offset
    alias up_to_date? up_to_date
    alias stream_closed? stream_closed

    # How many messages are decoded at once where they are taken one by one.
    PART = 64
    # More than any batch has.
    ALL = (1 << 62) - 1
    private_constant :PART, :ALL

    # @api private
    def initialize(source:, empty:, next_offset:, cursor: nil, up_to_date: false, stream_closed: false, status: nil)
      @source = source
      @empty = empty
      @next_offset = next_offset
      @cursor = cursor
      @up_to_date = up_to_date
      @stream_closed = stream_closed
      @status = status
    end

    # Whether it carries nothing but news of the position.
    # @return [Boolean]
    def empty?
      @empty
    end

    # @return [Array] the messages, frozen; hashes have string keys
    # @raise [ParseError]
    def items
      @items ||= (@empty ? [] : @source.part(0, ALL).first).freeze
    end
    alias to_a items

    # @yieldparam item [Object] a message
    # @return [self, Enumerator]
    def each(&block)
      return enum_for(:each) { size } unless block

      items.each(&block)
      self
    end

    # @return [Integer] how many messages
    def size
      items.size
    end
    alias length size

    # @return [String] the messages as they were sent: a JSON array
    def text
      @source.text
    end

    # @param key [Symbol, String, Integer] a name, or the number of a message
    # @return [Object]
    def [](key)
      key.is_a?(Integer) ? items[key] : to_h.fetch(key.to_sym) { public_send(key) }
    end

    # @return [Hash{Symbol => Object}]
    def to_h
      { items: items, next_offset: next_offset, cursor: cursor, up_to_date: up_to_date,
        stream_closed: stream_closed, status: status }
    end

    # For pattern matching.
    # @return [Hash{Symbol => Object}]
    def deconstruct_keys(_keys)
      to_h.merge(offset: offset)
    end

    # @return [Boolean]
    def ==(other)
      other.is_a?(JsonBatch) && to_h == other.to_h
    end

    # @return [String]
    def inspect
      "#<#{self.class} next_offset=#{next_offset.inspect} up_to_date=#{up_to_date} #{@items ? "items=#{@items.inspect}" : '…'}>"
    end

    # Yields the messages without keeping them: part by part, what was decoded is used while it
    # is still warm, and garbage soon. Afterwards the batch is empty: its memory takes the batch
    # after the next.
    # @api private
    def each_once(&block)
      return if @empty
      return items.each(&block) if @items

      at = 0
      while at
        part, at = @source.part(at, PART)
        @source.let_go unless at
        part.each(&block)
      end
    end
  end

  # Bytes that came together.
  ByteChunk = Struct.new(:data, :next_offset, :cursor, :up_to_date, :stream_closed, :status, keyword_init: true) do
    prepend HashAccess
    alias_method :offset, :next_offset
    alias_method :up_to_date?, :up_to_date
    alias_method :stream_closed?, :stream_closed

    # Whether it carries nothing but news of the position.
    # @return [Boolean]
    def empty?
      data.empty?
    end
  end

  # How requests are repeated. Delays are in seconds. Which statuses are repeated is a rule of the
  # core (429 and every 5xx): another list is accepted with a warning, and changes nothing.
  RetryPolicy = Struct.new(:max_retries, :initial_delay, :max_delay, :multiplier, :retryable_statuses,
                           keyword_init: true) do
    # @return [RetryPolicy] 5 repetitions, after 0.1 s and then twice as long each, up to 30 s
    def self.default
      new
    end

    # @param max_retries [Integer]
    # @param initial_delay [Numeric] seconds
    # @param max_delay [Numeric] seconds
    # @param multiplier [Numeric]
    # @param retryable_statuses [Array<Integer>] informative
    def initialize(max_retries: 5, initial_delay: 0.1, max_delay: 30.0, multiplier: 2.0,
                   retryable_statuses: self.class::REPEATED)
      super
      return if retryable_statuses.sort == self.class::REPEATED

      DurableStreams.logger.warn("durable_streams: retryable_statuses changes nothing: 429 and 5xx are repeated")
    end
  end
  # What is repeated, besides every other 5xx.
  RetryPolicy::REPEATED = [429, 500, 502, 503, 504].freeze
end
