// The addon as the package sees it; the other side is `node/src`. Internal: users get `index.ts`.
import type { CoreErrorCode } from "./errors.js"

/** Names and values, as they travel. */
export type Pairs = [string, string][]

/** Settings of a handle. */
export interface StreamSettings {
  url: string
  contentType?: string | undefined
  headers: Pairs
  params: Pairs
  /** Number of the handle's functions for headers and parameters. */
  valuesSource?: number | undefined
  /** Number of the handle's own `fetch`. */
  fetchSource?: number | undefined
  retry: RetrySettings
  batching: boolean
  timeoutMs?: number | undefined
  connectTimeoutMs?: number | undefined
  longPollTimeoutMs?: number | undefined
  sseIdleTimeoutMs?: number | undefined
}

export interface RetrySettings {
  maxRetries?: number | undefined
  initialDelayMs?: number | undefined
  maxDelayMs?: number | undefined
  multiplier?: number | undefined
}

export interface CreateSettings {
  contentType?: string | undefined
  ttlSeconds?: number | undefined
  expiresAt?: string | undefined
  closed: boolean
  forkFrom?: string | undefined
  forkOffset?: string | undefined
  forkSubOffset?: number | undefined
  headers: Pairs
}

export interface AppendSettings {
  /** The data is a structured value as JSON text. */
  isValue: boolean
  seq?: string | undefined
  ifMatch?: string | undefined
  contentType?: string | undefined
  producerId?: string | undefined
  producerEpoch?: number | undefined
  producerSeq?: number | undefined
  headers: Pairs
}

export interface CloseSettings {
  /** The last message is a structured value as JSON text. */
  isValue: boolean
  contentType?: string | undefined
  headers: Pairs
}

export interface ReadSettings {
  offset?: string | undefined
  live: "off" | "auto" | "long-poll" | "sse"
  cursor?: string | undefined
  ifNoneMatch?: string | undefined
  contentType?: string | undefined
  headers: Pairs
  params: Pairs
  timeoutMs?: number | undefined
  retry: RetrySettings
  maxBatchBytes?: number | undefined
  sseFallback: SseFallbackSettings
}

/** When server-sent events give way to long-poll; absent numbers keep the core's rule. */
export interface SseFallbackSettings {
  minConnectionMs?: number | undefined
  maxShortConnections?: number | undefined
  baseDelayMs?: number | undefined
  maxDelayMs?: number | undefined
}

export interface ProducerSettings extends Record<string, unknown> {
  producerId: string
  epoch?: number | undefined
  autoClaim: boolean
  maxBatchBytes?: number | undefined
  maxBatchItems?: number | undefined
  maxInFlight?: number | undefined
  lingerMs?: number | undefined
  maxQueuedBytes?: number | undefined
  maxQueuedMessages?: number | undefined
  contentType?: string | undefined
  headers: Pairs
  retry: RetrySettings
}

/** What the server said to an operation; fields an operation does not know are absent. */
export interface StreamAnswer {
  status: number
  headers: Pairs
  attempts: number
  offset?: string
  streamClosed?: boolean
  contentType?: string
  isNew?: boolean
  duplicate?: boolean
  producerEpoch?: number
  producerSeq?: number
  etag?: string
  cacheControl?: string
  ttlSeconds?: number
  expiresAt?: string
}

/** One batch: a JSON array as text, or bytes. */
export interface ReadBatch {
  data: string | Uint8Array
  isJson: boolean
  isEmpty: boolean
  offset: string
  upToDate: boolean
  streamClosed: boolean
  cursor?: string
  status: number
}

/** What an error answer means. */
export interface Meaning {
  code: CoreErrorCode
  finalOffset?: string
  currentEpoch?: number
  expectedSeq?: number
  receivedSeq?: number
  retryAfterMs?: number
}

/** What a promise of the addon is rejected with. */
export interface Rejection extends Meaning {
  text: string
  detail: string
  status?: number
  serverText?: string
  url?: string
  operation?: string
  headers: Pairs
  mayBeApplied: boolean
  attempts: number
  /** Number under which the JavaScript error behind this one is kept. */
  hostError?: number
  cause?: string
}

export interface ProducerNews {
  /** Nothing is left to deliver; else there are failures to take. */
  isSettled: boolean
}

export interface ProducerState {
  epoch: number
  nextSeq: number
  pendingMessages: number
  pendingBytes: number
  inFlightBatches: number
  acknowledgedOffset?: string
}

export interface BatchAnswer {
  offset?: string
  duplicate: boolean
  epoch: number
  seq: number
}

export interface Cancel {
  cancel(): void
}

export interface NativeStream {
  readonly url: string
  readonly contentType: string | null
  create(settings: CreateSettings, body: Uint8Array | null, cancel?: Cancel): Promise<StreamAnswer>
  append(data: Uint8Array, settings: AppendSettings, cancel?: Cancel): Promise<StreamAnswer>
  /** Appends the pieces of a source, as one append. */
  appendStream(source: number, settings: AppendSettings, cancel?: Cancel): Promise<StreamAnswer>
  close(last: Uint8Array | null, settings: CloseSettings, cancel?: Cancel): Promise<StreamAnswer>
  delete(headers: Pairs, cancel?: Cancel): Promise<StreamAnswer>
  head(headers: Pairs, cancel?: Cancel): Promise<StreamAnswer>
  read(settings: ReadSettings): NativeReader
  producer(settings: ProducerSettings): NativeProducer
}

export interface NativeReader {
  /** Resolves with the first answer; its data is left for `next`. */
  opened(cancel?: Cancel): Promise<void>
  next(cancel?: Cancel): Promise<ReadBatch | null>
  /** Where to resume, as of the last batch. */
  offset(): string
  status(): number
  headers(): Pairs
  contentType(): string | null
  /** Why long-poll took over from SSE, if it did. */
  sseGivenUp(): string | null
  close(): void
}

export interface NativeProducer {
  /** Messages one behind the other, each up to its place in `ends`; tells whether the queue is full. */
  appendChunk(data: Uint8Array, ends: Uint32Array): boolean
  /** Takes one message and resolves when it is stored. */
  appendAcknowledged(data: Uint8Array, cancel?: Cancel): Promise<BatchAnswer>
  room(cancel?: Cancel): Promise<void>
  /** Messages of the last chunk that were not taken. */
  takeRefused(): Rejection[]
  /** Resolves at the first failure, or when nothing is left to deliver. */
  news(cancel?: Cancel): Promise<ProducerNews>
  takeFailures(): Rejection[]
  /** Gives everything undelivered up. */
  abandon(): void
  flush(cancel?: Cancel): Promise<void>
  closeStream(last: Uint8Array | null, cancel?: Cancel): Promise<{ finalOffset: string }>
  detach(cancel?: Cancel): Promise<void>
  restart(cancel?: Cancel): Promise<void>
  state(): ProducerState
  lastAcknowledged(): BatchAnswer | null
}

export interface FetchRequest {
  method: string
  url: string
  headers: Pairs
  body: Uint8Array
}

/** Kinds of questions the core asks. */
export const enum Question {
  /** The dynamic headers and parameters of the next HTTP request. */
  Values = 0,
  /** Send a request; the payload is a `FetchRequest`. */
  Fetch = 1,
  /** The next piece of the body of an exchange; the payload is the token of its `Fetch`. */
  Chunk = 2,
  /** Nobody needs an exchange any more; the payload is the token of its `Fetch`. */
  Abort = 3,
  /** The next piece of a streamed append. */
  Piece = 4,
}

export type Ask = (question: Question, source: number, token: number, payload: FetchRequest | number | null) => void

export interface Loop {
  readonly pending: number
  stream(settings: StreamSettings): NativeStream
  answerValues(token: number, headers: Pairs, params: Pairs): void
  answerHead(token: number, status: number, headers: Pairs): void
  answerChunk(token: number, chunk: Uint8Array | null): void
  answerFailure(token: number, number: number, text: string, isConnect: boolean): void
}

export interface Addon {
  Loop: new (ask: Ask) => Loop
  Cancel: new () => Cancel
  protocolWords(): Record<string, string>
  protocolParams(): string[]
  errorCodes(): string[]
  isJsonContentType(value: string): boolean
  /** What an error answer means when its request is not known. */
  meaningOf(status: number, headers: Pairs): Meaning
  isTransientStatus(status: number): boolean
  /** Milliseconds to wait before a retry, 0 for the first; `null` when there are no more. `random` is below 1. */
  retryDelay(settings: RetrySettings, retry: number, random: number, headers: Pairs): number | null
}
