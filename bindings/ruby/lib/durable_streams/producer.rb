# frozen_string_literal: true

module DurableStreams
  # Writes every message exactly once, in order, in batches. May be shared by threads. After a
  # fork the child needs a new one; nothing is flushed at exit.
  class Producer
    # @param producer_id [String] who writes
    # @param stream [Stream] where to; or `url:`
    # @param url [String, nil] where to; JSON unless `content_type:` says otherwise
    # @param epoch [Integer, nil] which incarnation of the writer this is; 0 when absent
    # @param auto_claim [Boolean] takes the stream over from an earlier writer of the same id
    # @param max_batch_bytes [Integer, nil] most bytes of a request; 1 MiB when absent
    # @param max_batch_items [Integer, nil] most messages of a request
    # @param linger_ms [Numeric, nil] how long a batch waits for more; 5 when absent
    # @param max_in_flight [Integer, nil] most requests under way; 5 when absent
    # @param max_queued_bytes [Integer, nil] most bytes in the queue before {#append} waits
    # @param max_queued_messages [Integer, nil] the same in messages
    # @param next_seq [Integer] only 0: an epoch begins there
    # @param content_type [Symbol, String, nil] instead of the handle's
    # @param headers [Hash] headers of every request; values may be callables
    # @param on_error [#call, nil] is told of every batch that is given up
    # @param context [Context] settings for `url:`
    # @raise [ArgumentError] naming the setting
    def initialize(producer_id:, stream: nil, url: nil, epoch: nil, auto_claim: false, max_batch_bytes: nil,
                   max_batch_items: nil, linger_ms: nil, max_in_flight: nil, max_queued_bytes: nil,
                   max_queued_messages: nil, next_seq: 0, content_type: nil, headers: {}, on_error: nil,
                   context: DurableStreams.default_context)
      raise ArgumentError, "stream: give either stream: or url:" if stream.nil? == url.nil?
      raise ArgumentError, "next_seq: an epoch begins at 0, got #{next_seq}; take a new epoch:" unless next_seq.zero?

      stream ||= Stream.new(url, context: context, content_type: content_type || :json)
      Native.keep_dispatcher if stream.calls? || Pairs.calls?(headers) || on_error
      # Callables belong to a handle, which asks them.
      native = Pairs.calls?(headers) ? stream.native_with(headers) : stream.native
      @native = Native::Producer.new(
        native,
        { producer_id: producer_id.to_s, epoch: epoch, auto_claim: auto_claim, max_batch_bytes: max_batch_bytes,
          max_batch_items: max_batch_items, linger_ms: linger_ms, max_in_flight: max_in_flight,
          max_queued_bytes: max_queued_bytes, max_queued_messages: max_queued_messages,
          content_type: Stream::CONTENT_TYPES.fetch(content_type, content_type),
          headers: Pairs.calls?(headers) ? [] : Pairs.texts(headers), on_error: on_error }
      )
      @closed = false
    end

    # With a block: yields a producer, flushes and closes it, returns the block's value; the
    # first error wins. Else returns the producer.
    # @param options [Hash] those of {#initialize}
    # @yieldparam producer [Producer]
    # @return [Producer, Object]
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
    # @param data [String, Hash, Array] on a JSON stream a String is JSON text
    # @return [nil]
    # @raise [ClosedError] after {#close}
    # @raise [ArgumentError] for what cannot be a message
    # @raise [DurableStreamError] once the producer has failed for good, such as {StaleEpochError}
    def append(data)
      check_open
      receipt = @native.append(data)
      Native.wait { receipt.room } if receipt
      nil
    end

    # The same as {#append}, to be chained.
    # @param data [String, Hash, Array]
    # @return [self]
    def <<(data)
      append(data)
      self
    end

    # Takes messages in their order, and waits only while the queue is full. Quicker than one by
    # one. When one is refused, those before it have been taken.
    # @param messages [Enumerable<String, Hash, Array>]
    # @return [nil]
    # @raise [DurableStreamError, ArgumentError] as {#append} does
    def append_all(messages)
      check_open
      messages = messages.to_a
      number = 0
      while number < messages.size
        number, receipt, refused = @native.append_all(messages, number)
        raise refused if refused

        Native.wait { receipt.room } if receipt
      end
      nil
    end

    # Takes a message and waits until the server has stored it.
    # @param data [String, Hash, Array]
    # @return [ProducerResult]
    # @raise [DurableStreamError] why it was not, or may not have been, stored
    def append!(data)
      check_open
      text, = Data.encode(data)
      ProducerResult.new(**Native.wait { @native.append_and_wait(text) }).freeze
    end

    # Sends what is collected and waits until all of it is stored.
    # @return [nil]
    # @raise [ProducerError] the first failure since the last flush that raised one
    def flush
      marked { Native.wait { @native.flush } }
      nil
    end

    # Flushes and stops; the stream stays open. Safe to repeat.
    # @return [nil]
    # @raise [ProducerError]
    def close
      return if @closed

      @closed = true
      marked { Native.wait { @native.detach } }
      nil
    end

    # Flushes, then ends the stream for everyone, with a last message if there is one. Repeating
    # it returns the same.
    # @param data [String, Hash, Array, nil]
    # @return [CloseResult]
    # @raise [ProducerError]
    def close_stream(data: nil)
      text = data.nil? ? nil : Data.encode(data).first
      final_offset = marked { Native.wait { @native.close_stream(text) } }
      @closed = true
      CloseResult.new(final_offset: final_offset).freeze
    end

    # Flushes and goes on in the next epoch, from sequence number 0.
    # @return [self]
    # @raise [ProducerError]
    def restart
      check_open
      marked { Native.wait { @native.restart } }
      self
    end

    # @return [Boolean] whether it was closed, or its stream through it
    def closed?
      @closed
    end

    # @return [Integer] the epoch in use
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

    # @return [Integer] the same in bytes
    def pending_bytes
      @native.pending_bytes
    end

    # @return [Integer] requests under way
    def in_flight
      @native.in_flight_batches
    end

    # @return [String, nil] offset after the newest batch that is stored
    def acknowledged_offset
      @native.acknowledged_offset
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
