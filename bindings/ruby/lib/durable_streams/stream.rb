# frozen_string_literal: true

module DurableStreams
  # A handle to one stream. May be shared by threads: appends that come while one is under way
  # share the next request.
  class Stream
    include Enumerable

    # Short names of content types.
    CONTENT_TYPES = { json: "application/json", bytes: "application/octet-stream" }.freeze
    # How live modes may be written, and what the extension calls them.
    # @api private
    LIVE = { off: "off", long_poll: "long_poll", sse: "sse", auto: "auto", false => "off", nil => "off",
             true => "auto", "long-poll" => "long_poll", "sse" => "sse" }.freeze
    # The class of reader for each format.
    # @api private
    READERS = { auto: Reader, json: JsonReader, bytes: ByteReader }.freeze

    # @return [Context]
    attr_reader :context

    # A handle, without any I/O.
    # @param url [String] a URL, or a path below the context's base URL
    # @param context [Context] settings
    # @param content_type [Symbol, String, nil] `:json`, `:bytes` or a MIME type, if it is known
    # @param headers [Hash] headers of every request; a value that answers `call` is called for each
    # @param params [Hash] query parameters of every request; likewise
    # @param batching [Boolean] whether appends that come while one is under way share the next request
    # @raise [ArgumentError] for a blank URL, or a path without base URL
    def initialize(url, context: DurableStreams.default_context, content_type: nil, headers: {}, params: {},
                   batching: true)
      url = url.to_s
      raise ArgumentError, "url: must not be blank" if url.strip.empty?
      if context.base_url.nil? && !url.match?(%r{\Ahttps?://}i)
        raise ArgumentError, "url: #{url.inspect} is a path, and there is no base_url"
      end

      @url = url
      @context = context
      @options = { headers: headers, params: params, batching: batching }
      @calls = [context.configuration.default_headers, headers, params].any? { |pairs| Pairs.calls?(pairs) }
      @stated_type = mime(content_type)
      make_native
    end

    # Creates a stream; the same settings on a stream that exists are success.
    # @param url [String]
    # @param headers [Hash]
    # @param context [Context]
    # @param options [Hash] those of {#create}
    # @return [Stream] its handle
    # @raise [StreamExistsError] when it exists with other settings
    def self.create(url, headers: {}, context: DurableStreams.default_context, **options)
      new(url, headers: headers, context: context, content_type: options[:content_type]).create(**options)
    end

    # Checks by HEAD that a stream exists.
    # @param url [String]
    # @param headers [Hash]
    # @param context [Context]
    # @return [Stream] its handle
    # @raise [StreamNotFoundError]
    def self.connect(url, headers: {}, context: DurableStreams.default_context)
      new(url, headers: headers, context: context).tap(&:head)
    end

    # @param url [String]
    # @param options [Hash] those of {#initialize}
    # @return [Boolean]
    def self.exists?(url, **options)
      new(url, **options).exists?
    end

    # Creates the stream; the same settings on a stream that exists are success.
    # @param options [Hash] those of {#create_stream}
    # @return [self]
    # @raise [StreamExistsError] when it exists with other settings
    def create(**options)
      create_stream(**options)
      self
    end

    # The same as {#create}.
    # @param content_type [Symbol, String, nil] `:json`, `:bytes` or a MIME type; the handle's when absent
    # @param ttl_seconds [Numeric, nil] how long the stream lives after the last access
    # @param expires_at [Time, String, nil] when it ends, RFC 3339
    # @param body [String, Hash, Array, nil] first data; an Array is its messages
    # @param closed [Boolean] creates it closed
    # @param fork_from [String, nil] source of a fork: a path or a URL on the same server
    # @param fork_offset [String, nil] where the fork diverges
    # @param fork_sub_offset [Integer, nil] how many messages, or bytes, behind the fork offset
    # @return [self]
    # @raise [StreamExistsError]
    def create_stream(content_type: nil, ttl_seconds: nil, expires_at: nil, body: nil, closed: false, fork_from: nil,
                      fork_offset: nil, fork_sub_offset: nil)
      body &&= Data.encode(body).first
      type = mime(content_type)
      type ||= @stated_type unless fork_from
      options = { content_type: type, ttl_seconds: ttl_seconds, expires_at: timestamp(expires_at), body: body,
                  closed: closed, fork_from: fork_from, fork_offset: fork_offset, fork_sub_offset: fork_sub_offset }
      @created = CreateResult.new(**Native.wait { native.create(options) }).freeze
      self
    end

    # @return [CreateResult, nil] what the server said to {#create}
    attr_reader :created

    # Appends one message and returns once the server has stored it. A Hash or an Array is
    # encoded as one JSON message; a String is sent as it is, on a JSON stream as one JSON value.
    # @param data [String, Hash, Array]
    # @param options [Hash] of this request
    # @option options [#to_s] :seq token of writers that coordinate; each must be greater than the last
    # @option options [String] :if_match only if the stream still has this entity tag
    # @option options [Symbol, String] :content_type instead of the handle's
    # @option options [Hash] :headers headers of this request
    # @option options [String] :producer_id for a producer that counts itself; with the next two
    # @option options [Integer] :producer_epoch
    # @option options [Integer] :producer_seq
    # @return [AppendResult]
    # @raise [StreamClosedError]
    # @raise [SeqConflictError]
    # @raise [StreamNotFoundError]
    # @raise [ArgumentError] for what cannot be a message; nothing was sent
    def append(data, **options)
      text, is_value = Data.encode(data)
      options = append_options(**options)
      AppendResult.new(**Native.wait { native.append(text, is_value, options) }).freeze
    end
    alias append! append

    # Appends every element as a message of its own, in one request: all are stored, or none.
    # @param messages [Enumerable<String, Hash, Array>]
    # @param options [Hash] those of {#append}
    # @return [AppendResult, nil] `nil` when there are none
    # @raise [DurableStreamError, ArgumentError] as {#append} does
    def append_all(messages, **options)
      messages = messages.to_a
      return if messages.empty?

      type = mime(options[:content_type]) || content_type
      type ||= messages.all?(String) ? head.content_type : CONTENT_TYPES[:json]
      body = json_type?(type) ? json_body(messages) : messages.map { |message| Data.encode(message).first }.join
      options = append_options(**options, content_type: type)
      AppendResult.new(**Native.wait { native.append_body(body, options) }).freeze
    end

    # Appends data that is still being made, as one append: stored whole, or not at all. It is sent
    # once, since it cannot be made again.
    #
    #   File.open("measurements.csv") { |file| stream.append_stream(file) }
    #
    # @param pieces [IO, Enumerable<String>] the bytes one behind the other; on a JSON stream together
    #   one JSON value, or an array of messages
    # @param seq [#to_s, nil] token of writers that coordinate
    # @param if_match [String, nil] only if the stream still has this entity tag
    # @param content_type [Symbol, String, nil] instead of the handle's
    # @param headers [Hash] headers of this request
    # @return [AppendResult]
    # @raise [DurableStreamError] as {#append} does, and whatever making the data raises
    def append_stream(pieces, seq: nil, if_match: nil, content_type: nil, headers: {})
      source = Data.source(pieces)
      options = append_options(seq: seq, if_match: if_match, content_type: content_type, headers: headers)
      AppendResult.new(**Native.wait { native.append_stream(source, options) }).freeze
    end

    # The same as {#append}, to be chained.
    # @param data [String, Hash, Array]
    # @return [self]
    def <<(data)
      append(data)
      self
    end

    # Ends the stream for everyone, with a last message if there is one. To let go of a handle
    # there is nothing to call.
    # @param data [String, Hash, Array, nil]
    # @param content_type [Symbol, String, nil] of the data, instead of the handle's
    # @return [CloseResult]
    # @raise [StreamClosedError] only with data, on a stream that is closed
    def close_stream(data: nil, content_type: nil)
      text, is_value = data.nil? ? [nil, false] : Data.encode(data)
      DurableStreams.logger.info { "durable_streams: ending #{url}" }
      CloseResult.new(**Native.wait { native.close_stream(text, is_value, mime(content_type)) }).freeze
    end
    alias close close_stream

    # Lets go of the handle; the stream stays open.
    # @return [nil]
    def disconnect
      nil
    end

    # Deletes the stream with all its data.
    # @return [nil]
    # @raise [StreamNotFoundError]
    def delete
      Native.wait { native.delete }
      nil
    end

    # @return [HeadResult]
    # @raise [StreamNotFoundError]
    def head
      HeadResult.new(exists: true, **Native.wait { native.head }).freeze
    end

    # @return [Boolean] never raises {StreamNotFoundError}
    def exists?
      head.exists
    rescue StreamNotFoundError
      false
    end

    # A read from `offset`, and with `live` on from the tail until the stream is closed. With a
    # block: yields the reader, closes it, returns the block's value.
    # @param offset [String] where to start: `"-1"` the beginning, `"now"` the tail, or one that was handed out
    # @param live [Symbol, Boolean, nil] `:off`, `:long_poll`, `:sse`, `:auto`
    # @param cursor [String, nil] of an earlier live read
    # @param format [Symbol] `:auto` yields batches, `:json` messages, `:bytes` chunks
    # @param if_none_match [String, nil] entity tag of data that is held for the offset
    # @param headers [Hash] headers of this read's requests
    # @param params [Hash] query parameters of this read's requests
    # @param timeout [Numeric, nil] limit of every wait for the server, in seconds
    # @param max_batch_bytes [Integer, nil] most bytes of a {ByteChunk}
    # @yieldparam reader [Reader]
    # @return [Reader, Object]
    # @raise [ArgumentError]
    def read(offset: "-1", live: :off, cursor: nil, format: :auto, if_none_match: nil, headers: {}, params: {},
             timeout: nil, max_batch_bytes: nil)
      reader_class = READERS.fetch(format) { raise ArgumentError, "format: #{format.inspect} is none of #{READERS.keys}" }
      mode = LIVE.fetch(live) { raise ArgumentError, "live: #{live.inspect} is none of :off, :long_poll, :sse, :auto" }
      # With callables every request is made by the thread that reads.
      options = { offset: offset, live: mode, cursor: cursor, if_none_match: if_none_match, read_ahead: !@calls,
                  headers: Pairs.texts(headers), params: Pairs.texts(params), timeout_ms: timeout&.*(1000.0),
                  max_batch_bytes: max_batch_bytes }
      reader = reader_class.new(Native::Reader.new(native, options), offset || "-1")
      return reader unless block_given?

      begin
        yield reader
      ensure
        reader.close
      end
    end

    # A read of messages.
    # @param options [Hash] those of {#read}
    # @return [JsonReader, Object] an Enumerable of messages
    def read_json(**options, &block)
      read(**options, format: :json, &block)
    end

    # A read of bytes.
    # @param options [Hash] those of {#read}
    # @return [ByteReader, Object] an Enumerable of {ByteChunk}s
    def read_bytes(**options, &block)
      read(**options, format: :bytes, &block)
    end

    # @param offset [String]
    # @return [Array] every message, or every chunk that has data
    def read_all(offset: "-1")
      read(offset: offset).flat_map do |batch|
        batch.respond_to?(:items) ? batch.items : [batch].reject { |chunk| chunk.data.empty? }
      end
    end

    # Yields the messages there are.
    # @yieldparam message [Object]
    # @return [self, Enumerator]
    def each(&block)
      return enum_for(:each) unless block

      read_json.each(&block)
      self
    end

    # @return [String] the whole URL, without credentials
    def url
      native.url
    end

    # @return [String, nil] the content type, if it was stated or learned
    def content_type
      native.content_type
    end

    # @return [Boolean] whether it is known to hold JSON messages
    def json?
      json_type?(content_type)
    end

    # @return [String]
    def inspect
      "#<#{self.class} #{url}>"
    end

    # The extension's handle; another one in the child of a fork.
    # @api private
    def native
      make_native unless @generation == Native.generation
      @native
    end

    # The extension's handle with further headers.
    # @api private
    def native_with(headers)
      context.native(@url, content_type: @stated_type, **@options, headers: @options[:headers].merge(headers))
    end

    # Whether callables are asked in requests.
    # @api private
    def calls?
      @calls
    end

    private

    def make_native
      @native = context.native(@url, content_type: @stated_type, **@options)
      @generation = Native.generation
    end

    def append_options(seq: nil, if_match: nil, content_type: nil, headers: {}, producer_id: nil, producer_epoch: nil,
                       producer_seq: nil)
      { seq: seq&.to_s, if_match: if_match, content_type: mime(content_type), headers: Pairs.texts(headers),
        producer_id: producer_id, producer_epoch: producer_epoch, producer_seq: producer_seq }
    end

    # The messages as one request's body.
    def json_body(messages)
      texts = messages.map do |message|
        text, is_value = Data.encode(message)
        # "1],[2" would make other messages of its neighbours.
        raise ArgumentError, "data: #{text.inspect} is not one JSON value" unless is_value || Native.json?(text)

        text
      end
      "[#{texts.join(',')}]"
    end

    def timestamp(time)
      time.respond_to?(:xmlschema) ? time.xmlschema : time&.to_s
    end

    def json_type?(content_type)
      content_type.to_s.split(";").first.to_s.strip.casecmp?(CONTENT_TYPES[:json])
    end

    def mime(content_type)
      CONTENT_TYPES.fetch(content_type, content_type)
    end
  end
end
