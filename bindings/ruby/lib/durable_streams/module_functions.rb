# frozen_string_literal: true

# Settings of the process, and shortcuts for one call.
module DurableStreams
  class << self
    # @param value [Logger] where news goes from now on
    attr_writer :logger

    # Where news goes; by default warnings to standard error.
    # @return [Logger]
    def logger
      @logger ||= Logger.new($stderr, level: Logger::WARN)
    end

    # Yields the default configuration, which does not change afterwards.
    # @yieldparam configuration [Configuration]
    # @return [Configuration]
    def configure(&block)
      @default_context = new_context(&block)
      configuration
    end

    # @return [Configuration] the default one
    def configuration
      default_context.configuration
    end

    # Makes the default configuration what it was.
    # @return [nil]
    def reset_configuration!
      @default_context = nil
    end

    # Settings of their own, for handles that are given `context:`.
    # @yieldparam configuration [Configuration]
    # @return [Context]
    def new_context(&block)
      Context.new(&block)
    end

    # @return [Context]
    def default_context
      @default_context ||= Context.new
    end

    # A handle, without any I/O.
    # @param url [String]
    # @param options [Hash] those of {Stream#initialize}
    # @return [Stream]
    def stream(url, **options)
      Stream.new(url, **options)
    end

    # @param url [String]
    # @param content_type [Symbol, String]
    # @param options [Hash] those of {Stream.create}
    # @return [Stream] a new stream
    # @raise [StreamExistsError]
    def create(url, content_type: configuration.default_content_type, **options)
      Stream.create(url, content_type: content_type, **options)
    end

    # @param url [String]
    # @param data [String, Hash, Array]
    # @param options [Hash] those of {Stream#append}
    # @return [AppendResult]
    def append(url, data, **options)
      Stream.new(url).append(data, **options)
    end

    # @param url [String]
    # @param options [Hash] those of {Stream#read}
    # @return [Reader, Object]
    def read(url, **options, &block)
      Stream.new(url).read(**options, &block)
    end
  end
end
