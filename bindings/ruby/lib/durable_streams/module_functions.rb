# frozen_string_literal: true

# Settings of the process, and shortcuts for one call.
module DurableStreams
  class << self
    attr_writer :logger

    # Where news goes; by default warnings to standard error.
    def logger
      @logger ||= Logger.new($stderr, level: Logger::WARN)
    end

    # Yields the default configuration, which does not change afterwards.
    def configure(&block)
      @default_context = new_context(&block)
      configuration
    end

    def configuration
      default_context.configuration
    end

    def reset_configuration!
      @default_context = nil
    end

    def new_context(&block)
      Context.new(&block)
    end

    def default_context
      @default_context ||= Context.new
    end

    def stream(url, **options)
      Stream.new(url, **options)
    end

    def create(url, content_type: configuration.default_content_type, **options)
      Stream.create(url, content_type: content_type, **options)
    end

    def append(url, data, **options)
      Stream.new(url).append(data, **options)
    end

    def read(url, **options, &block)
      Stream.new(url).read(**options, &block)
    end
  end
end
