# frozen_string_literal: true

module DurableStreams
  # Makes handles that share settings. May be shared by threads.
  class Client
    # @return [Context]
    attr_reader :context

    # @param base_url [String, nil] what paths are joined to
    # @param headers [Hash] headers of every request; a value that answers `call` is called for each
    # @param timeout [Numeric] limit of one request, in seconds
    # @param retry_policy [RetryPolicy, nil]
    def initialize(base_url: nil, headers: {}, timeout: 30, retry_policy: nil)
      @context = Context.new(
        Configuration.new(base_url: base_url, default_headers: headers, timeout: timeout, retry_policy: retry_policy)
      )
      @closed = false
    end

    # Without its headers, which may be credentials.
    # @return [String]
    def inspect
      "#<#{self.class} #{context.configuration.base_url}#{' closed' if closed?}>"
    end

    # With a block: yields a client, closes it, returns the block's value. Else returns the client.
    # @param options [Hash] those of {#initialize}
    # @yieldparam client [Client]
    # @return [Client, Object]
    def self.open(**options)
      client = new(**options)
      return client unless block_given?

      begin
        yield client
      ensure
        client.close
      end
    end

    # A handle, without any I/O.
    # @param url [String] a URL, or a path below `base_url`
    # @param options [Hash] those of {Stream#initialize}
    # @return [Stream]
    # @raise [ClosedError]
    def stream(url, **options)
      check_open
      Stream.new(url, context: context, **options)
    end

    # @param url [String]
    # @param options [Hash] those of {Stream.connect}
    # @return [Stream] a stream that exists, checked by HEAD
    # @raise [StreamNotFoundError]
    def connect(url, **options)
      check_open
      Stream.connect(url, context: context, **options)
    end

    # @param url [String]
    # @param options [Hash] those of {Stream.create}
    # @return [Stream] a new stream
    # @raise [StreamExistsError]
    def create(url, **options)
      check_open
      Stream.create(url, context: context, **options)
    end

    # Makes no more handles. Those that exist go on; connections are shared by the process.
    # Safe to repeat.
    # @return [nil]
    def close
      @closed = true
      nil
    end

    # @return [Boolean]
    def closed?
      @closed
    end

    private

    def check_open
      raise ClosedError.new("the client is closed", code: "ALREADY_CLOSED") if @closed
    end
  end
end
