# frozen_string_literal: true

module DurableStreams
  # Writes every message exactly once, in order, in batches. May be shared by threads. After a
  # fork the child needs a new one; nothing is flushed at exit.
  class Producer
    # @param stream [Stream] or `url:`
    # @param on_error [#call, nil] is told of every batch that is given up
    # @raise [ArgumentError] naming the setting
    def initialize(producer_id:, stream: nil, url: nil, epoch: nil, auto_claim: false, max_batch_bytes: nil,
                   max_batch_items: nil, linger_ms: nil, max_in_flight: nil, content_type: nil, headers: {},
                   on_error: nil, context: DurableStreams.default_context)
      raise ArgumentError, "stream: give either stream: or url:" if stream.nil? == url.nil?

      stream ||= Stream.new(url, context: context, content_type: content_type || :json)
      Native.keep_dispatcher if stream.calls? || on_error
      type = Stream::CONTENT_TYPES.fetch(content_type, content_type)
      @native = Native::Producer.new(
        stream.native,
        { producer_id: producer_id.to_s, epoch: epoch, auto_claim: auto_claim, max_batch_bytes: max_batch_bytes,
          max_batch_items: max_batch_items, linger_ms: linger_ms, max_in_flight: max_in_flight, content_type: type,
          headers: headers.map { |name, value| [name.to_s, value.to_s] }, on_error: on_error }
      )
      @closed = false
    end

    # With a block: yields a producer, flushes and closes it, returns the block's value; the
    # first error wins. Else returns the producer.
    def self.open(**options)
      producer = new(**options)
      return producer unless block_given?

      begin
        value = yield producer
      rescue Exception # rubocop:disable Lint/RescueException
        begin
          producer.close
        rescue DurableStreamError
          # The first error wins.
        end
        raise
      end
      producer.close
      value
    end

    # Takes a message, and waits only while the queue is full.
    # @raise [ClosedError]
    def append(data)
      check_open
      text, = Data.encode(data)
      Native.wait { @native.append(text) }
      nil
    end

    # @return [self]
    def <<(data)
      append(data)
      self
    end

    # Takes a message and waits until the server has stored it.
    # @return [ProducerResult]
    def append!(data)
      check_open
      text, = Data.encode(data)
      ProducerResult.new(**Native.wait { @native.append_and_wait(text) }).freeze
    end

    # Sends what is collected and waits until all of it is stored.
    # @raise [ProducerError] the first failure since the last flush that raised one
    def flush
      marked { Native.wait { @native.flush } }
      nil
    end

    # Flushes and stops; the stream stays open. Safe to repeat.
    # @raise [ProducerError]
    def close
      return if @closed

      @closed = true
      marked { Native.wait { @native.detach } }
      nil
    end

    # Flushes, then ends the stream for everyone, with a last message if there is one. Repeating
    # it returns the same.
    # @return [CloseResult]
    def close_stream(data: nil)
      text = data.nil? ? nil : Data.encode(data).first
      final_offset = marked { Native.wait { @native.close_stream(text) } }
      @closed = true
      CloseResult.new(final_offset: final_offset).freeze
    end

    # Flushes and goes on in the next epoch, from sequence number 0.
    # @return [self]
    def restart
      check_open
      marked { Native.wait { @native.restart } }
      self
    end

    def closed?
      @closed
    end

    def epoch
      @native.epoch
    end

    # @return [Integer] the sequence number the next batch will get
    def seq
      @native.next_seq
    end

    # @return [Integer] messages taken whose fate is not known yet
    def pending
      @native.pending_messages
    end

    # @return [ProducerResult, nil] what the server said to the newest batch it acknowledged
    def last_result
      fields = @native.last_acknowledged
      fields && ProducerResult.new(**fields).freeze
    end

    private

    def check_open
      raise ClosedError.new("the producer is closed", code: "ALREADY_CLOSED") if @closed
    end

    def marked
      yield
    rescue DurableStreamError => e
      raise e.extend(ProducerError)
    end
  end
end
