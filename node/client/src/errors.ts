// Errors: the classes users catch, and how failures of the core become one of them.
import { takeHostError } from "./host-errors.js"
import { native } from "./link.js"
import type { Meaning, Rejection } from "./native.js"

/** What a `DurableStreamError` can be about. */
export type DurableStreamErrorCode =
  | "NOT_FOUND"
  | "CONFLICT_SEQ"
  | "CONFLICT_EXISTS"
  | "BAD_REQUEST"
  | "BUSY"
  | "SSE_NOT_SUPPORTED"
  | "UNAUTHORIZED"
  | "FORBIDDEN"
  | "RATE_LIMITED"
  | "ALREADY_CONSUMED"
  | "ALREADY_CLOSED"
  | "PARSE_ERROR"
  | "STREAM_CLOSED"
  | "NETWORK_ERROR"
  | "TIMEOUT"
  | "UNKNOWN"

/** The codes that all languages share. */
export type CoreErrorCode =
  | "INVALID_ARGUMENT"
  | "BAD_REQUEST"
  | "INVALID_OFFSET"
  | "PAYLOAD_TOO_LARGE"
  | "UNAUTHORIZED"
  | "FORBIDDEN"
  | "NOT_FOUND"
  | "GONE"
  | "OFFSET_WENT_BACKWARDS"
  | "ALREADY_EXISTS"
  | "CONFLICT"
  | "CONTENT_TYPE_MISMATCH"
  | "SEQUENCE_CONFLICT"
  | "STREAM_CLOSED"
  | "SEQUENCE_GAP"
  | "STALE_EPOCH"
  | "RATE_LIMITED"
  | "NOT_SUPPORTED"
  | "BUSY"
  | "UNEXPECTED_STATUS"
  | "NETWORK_ERROR"
  | "TIMEOUT"
  | "PARSE_ERROR"
  | "CANCELLED"
  | "ALREADY_CLOSED"
  | "INTERNAL_ERROR"

/** Facts of an HTTP exchange, present where an answer arrived. */
interface HttpFacts {
  url?: string | undefined
  headers?: Record<string, string> | undefined
  text?: string | undefined
  json?: unknown
}

/** A failed operation. Branch on `code`, or on `coreCode`, which knows more cases. */
export class DurableStreamError extends Error {
  override readonly name: string = "DurableStreamError"
  readonly code: DurableStreamErrorCode
  /** HTTP status, if an answer arrived. */
  status?: number
  /** The answer's body, of an error made of an answer that others received. */
  details?: unknown
  /** What failed: `create`, `append`, `close`, `delete`, `head` or `read`. */
  operation?: string
  /** URL of the stream, without credentials. */
  url?: string
  /** Headers of the answer, if one arrived. */
  headers?: Record<string, string>
  /** The start of the answer's text. */
  text?: string
  /** The same, if it is JSON. */
  json?: unknown
  /** The code that all languages share. */
  coreCode?: CoreErrorCode
  /** Whether the server may have carried the request out all the same. */
  mayBeApplied?: boolean
  /** How many times the request was sent. */
  attempts?: number
  /** Least delay the server asked for, in milliseconds. */
  retryAfterMs?: number

  constructor(message: string, code: DurableStreamErrorCode, status?: number, details?: unknown) {
    super(message)
    this.code = code
    if (status !== undefined) this.status = status
    if (details !== undefined) this.details = details
  }

  /** The error of an HTTP answer: its class and code follow from status and headers. */
  static async fromResponse(response: Response, url: string): Promise<DurableStreamError> {
    return DurableStreamError.fromFetchError(await FetchError.fromResponse(response, url))
  }

  /** The same failure as a `DurableStreamError`. */
  static fromFetchError(error: FetchError): DurableStreamError {
    // `instanceof FetchError` is true for these, too.
    if ((error as unknown) instanceof DurableStreamError) return error as unknown as DurableStreamError
    const { status, url, message, headers } = error
    const meaning = native.meaningOf(status, Object.entries(headers))
    const converted = errorOf({ ...meaning, status, url, text: message })
    converted.coreCode = meaning.code
    if (meaning.retryAfterMs !== undefined) converted.retryAfterMs = meaning.retryAfterMs
    const details = error.json ?? error.text
    if (details !== undefined) converted.details = details
    return addFacts(converted, error)
  }
}

/** An append or close met a closed stream. */
export class StreamClosedError extends DurableStreamError {
  override readonly name = "StreamClosedError"
  readonly streamClosed = true
  /** The tail of the closed stream. */
  readonly finalOffset?: string

  constructor(url?: string, finalOffset?: string, message = `the stream is closed${url === undefined ? "" : `: ${url}`}`) {
    super(message, "STREAM_CLOSED", 409)
    if (url !== undefined) this.url = url
    if (finalOffset !== undefined) this.finalOffset = finalOffset
  }
}

/** A newer writer holds the producer id. */
export class StaleEpochError extends DurableStreamError {
  override readonly name = "StaleEpochError"
  /** The epoch in force. */
  readonly currentEpoch: number

  constructor(currentEpoch: number, message = `a newer writer holds this producer id with epoch ${currentEpoch}`) {
    super(message, "FORBIDDEN", 403)
    this.currentEpoch = currentEpoch
  }
}

/** The server lost this producer's state, or never had it. */
export class SequenceGapError extends DurableStreamError {
  override readonly name = "SequenceGapError"
  /** The sequence number the server would accept. */
  readonly expectedSeq: number
  /** The sequence number it received. */
  readonly receivedSeq: number

  constructor(expectedSeq: number, receivedSeq: number, message = `the server expects sequence number ${expectedSeq} and received ${receivedSeq}`) {
    super(message, "CONFLICT_SEQ", 409)
    this.expectedSeq = expectedSeq
    this.receivedSeq = receivedSeq
  }
}

/**
 * An HTTP exchange that failed. `instanceof FetchError` is also true for every `DurableStreamError` that an answer or a
 * broken connection caused: those carry the same properties.
 */
export class FetchError extends Error {
  override readonly name = "FetchError"
  readonly status: number
  readonly text: string | undefined
  readonly json: object | undefined
  readonly headers: Record<string, string>
  readonly url: string

  constructor(
    status: number,
    text: string | undefined,
    json: object | undefined,
    headers: Record<string, string>,
    url: string,
    message = `HTTP error ${status} at ${url}: ${text ?? JSON.stringify(json)}`,
  ) {
    super(message)
    this.status = status
    this.text = text
    this.json = json
    this.headers = headers
    this.url = url
  }

  /** The error of an HTTP answer. */
  static async fromResponse(response: Response, url: string): Promise<FetchError> {
    const headers = Object.fromEntries([...response.headers])
    let text: string | undefined
    if (!response.bodyUsed && response.body !== null) text = await response.text().catch(() => undefined)
    const json = headers["content-type"]?.includes("json") ? parsed(text) : undefined
    return new FetchError(response.status, json === undefined ? text : undefined, json, headers, url)
  }

  static override [Symbol.hasInstance](value: unknown): boolean {
    if (Function.prototype[Symbol.hasInstance].call(this, value)) return true
    return this === FetchError && value instanceof DurableStreamError && value.headers !== undefined
  }
}

/** A retry loop ended because its signal was aborted. */
export class FetchBackoffAbortError extends Error {
  override readonly name = "FetchBackoffAbortError"
  constructor(message = "the request was aborted while waiting for a retry") {
    super(message)
  }
}

/** A handle needs a URL. */
export class MissingStreamUrlError extends Error {
  override readonly name = "MissingStreamUrlError"
  constructor() {
    super("url is missing: say which stream")
  }
}

/** The option `signal` is no `AbortSignal`. */
export class InvalidSignalError extends Error {
  override readonly name = "InvalidSignalError"
  constructor() {
    super("signal must be an AbortSignal")
  }
}

/** The core's codes, as this package spells them. Codes of other classes are not here. */
const CODES: Partial<Record<CoreErrorCode, DurableStreamErrorCode>> = {
  INVALID_ARGUMENT: "BAD_REQUEST",
  BAD_REQUEST: "BAD_REQUEST",
  INVALID_OFFSET: "BAD_REQUEST",
  UNAUTHORIZED: "UNAUTHORIZED",
  FORBIDDEN: "FORBIDDEN",
  NOT_FOUND: "NOT_FOUND",
  ALREADY_EXISTS: "CONFLICT_EXISTS",
  CONFLICT: "CONFLICT_SEQ",
  CONTENT_TYPE_MISMATCH: "CONFLICT_SEQ",
  SEQUENCE_CONFLICT: "CONFLICT_SEQ",
  RATE_LIMITED: "RATE_LIMITED",
  BUSY: "BUSY",
  NETWORK_ERROR: "NETWORK_ERROR",
  TIMEOUT: "TIMEOUT",
  PARSE_ERROR: "PARSE_ERROR",
  ALREADY_CLOSED: "ALREADY_CLOSED",
}

/** @internal The error users get for what the addon threw or rejected with. */
export function toError(thrown: unknown): unknown {
  if (isRejection(thrown)) return fromRejection(thrown)
  if (thrown instanceof Error) {
    // What a call throws at once carries its code in front of the text.
    const [, code, text] = /^([A-Z_]+): (.*)$/s.exec(thrown.message) ?? []
    if (code !== undefined && text !== undefined && (thrown as { code?: unknown }).code === "GenericFailure") {
      const error = new DurableStreamError(text, CODES[code as CoreErrorCode] ?? "UNKNOWN")
      error.coreCode = code as CoreErrorCode
      return error
    }
  }
  return thrown
}

/** @internal The error of a failure of the core. */
export function fromRejection(rejection: Rejection): unknown {
  const { code, text } = rejection
  if (rejection.hostError !== undefined) {
    // A callback of the user threw: the error comes out as it went in.
    const thrown = takeHostError(rejection.hostError)
    if (thrown !== undefined && code !== "NETWORK_ERROR") return thrown.error
    if (thrown !== undefined) return withFacts(new DurableStreamError(text, "NETWORK_ERROR"), rejection, thrown.error)
  }
  return withFacts(errorOf(rejection), rejection, rejection.cause)
}

/** The error of the class that a code of the core has here. */
function errorOf(told: Meaning & { text: string; status?: number; url?: string }): DurableStreamError {
  const { code, text, status, url, finalOffset, currentEpoch, expectedSeq, receivedSeq } = told
  if (code === "STREAM_CLOSED") return new StreamClosedError(url, finalOffset, text)
  if (code === "STALE_EPOCH" && currentEpoch !== undefined) return new StaleEpochError(currentEpoch, text)
  if (code === "SEQUENCE_GAP" && expectedSeq !== undefined) return new SequenceGapError(expectedSeq, receivedSeq ?? 0, text)
  return new DurableStreamError(text, CODES[code] ?? "UNKNOWN", status)
}

function withFacts(error: DurableStreamError, rejection: Rejection, cause: unknown): DurableStreamError {
  const isHttp = rejection.status !== undefined || rejection.code === "NETWORK_ERROR" || rejection.code === "TIMEOUT"
  error.coreCode = rejection.code
  error.mayBeApplied = rejection.mayBeApplied
  error.attempts = rejection.attempts
  if (rejection.operation !== undefined) error.operation = rejection.operation
  if (rejection.retryAfterMs !== undefined) error.retryAfterMs = rejection.retryAfterMs
  if (cause !== undefined) error.cause = cause
  const facts: HttpFacts = {}
  if (rejection.url !== undefined) facts.url = rejection.url
  if (isHttp) facts.headers = Object.fromEntries(rejection.headers)
  if (rejection.serverText !== undefined) facts.text = rejection.serverText
  const json = facts.headers?.["content-type"]?.includes("json") ? parsed(rejection.serverText) : undefined
  if (json !== undefined) facts.json = json
  return addFacts(error, facts)
}

function addFacts(error: DurableStreamError, { url, headers, text, json }: HttpFacts): DurableStreamError {
  if (url !== undefined) error.url = url
  if (headers !== undefined) error.headers = headers
  if (text !== undefined) error.text = text
  if (json !== undefined) error.json = json
  return error
}

function isRejection(thrown: unknown): thrown is Rejection {
  return typeof thrown === "object" && thrown !== null && !(thrown instanceof Error) && "code" in thrown && "mayBeApplied" in thrown
}

function parsed(text: string | undefined): object | undefined {
  try {
    const value: unknown = text === undefined ? undefined : JSON.parse(text)
    return typeof value === "object" && value !== null ? value : undefined
  } catch {
    return undefined
  }
}
