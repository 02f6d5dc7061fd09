# frozen_string_literal: true

# What is kept between commands: content types, producers, dynamic values, time limits.
class Session
  FEATURES = %w[batching sse longPoll auto streaming dynamicHeaders retryOptions batchItems strictZeroValidation
                configure etag cursor fork producerRestart requestCounter errorDetails appendProducer readers
                failingProvider sseIdle].freeze
  OCTETS = "application/octet-stream"
  LIMITS = { "requestTimeoutMs" => :timeout=, "longPollTimeoutMs" => :long_poll_timeout=,
             "sseIdleTimeoutMs" => :sse_idle_timeout= }.freeze

  attr_reader :producers, :headers, :params

  def initialize
    forget("")
  end

  def init(command)
    forget(command["serverUrl"].chomp("/"))
    Outcome.success("init", clientName: "durable_streams (Ruby)", clientVersion: DurableStreams::VERSION,
                            features: FEATURES.to_h { |name| [name, true] })
  end

  # Time limits of the client from now on.
  def configure(command)
    @limits = LIMITS.filter_map { |name, field| [field, command[name] / 1000.0] if command.key?(name) }
    Outcome.success("configure")
  end

  # The handle of a command, with the content type known from earlier ones.
  def stream(command, sent = nil)
    headers = command.fetch("headers", {}).dup
    params = {}
    sent&.add_to(headers, params)
    DurableStreams::Stream.new(@server_url + command["path"], context: context, headers: headers, params: params,
                                                              content_type: content_type(command))
  end

  def context
    DurableStreams.new_context do |config|
      @limits.each { |field, seconds| config.public_send(field, seconds) }
    end
  end

  def content_type(command)
    @content_types.fetch(command["path"], OCTETS)
  end

  # Remembers the content type of a path, or forgets it.
  def learn(command, content_type)
    content_type ? @content_types[command["path"]] = content_type : @content_types.delete(command["path"])
  end

  # The dynamic values of one command.
  def sent(command)
    [*headers.values, *params.values].each(&:count_command)
    Sent.new(self, command)
  end

  private

  def forget(server_url)
    @server_url = server_url
    @content_types = {}
    @producers = {}
    @headers = {}
    @params = {}
    @limits = []
  end
end

# A header or parameter whose value changes; the client gets it as a callable.
class Dynamic
  def initialize(command)
    @kind = command["valueType"]
    unless %w[counter request-counter timestamp token failing].include?(@kind)
      raise Outcome::NotSupported, "there is no valueType #{@kind.inspect}"
    end

    # What a token is, or why a callable fails.
    @text = command.fetch("initialValue", "")
    @count = 0
  end

  def count_command
    @count += 1 unless @kind == "request-counter"
  end

  def next
    @count += 1 if @kind == "request-counter"
    case @kind
    when "timestamp" then (Time.now.to_f * 1000).to_i.to_s
    when "failing" then raise @text
    when "token" then @text
    else @count.to_s
    end
  end
end

# Which dynamic values a command has sent.
class Sent
  def initialize(session, command)
    own = command.fetch("headers", {}).keys.map(&:downcase)
    # What the command says itself wins.
    @headers = session.headers.reject { |name, _| own.include?(name.downcase) }
    @params = session.params
    @header_values = {}
    @param_values = {}
  end

  def add_to(headers, params)
    @headers.each { |name, dynamic| headers[name] = -> { @header_values[name] = dynamic.next } }
    @params.each { |name, dynamic| params[name] = -> { @param_values[name] = dynamic.next } }
  end

  def fields
    { headersSent: @header_values, paramsSent: @param_values }.reject { |_, values| values.empty? }
  end
end
