# frozen_string_literal: true

# Results and errors as the runner reads them.
module Outcome
  # The kit's name of what `reason` says; the kit has fewer.
  KIT_CODES = {
    "NOT_FOUND" => "NOT_FOUND", "INVALID_OFFSET" => "INVALID_OFFSET", "INVALID_ARGUMENT" => "INVALID_ARGUMENT",
    "ALREADY_CLOSED" => "INVALID_ARGUMENT", "ALREADY_EXISTS" => "CONFLICT", "CONFLICT" => "CONFLICT",
    "CONTENT_TYPE_MISMATCH" => "CONFLICT", "SEQUENCE_CONFLICT" => "SEQUENCE_CONFLICT",
    "SEQUENCE_GAP" => "SEQUENCE_CONFLICT", "STREAM_CLOSED" => "STREAM_CLOSED", "NETWORK_ERROR" => "NETWORK_ERROR",
    "TIMEOUT" => "TIMEOUT", "PARSE_ERROR" => "PARSE_ERROR", "OFFSET_WENT_BACKWARDS" => "PARSE_ERROR",
    "NOT_SUPPORTED" => "NOT_SUPPORTED", "INTERNAL_ERROR" => "INTERNAL_ERROR", "CANCELLED" => "INTERNAL_ERROR"
  }.freeze

  # The adapter cannot do this.
  class NotSupported < StandardError; end

  module_function

  # Fields without a value are left out.
  def success(kind, **fields)
    { type: kind, success: true, **fields.compact }
  end

  def error(kind, code, message, status: nil, details: {})
    result = { type: "error", success: false, commandType: kind, errorCode: code, message: message }
    result[:status] = status if status
    result[:details] = details unless details.empty?
    result
  end

  def failure(kind, problem)
    case problem
    when NotSupported then error(kind, "NOT_SUPPORTED", problem.message)
    when DurableStreams::DurableStreamError
      reason = problem.reason || problem.code
      details = { finalOffset: problem.final_offset, currentEpoch: problem.current_epoch,
                  expectedSeq: problem.expected_seq, receivedSeq: problem.received_seq, code: reason }.compact
      error(kind, KIT_CODES.fetch(reason, "UNEXPECTED_STATUS"), problem.message, status: problem.status,
                                                                                 details: details)
    when ArgumentError
      # What the client refuses itself the server would refuse with 400.
      error(kind, "INVALID_ARGUMENT", problem.message, status: (400 if kind == "append"),
                                                      details: { code: "INVALID_ARGUMENT" })
    else error(kind, "INTERNAL_ERROR", "#{problem.class}: #{problem.message}")
    end
  end
end
