# frozen_string_literal: true

module DurableStreams
  # Results answer to methods and to `[:name]`, also by the names that are aliases.
  # @api private
  module HashAccess
    def [](key)
      key.is_a?(Integer) || members.include?(key.to_sym) ? super : public_send(key)
    end
  end

  # A stored append. `status` and `headers` are the answer's.
  AppendResult = Struct.new(:next_offset, :duplicate, :status, :headers, :producer_epoch, :producer_seq,
                            keyword_init: true) do
    prepend HashAccess
    alias_method :offset, :next_offset
    alias_method :duplicate?, :duplicate
  end

  # A closed stream.
  CloseResult = Struct.new(:final_offset, keyword_init: true)

  # What a server tells about a stream.
  HeadResult = Struct.new(:exists, :content_type, :next_offset, :etag, :cache_control, :stream_closed,
                          :ttl_seconds, :expires_at, :status, :headers, keyword_init: true) do
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

  # Messages that came together. `each` and everything of Enumerable go over the items. `text` is
  # the JSON array as it was sent; it is parsed when items are asked for.
  JsonBatch = Struct.new(:text, :next_offset, :cursor, :up_to_date, :stream_closed, :status, :empty,
                         keyword_init: true) do
    prepend HashAccess
    alias_method :offset, :next_offset
    alias_method :up_to_date?, :up_to_date
    alias_method :empty?, :empty

    # @return [Array] the messages; hashes have string keys
    # @raise [ParseError]
    def items
      @items ||= parse.freeze
    end
    alias_method :to_a, :items

    def each(&block)
      block ? items.each(&block) : items.each
    end

    def size
      items.size
    end
    alias_method :length, :size

    def deconstruct_keys(keys)
      keys.nil? || keys.include?(:items) ? super(nil).merge(items: items) : super
    end

    private

    def parse
      return [] if empty

      value = JSON.parse(text)
      value.is_a?(Array) ? value : [value]
    rescue JSON::ParserError => e
      raise ParseError.new("the stream's data is not JSON: #{e.message}", code: "PARSE_ERROR")
    end
  end

  # Bytes that came together.
  ByteChunk = Struct.new(:data, :next_offset, :cursor, :up_to_date, :stream_closed, :status, keyword_init: true) do
    prepend HashAccess
    alias_method :offset, :next_offset
    alias_method :up_to_date?, :up_to_date

    def empty?
      data.empty?
    end
  end

  # How requests are repeated. Delays are in seconds. Which statuses are repeated is decided by
  # the core (429 and 5xx); `retryable_statuses` is informative.
  RetryPolicy = Struct.new(:max_retries, :initial_delay, :max_delay, :multiplier, :retryable_statuses,
                           keyword_init: true) do
    def self.default
      new
    end

    def initialize(max_retries: 5, initial_delay: 0.1, max_delay: 30.0, multiplier: 2.0,
                   retryable_statuses: [429, 500, 502, 503, 504])
      super
    end
  end
end
