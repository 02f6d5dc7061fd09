# frozen_string_literal: true

module DurableStreams
  # A handle to one stream. May be shared by threads: appends that come while one is under way
  # share the next request.
  class Stream
    include Enumerable

    CONTENT_TYPES = { json: "application/json", bytes: "application/octet-stream" }.freeze
    LIVE = { off: "off", long_poll: "long_poll", sse: "sse", auto: "auto", false => "off", nil => "off",
             true => "auto", "long-poll" => "long_poll", "sse" => "sse" }.freeze
    READERS = { auto: Reader, json: JsonReader, bytes: ByteReader }.freeze

    # @return [Context]
    attr_reader :context

    # A handle, without any I/O.
    # @param url [String] a URL, or a path below the context's base URL
    # @raise [ArgumentError] for a blank URL, or a path without base URL
    def initialize(url, context: DurableStreams.default_context, content_type: nil, headers: {}, params: {},
                   batching: true)
      url = url.to_s
      raise ArgumentError, "url: must not be blank" if url.strip.empty?
      if context.configuration.base_url.nil? && !url.match?(%r{\Ahttps?://}i)
        raise ArgumentError, "url: #{url.inspect} is a path, and there is no base_url"
      end

      @url = url
      @context = context
      @options = { headers: headers, params: params, batching: batching }
      @calls = [context.configuration.default_headers, headers, params].any? { |h| h.each_value.any? { |v| v.respond_to?(:call) } }
      @stated_type = mime(content_type)
      make_native
    end

    # @return [Stream] a new stream
    # @raise [StreamExistsError]
    def self.create(url, headers: {}, context: DurableStreams.default_context, **options)
      new(url, headers: headers, context: context, content_type: options[:content_type]).create(**options)
    end

    # @return [Stream] a stream that exists, checked by HEAD
    # @raise [StreamNotFoundError]
    def self.connect(url, headers: {}, context: DurableStreams.default_context)
      new(url, headers: headers, context: context).tap(&:head)
    end

    def self.exists?(url, **options)
      new(url, **options).exists?
    end

    # Creates the stream; the same settings on a stream that exists are success.
    # @return [self]
    def create(**options)
      create_stream(**options)
      self
    end

    # The same.
    # @return [self]
    def create_stream(content_type: nil, ttl_seconds: nil, expires_at: nil, body: nil, closed: false, fork_from: nil,
                      fork_offset: nil, fork_sub_offset: nil)
      body &&= Data.encode(body).first
      type = mime(content_type)
      type ||= @stated_type unless fork_from
      options = { content_type: type, ttl_seconds: ttl_seconds, expires_at: expires_at&.to_s, body: body,
                  closed: closed, fork_from: fork_from, fork_offset: fork_offset, fork_sub_offset: fork_sub_offset }
      @created = Native.wait { native.create(options) }.freeze
      self
    end

    # @return [Hash, nil] what the server said to {#create}: `:is_new`, `:status`, `:next_offset`, …
    attr_reader :created

    # Appends one message and returns once the server has stored it. A Hash or an Array is
    # encoded as one JSON message; a String is sent as it is, on a JSON stream as one JSON value.
    # @return [AppendResult]
    # @raise [StreamClosedError, SeqConflictError, DurableStreamError]
    def append(data, seq: nil, producer_id: nil, producer_epoch: nil, producer_seq: nil)
      text, is_value = Data.encode(data)
      options = { seq: seq&.to_s, producer_id: producer_id, producer_epoch: producer_epoch, producer_seq: producer_seq }
      fields = Native.wait { native.append(text, is_value, options) }
      AppendResult.new(**fields).freeze
    end
    alias append! append

    # Appends every element as a message of its own.
    # @return [AppendResult, nil] the last one
    def append_all(messages)
      messages.map { |message| append(message) }.last
    end

    # @return [self]
    def <<(data)
      append(data)
      self
    end

    # Ends the stream for everyone, with a last message if there is one. To let go of a handle
    # there is nothing to call.
    # @return [CloseResult]
    # @raise [StreamClosedError] only with data, on a stream that is closed
    def close_stream(data: nil, content_type: nil)
      text, is_value = data.nil? ? [nil, false] : Data.encode(data)
      DurableStreams.logger.info { "durable_streams: ending #{url}" }
      fields = Native.wait { native.close_stream(text, is_value, mime(content_type)) }
      CloseResult.new(final_offset: fields[:final_offset]).freeze
    end
    alias close close_stream

    # Lets go of the handle; the stream stays open.
    def disconnect
      nil
    end

    # Deletes the stream with all its data.
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

    def exists?
      head.exists
    rescue StreamNotFoundError
      false
    end

    # A read from `offset`, and with `live` on from the tail until the stream is closed. With a
    # block: yields the reader, closes it, returns the block's value.
    # @param live [Symbol, Boolean, nil] `:off`, `:long_poll`, `:sse`, `:auto`
    # @param format [Symbol] `:auto` yields batches, `:json` messages, `:bytes` chunks
    # @return [Reader]
    def read(offset: "-1", live: :off, cursor: nil, format: :auto, if_none_match: nil)
      reader_class = READERS.fetch(format) { raise ArgumentError, "format: #{format.inspect} is none of #{READERS.keys}" }
      mode = LIVE.fetch(live) { raise ArgumentError, "live: #{live.inspect} is none of :off, :long_poll, :sse, :auto" }
      # With callables every request is made by the thread that reads.
      options = { offset: offset, live: mode, cursor: cursor, if_none_match: if_none_match, read_ahead: !@calls }
      reader = reader_class.new(Native::Reader.new(native, options), offset || "-1")
      return reader unless block_given?

      begin
        yield reader
      ensure
        reader.close
      end
    end

    # @return [JsonReader] an Enumerable of messages
    def read_json(**options, &block)
      read(**options, format: :json, &block)
    end

    # @return [ByteReader] an Enumerable of {ByteChunk}s
    def read_bytes(**options, &block)
      read(**options, format: :bytes, &block)
    end

    # @return [Array] every message, or every chunk that has data
    def read_all(offset: "-1")
      read(offset: offset).flat_map do |batch|
        batch.respond_to?(:items) ? batch.items : [batch].reject { |chunk| chunk.data.empty? }
      end
    end

    # Yields the messages there are.
    def each(&block)
      return enum_for(:each) unless block

      read_json.each(&block)
      self
    end

    def url
      native.url
    end

    # @return [String, nil] the content type, if it was stated or learned
    def content_type
      native.content_type
    end

    def json?
      content_type.to_s.split(";").first.to_s.strip.casecmp?("application/json")
    end

    def inspect
      "#<#{self.class} #{url}>"
    end

    # The extension's handle; another one in the child of a fork.
    # @api private
    def native
      make_native unless @generation == Native.generation
      @native
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

    def mime(content_type)
      CONTENT_TYPES.fetch(content_type, content_type)
    end
  end
end
