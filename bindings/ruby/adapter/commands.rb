# frozen_string_literal: true

require "timeout"

# One method per command.
class Commands
  MAX_CHUNKS = 100
  TIMEOUT_MS = 5000
  # Longer than any batch takes to fill: only the flush sends it.
  LONG_LINGER_MS = 60_000

  class DeadlineReached < StandardError; end

  def initialize
    @session = Session.new
  end

  def perform(command)
    kind = command["type"]
    name = kind.tr("-", "_")
    raise Outcome::NotSupported, "there is no command #{kind.inspect}" unless Commands.public_instance_methods(false).include?(name.to_sym) && name != "perform"

    public_send(name, command)
  rescue StandardError => e
    Outcome.failure(kind, e)
  end

  def init(command) = @session.init(command)
  def configure(command) = @session.configure(command)
  def shutdown(_command) = Outcome.success("shutdown")

  def set_dynamic_header(command)
    @session.headers[command["name"]] = Dynamic.new(command)
    Outcome.success("set-dynamic-header")
  end

  def set_dynamic_param(command)
    @session.params[command["name"]] = Dynamic.new(command)
    Outcome.success("set-dynamic-param")
  end

  def clear_dynamic(_command)
    @session.headers.clear
    @session.params.clear
    Outcome.success("clear-dynamic")
  end

  def create(command)
    stream = @session.stream(command)
    type = command["contentType"] || (Session::OCTETS unless command.key?("forkFrom"))
    stream = DurableStreams::Stream.new(stream.url, context: @session.context, headers: command.fetch("headers", {}))
    stream.create(content_type: type, ttl_seconds: command["ttlSeconds"], expires_at: command["expiresAt"],
                  body: command["data"], closed: command.fetch("closed", false), fork_from: command["forkFrom"],
                  fork_offset: command["forkOffset"], fork_sub_offset: command["forkSubOffset"])
    created = stream.created
    @session.learn(command, created[:content_type] || type || Session::OCTETS)
    Outcome.success("create", status: created[:status], offset: created[:next_offset], headers: created[:headers])
  end

  def connect(command)
    head(command).merge(type: "connect")
  end

  def head(command)
    found = @session.stream(command).head
    @session.learn(command, found.content_type)
    Outcome.success("head", status: found.status, offset: found.offset, contentType: found.content_type,
                            ttlSeconds: found.ttl_seconds, expiresAt: found.expires_at, headers: found.headers,
                            streamClosed: found.stream_closed)
  end

  def append(command)
    sent = @session.sent(command)
    appended = @session.stream(command, sent).append(
      body(command), seq: command["seq"], producer_id: command["producerId"],
                     producer_epoch: command["producerEpoch"], producer_seq: command["producerSeq"]
    )
    Outcome.success("append", status: 200, offset: appended.next_offset, headers: appended.headers,
                              duplicate: (appended.duplicate if command.key?("producerId")),
                              producerEpoch: appended.producer_epoch, producerSeq: appended.producer_seq, **sent.fields)
  end

  def delete(command)
    @session.stream(command).delete
    @session.learn(command, nil)
    Outcome.success("delete", status: 200)
  end

  def close(command)
    data = command.key?("data") ? body(command) : nil
    closed = @session.stream(command).close_stream(data: data, content_type: command["contentType"])
    Outcome.success("close", status: 200, finalOffset: closed.final_offset || "")
  end

  # One read, or `readers` of the same at once.
  def read(command)
    return one_read(command) unless command.key?("readers")

    threads = Array.new(command["readers"]) do
      Thread.new { one_read(command) }.tap { |thread| thread.report_on_exception = false }
    end
    Outcome.success("read", results: threads.map(&:value))
  end

  def idempotent_append(command)
    producer = kept(command)
    producer.append(command["data"])
    producer.flush
    last = producer.last_result
    Outcome.success("idempotent-append", status: 200, offset: last.next_offset, duplicate: last.duplicate,
                                         producerEpoch: last.epoch, producerSeq: last.seq)
  end

  def idempotent_append_batch(command)
    most = command.fetch("maxInFlight", 1)
    options = most > 1 ? { max_in_flight: most, max_batch_items: 1, linger_ms: 0 } : { max_in_flight: 1, linger_ms: LONG_LINGER_MS }
    producer = opened(command, **options)
    begin
      command["items"].each { |item| producer << item }
      producer.flush
      last = producer.last_result
    ensure
      producer.close
    end
    Outcome.success("idempotent-append-batch", status: 200, duplicate: last.duplicate, producerEpoch: last.epoch,
                                               producerSeq: last.seq)
  end

  def idempotent_close(command)
    closed = kept(command).close_stream(data: command["data"])
    Outcome.success("idempotent-close", status: 200, finalOffset: closed.final_offset)
  end

  def idempotent_detach(command)
    @session.producers.delete(key(command))&.close
    Outcome.success("idempotent-detach", status: 200)
  end

  # Starts the producer's next epoch; it stays under the epoch it was named with.
  def idempotent_restart(command)
    Outcome.success("idempotent-restart", status: 200, producerEpoch: kept(command).restart.epoch)
  end

  def validate(command)
    target = command["target"].dup
    kind = target.delete("target")
    values = target.transform_keys { |name| name.gsub(/[A-Z]/) { |letter| "_#{letter.downcase}" }.to_sym }
    url = "http://127.0.0.1:9/validated"
    case kind
    when "retry-options" then validate_retry(url, values)
    when "idempotent-producer"
      stream = DurableStreams::Stream.new(url, content_type: "text/plain")
      DurableStreams::Producer.new(stream: stream, **{ producer_id: "validated" }.merge(values))
    else raise Outcome::NotSupported, "there is no target #{kind.inspect}"
    end
    Outcome.success("validate")
  end

  private

  def validate_retry(url, values)
    delays = { initial_delay: values.delete(:initial_delay_ms), max_delay: values.delete(:max_delay_ms) }
    policy = DurableStreams::RetryPolicy.new(**values, **delays.compact.transform_values { |ms| ms / 1000.0 })
    context = DurableStreams.new_context { |config| config.retry_policy = policy }
    DurableStreams::Stream.new(url, context: context)
  end

  # JSON text stays one message.
  def body(command)
    command["binary"] ? command["data"].unpack1("m") : command.fetch("data", "")
  end

  def kept(command)
    @session.producers[key(command)] ||= opened(command, max_in_flight: 1, linger_ms: 0)
  end

  def key(command)
    command.values_at("path", "producerId", "epoch")
  end

  def opened(command, **options)
    DurableStreams::Producer.new(stream: @session.stream(command), producer_id: command["producerId"],
                                 epoch: command.fetch("epoch", 0), auto_claim: command.fetch("autoClaim", false),
                                 **options)
  end

  def one_read(command)
    sent = @session.sent(command)
    stream = @session.stream(command, sent)
    # If nothing ever arrives, there is nothing the reader is behind of.
    collected = { status: 200, chunks: [], offset: command.fetch("offset", "-1"), upToDate: true, streamClosed: false }
    begin
      Timeout.timeout(command.fetch("timeoutMs", TIMEOUT_MS) / 1000.0, DeadlineReached) do
        collect(stream, command, collected)
      end
    rescue DeadlineReached
      # Running out of time ends a read; that is no error of the client.
    end
    Outcome.success("read", **collected, **sent.fields)
  end

  def collect(stream, command, collected)
    live = command.fetch("live", false)
    options = { offset: command["offset"], live: live, cursor: command["cursor"], if_none_match: command["ifNoneMatch"] }
    stream.read(**options) do |reader|
      reader.each_batch do |batch|
        chunk = chunk(batch)
        collected[:chunks] << chunk if chunk
        collected.update(status: batch.status, offset: batch.offset, upToDate: batch.up_to_date,
                         streamClosed: batch.stream_closed, cursor: batch.cursor)
        caught_up = command["waitForUpToDate"] && batch.up_to_date
        break if collected[:chunks].size >= command.fetch("maxChunks", MAX_CHUNKS) || caught_up || batch.stream_closed
      end
    end
  end

  def chunk(batch)
    return if batch.empty?
    return { data: batch.text, offset: batch.offset } if batch.respond_to?(:items)

    text = batch.data.dup.force_encoding(Encoding::UTF_8)
    return { data: text, offset: batch.offset } if text.valid_encoding?

    { data: [batch.data].pack("m0"), offset: batch.offset, binary: true }
  end
end
