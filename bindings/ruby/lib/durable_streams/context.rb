# frozen_string_literal: true

module DurableStreams
  # Settings that handles share.
  class Configuration
    # @return [String, nil] what paths are joined to
    attr_accessor :base_url
    # @return [Symbol, String] content type of {DurableStreams.create}
    attr_accessor :default_content_type
    # @return [Hash] headers of every request; a value that answers `call` is called for each
    attr_accessor :default_headers
    # @return [RetryPolicy] how requests are repeated
    attr_accessor :retry_policy
    # @return [Numeric] limit of one request, in seconds
    attr_accessor :timeout
    # @return [Numeric, nil] limit of making a connection, in seconds; then on connections of its own
    attr_accessor :connect_timeout
    # @return [Numeric, nil] limit of an unanswered long-poll, in seconds
    attr_accessor :long_poll_timeout
    # @return [Numeric, nil] limit of the silence of an SSE answer, in seconds
    attr_accessor :sse_idle_timeout

    # @param base_url [String, nil]
    # @param default_headers [Hash]
    # @param timeout [Numeric] seconds
    # @param retry_policy [RetryPolicy, nil]
    # @param default_content_type [Symbol, String]
    def initialize(base_url: nil, default_headers: {}, timeout: 30, retry_policy: nil, default_content_type: :json)
      @base_url = base_url
      @default_content_type = default_content_type
      @default_headers = default_headers
      @timeout = timeout
      @retry_policy = retry_policy || RetryPolicy.default
    end

    # The options of the extension that say how long to wait.
    # @api private
    def limit_options
      { timeout_ms: timeout, connect_timeout_ms: connect_timeout, long_poll_timeout_ms: long_poll_timeout,
        sse_idle_timeout_ms: sse_idle_timeout }
        .compact.transform_values { |seconds| seconds * 1000.0 }
    end

    # The options of the extension that say how requests are repeated.
    # @api private
    def retry_options
      policy = retry_policy
      { max_retries: policy.max_retries, initial_delay_ms: policy.initial_delay * 1000.0,
        max_delay_ms: policy.max_delay * 1000.0, multiplier: policy.multiplier }
    end
  end

  # A configuration that no longer changes.
  class Context
    # @return [Configuration]
    attr_reader :configuration

    # @param configuration [Configuration]
    # @yieldparam configuration [Configuration] to set fields of
    def initialize(configuration = Configuration.new)
      yield configuration if block_given?
      @configuration = configuration.freeze
    end

    # What paths are joined to.
    # @api private
    def base_url
      configuration.base_url || Native.mock&.base_url
    end

    # A handle of the extension.
    # @api private
    def native(url, headers:, params: {}, content_type: nil, batching: true)
      calls, static = configuration.default_headers.merge(headers).partition { |_, value| value.respond_to?(:call) }
      param_calls, static_params = params.partition { |_, value| value.respond_to?(:call) }
      Native::Stream.new(
        { url: url, base_url: base_url, content_type: content_type, batching: batching,
          headers: Pairs.texts(static), params: Pairs.texts(static_params), source: source(calls, param_calls),
          mock: Native.mock&.native, **configuration.limit_options, **configuration.retry_options }
      )
    end

    private

    # Asked before every HTTP request.
    def source(headers, params)
      return if headers.empty? && params.empty?

      -> { [Pairs.texts(headers), Pairs.texts(params)] }
    end
  end
end
