# frozen_string_literal: true

module DurableStreams
  # Base of everything that fails between the client and a server.
  class DurableStreamError < StandardError
    # @return [String, nil] what to branch on besides the class
    attr_reader :code
    # @return [String, nil] the core's own code, finer than {#code}
    attr_reader :reason
    # @return [Integer, nil] HTTP status, if an answer arrived
    attr_reader :status
    # @return [String, nil] the stream's URL, without credentials
    attr_reader :url
    # @return [Hash{String => String}] headers of the answer
    attr_reader :headers
    # @return [String, nil] final offset of a closed stream
    attr_reader :final_offset
    # @return [Integer, nil] epoch in force, of a stale-epoch answer
    attr_reader :current_epoch
    # @return [Integer, nil] sequence number the server would accept
    attr_reader :expected_seq
    # @return [Integer, nil] sequence number the server received
    attr_reader :received_seq
    # @return [Float, nil] least delay the server asked for, in seconds
    attr_reader :retry_after

    # @return [Integer, nil] how many times the request was sent
    attr_reader :attempts
    # @return [String, nil] what was being done, such as `append`
    attr_reader :operation
    # @return [String, nil] what happened, without URL and operation
    attr_reader :detail
    # @return [String, nil] what the server said about it
    attr_reader :server_text

    alias status_code status

    # @api private
    def initialize(message = nil, code: nil, **facts)
      super(message)
      @code = code
      @headers = facts.fetch(:headers, {})
      @reason, @status, @url, @final_offset, @current_epoch, @expected_seq, @received_seq =
        facts.values_at(:reason, :status, :url, :final_offset, :current_epoch, :expected_seq, :received_seq)
      @attempts, @operation, @detail, @server_text = facts.values_at(:attempts, :operation, :detail, :server_text)
      @may_be_applied = facts.fetch(:may_be_applied, false)
      @retry_after = facts[:retry_after_ms]&./(1000.0)
    end

    # Whether the server may have carried the request out all the same.
    # @return [Boolean]
    def may_be_applied?
      @may_be_applied
    end
  end

  # The same under its other name.
  Error = DurableStreamError

  # There is no such stream: 404.
  class StreamNotFoundError < DurableStreamError; end
  # A stream exists with other settings: 409 to a creation.
  class StreamExistsError < DurableStreamError; end
  # The stream is closed: nothing can follow.
  class StreamClosedError < DurableStreamError; end
  # Another writer was faster: 409 to an append with `seq:`.
  class SeqConflictError < DurableStreamError; end
  # The stream has another content type.
  class ContentTypeMismatchError < DurableStreamError; end
  # 401.
  class UnauthorizedError < DurableStreamError; end
  # 403.
  class ForbiddenError < DurableStreamError; end
  # A newer writer holds the producer's id.
  class StaleEpochError < ForbiddenError; end
  # A producer's request is missing before this one: {#expected_seq}, {#received_seq}.
  class SequenceGapError < DurableStreamError; end
  # 429: {#retry_after} says when to come again.
  class RateLimitedError < DurableStreamError; end
  # 400, such as an offset that is none.
  class BadRequestError < DurableStreamError; end
  # The connection broke, or there was none.
  class ConnectionError < DurableStreamError; end
  # No answer in time.
  class TimeoutError < DurableStreamError; end
  # A reader is iterated once.
  class AlreadyConsumedError < DurableStreamError; end
  # The object was closed, or its read was closed by another thread.
  class ClosedError < DurableStreamError; end
  # A server does not offer server-sent events. Kept for programs that name it: a read goes on
  # with long-polls instead.
  class SSENotSupportedError < DurableStreamError; end
  # An answer, or the stream's data, is not what it says.
  class ParseError < DurableStreamError; end
  # Any other answer.
  class FetchError < DurableStreamError; end

  # An argument that cannot be used; nothing was sent.
  class InvalidArgumentError < ArgumentError
    # @return [String] `INVALID_ARGUMENT`
    attr_reader :code

    # @api private
    def initialize(message = nil, **)
      super(message)
      @code = "INVALID_ARGUMENT"
    end
  end

  # Marks what {Producer#flush} and {Producer#close} raise. The error keeps its class too.
  module ProducerError; end

  # Picks the class of an error of the core.
  # @api private
  module Errors
    # By the core's code: the class, and the code it shows.
    TABLE = {
      "BAD_REQUEST" => [BadRequestError, "BAD_REQUEST"],
      "INVALID_OFFSET" => [BadRequestError, "BAD_REQUEST"],
      "PAYLOAD_TOO_LARGE" => [FetchError, "PAYLOAD_TOO_LARGE"],
      "UNAUTHORIZED" => [UnauthorizedError, "UNAUTHORIZED"],
      "FORBIDDEN" => [ForbiddenError, "FORBIDDEN"],
      "NOT_FOUND" => [StreamNotFoundError, "NOT_FOUND"],
      "GONE" => [FetchError, "GONE"],
      "ALREADY_EXISTS" => [StreamExistsError, "CONFLICT_EXISTS"],
      "CONFLICT" => [SeqConflictError, "CONFLICT_SEQ"],
      "CONTENT_TYPE_MISMATCH" => [ContentTypeMismatchError, "CONFLICT"],
      "SEQUENCE_CONFLICT" => [SeqConflictError, "CONFLICT_SEQ"],
      "STREAM_CLOSED" => [StreamClosedError, "STREAM_CLOSED"],
      "SEQUENCE_GAP" => [SequenceGapError, "SEQUENCE_GAP"],
      "STALE_EPOCH" => [StaleEpochError, "FORBIDDEN"],
      "RATE_LIMITED" => [RateLimitedError, "RATE_LIMITED"],
      "NETWORK_ERROR" => [ConnectionError, "NETWORK_ERROR"],
      "TIMEOUT" => [TimeoutError, "TIMEOUT"],
      "PARSE_ERROR" => [ParseError, "PARSE_ERROR"],
      "OFFSET_WENT_BACKWARDS" => [ParseError, "PARSE_ERROR"],
      "CANCELLED" => [ClosedError, "CANCELLED"],
      "ALREADY_CLOSED" => [ClosedError, "ALREADY_CLOSED"]
    }.freeze

    # @return [Exception]
    def self.build(facts)
      return InvalidArgumentError.new(facts[:message]) if facts[:reason] == "INVALID_ARGUMENT"

      error_class, code = TABLE.fetch(facts[:reason]) { [FetchError, facts[:reason]] }
      error_class.new(facts[:message], code: code, **facts)
    end
  end
end
