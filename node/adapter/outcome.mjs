// Results and errors as the runner reads them.

/** Why a command failed, when the client was not asked. */
export class Problem extends Error {
  constructor(code, message, status) {
    super(message)
    this.kitCode = code
    this.status = status
  }
}

/** A success with what there is to tell; `undefined` fields stay away. */
export const success = (type, fields = {}) => ({ type, success: true, ...fields })

/** Headers of an answer as a map. */
export const headersOf = (headers) => Object.fromEntries(headers ?? [])

/** The result line of an error. */
export function failed(commandType, error) {
  const result = {
    type: "error",
    success: false,
    commandType,
    errorCode: kitCode(error),
    message: String(error?.message ?? error),
    status: error?.status,
  }
  const details = {
    code: error?.coreCode,
    finalOffset: error?.finalOffset,
    currentEpoch: error?.currentEpoch,
    expectedSeq: error?.expectedSeq,
    receivedSeq: error?.receivedSeq,
  }
  if (Object.values(details).some((value) => value !== undefined)) result.details = details
  if (result.errorCode === "INTERNAL_ERROR") process.stderr.write(`${error?.stack ?? error}\n`)
  return result
}

/** The kit's name of a core code; the kit has fewer. */
const KIT_CODES = {
  NOT_FOUND: "NOT_FOUND",
  INVALID_OFFSET: "INVALID_OFFSET",
  INVALID_ARGUMENT: "INVALID_ARGUMENT",
  SEQUENCE_CONFLICT: "SEQUENCE_CONFLICT",
  STREAM_CLOSED: "STREAM_CLOSED",
  NETWORK_ERROR: "NETWORK_ERROR",
  TIMEOUT: "TIMEOUT",
  PARSE_ERROR: "PARSE_ERROR",
  NOT_SUPPORTED: "NOT_SUPPORTED",
  INTERNAL_ERROR: "INTERNAL_ERROR",
  ALREADY_EXISTS: "CONFLICT",
  CONFLICT: "CONFLICT",
  CONTENT_TYPE_MISMATCH: "CONFLICT",
  SEQUENCE_GAP: "SEQUENCE_CONFLICT",
  BAD_REQUEST: "UNEXPECTED_STATUS",
  PAYLOAD_TOO_LARGE: "UNEXPECTED_STATUS",
  UNAUTHORIZED: "UNEXPECTED_STATUS",
  FORBIDDEN: "UNEXPECTED_STATUS",
  GONE: "UNEXPECTED_STATUS",
  STALE_EPOCH: "UNEXPECTED_STATUS",
  RATE_LIMITED: "UNEXPECTED_STATUS",
  BUSY: "UNEXPECTED_STATUS",
  UNEXPECTED_STATUS: "UNEXPECTED_STATUS",
  OFFSET_WENT_BACKWARDS: "PARSE_ERROR",
  ALREADY_CLOSED: "INVALID_ARGUMENT",
  CANCELLED: "INTERNAL_ERROR",
}

function kitCode(error) {
  if (error instanceof Problem) return error.kitCode
  return KIT_CODES[error?.coreCode] ?? "INTERNAL_ERROR"
}
