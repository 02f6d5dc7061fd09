# frozen_string_literal: true

module DurableStreams
  # Settings that handles share.
  class Configuration
    attr_accessor :base_url, :default_content_type, :default_headers, :retry_policy
    # Limits in seconds: of a request, of an unanswered long-poll, of the silence of an SSE answer.
    attr_accessor :timeout, :long_poll_timeout, :sse_idle_timeout

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
      { timeout_ms: timeout, long_poll_timeout_ms: long_poll_timeout, sse_idle_timeout_ms: sse_idle_timeout }
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
    attr_reader :configuration

    def initialize(configuration = Configuration.new)
      yield configuration if block_given?
      @configuration = configuration.freeze
    end

    # A handle of the extension.
    # @api private
    def native(url, headers:, params: {}, content_type: nil, batching: true)
      static, callables = configuration.default_headers.merge(headers).partition { |_, value| !value.respond_to?(:call) }
      static_params, callable_params = params.partition { |_, value| !value.respond_to?(:call) }
      Native::Stream.new(
        url: url, base_url: configuration.base_url, content_type: content_type, batching: batching,
        headers: texts(static), params: texts(static_params), source: source(callables, callable_params),
        **configuration.limit_options, **configuration.retry_options
      )
    end

    private

    # Asked before every HTTP request.
    def source(headers, params)
      return if headers.empty? && params.empty?

      -> { [headers, params].map { |pairs| texts(pairs.map { |name, value| [name, value.call] }) } }
    end

    def texts(pairs)
      pairs.map { |name, value| [name.to_s, value.to_s] }
    end
  end
end
