// Options and results that users name.
import type { StreamBatch } from "./batch.js"

/** A value, or a promise of one. */
export type MaybePromise<T> = T | Promise<T>

/** A position in a stream: keep it, send it back, do not look inside. `"-1"` is the beginning, `"now"` the tail. */
export type Offset = string

/** How a read goes on at the tail. `true` and `"auto"`: SSE for text and JSON, long-poll for the rest. */
export type LiveMode = boolean | "auto" | "long-poll" | "sse"

/** Live modes of earlier releases, all still accepted. */
export type LegacyLiveMode = "auto" | "catchup" | "long-poll" | "sse"

/** Headers; a function is asked before every HTTP request, retries included. */
export interface HeadersRecord {
  [name: string]: string | (() => MaybePromise<string>)
}

/** Query parameters; a function is asked before every HTTP request, `undefined` values are left out. */
export interface ParamsRecord {
  [name: string]: string | (() => MaybePromise<string | undefined>) | undefined
}

/** How failed requests are repeated. Units: milliseconds. */
export interface BackoffOptions {
  /** Upper bound of the first delay. */
  initialDelay: number
  /** Upper bound of every delay, except one the server asks for. */
  maxDelay: number
  /** Growth of the upper bound. */
  multiplier: number
  /** Called after each failed attempt. Sends requests through `fetch`, where each attempt can be seen. */
  onFailedAttempt?: () => void
  /** Logs each failed attempt. Sends requests through `fetch`, where each attempt can be seen. */
  debug?: boolean
  /** Retries after the first attempt. */
  maxRetries?: number
}

/** When SSE gives way to long-poll for the rest of a read, as behind a proxy that cuts answers off. */
export interface SSEResilienceOptions {
  /** An SSE answer that ends sooner, without data, counts as short. Default: 1000. Units: ms. */
  minConnectionDuration?: number | undefined
  /** So many short ones in a row, and long-poll takes over; `Infinity` keeps trying. Default: 3. */
  maxShortConnections?: number | undefined
  /** Where the random waits between short ones begin; their bound doubles each time. Default: 100. Units: ms. */
  backoffBaseDelay?: number | undefined
  /** Upper bound of those waits. Default: 5000. Units: ms. */
  backoffMaxDelay?: number | undefined
  /** Whether the change to long-poll is told on the console, with the first answer after it. Default: yes. */
  logWarnings?: boolean | undefined
}

/** What `onError` wants changed before a retry; entries of the same name are replaced. */
export interface RetryOpts {
  params?: ParamsRecord | undefined
  headers?: HeadersRecord | undefined
}

/** Decides about an error after automatic retries: an object (even `{}`) retries, nothing passes the error on. */
export type StreamErrorHandler = (error: Error) => void | RetryOpts | Promise<void | RetryOpts>

/** What all requests of a handle share. */
export interface ConnectionOptions {
  /** Headers of every request. */
  headers?: HeadersRecord | undefined
  /** Query parameters of every request. */
  params?: ParamsRecord | undefined
  /** Ends everything when aborted. */
  signal?: AbortSignal | undefined
  /** Sends every request, instead of the built-in HTTP client. */
  fetch?: typeof fetch | undefined
  /** How failed requests are repeated. */
  backoffOptions?: Partial<BackoffOptions> | undefined
  /** Limit of one exchange, and of each silence of a catch-up read. Default: 30 s. Units: ms. */
  timeoutMs?: number | undefined
  /** Limit of making a connection; with `fetch` of your own it is that one's. Default: 10 s. Units: ms. */
  connectTimeoutMs?: number | undefined
  /** Limit of an unanswered long-poll. Default: 65 s. Units: ms. */
  longPollTimeoutMs?: number | undefined
  /** Limit of the silence of an SSE answer. Default: 90 s. Units: ms. */
  sseIdleTimeoutMs?: number | undefined
  /** In browsers: warn once per origin about `http:`. */
  warnOnHttp?: boolean | undefined
}

/** Settings of a read. */
export interface ReadOptions {
  /** Where to start. Default: the beginning. */
  offset?: Offset | undefined
  /** How to go on at the tail. Default: `true`. */
  live?: LiveMode | LegacyLiveMode | undefined
  /** Treats the data as JSON whatever the content type. */
  json?: boolean | undefined
  /** Cursor of an earlier live read. */
  cursor?: string | undefined
  /** Entity tag of data that the caller holds for the start offset. */
  ifNoneMatch?: string | undefined
  /** Decides about errors that automatic retries do not solve. */
  onError?: StreamErrorHandler | undefined
  /** Largest piece a byte stream is delivered in; the offset moves with the last piece of an answer. Default: 16 MiB. Units: bytes. */
  maxBatchBytes?: number | undefined
  /** When SSE gives way to long-poll. */
  sseResilience?: SSEResilienceOptions | undefined
}

/** Settings of `stream()`. */
export interface StreamOptions extends ConnectionOptions, ReadOptions {
  /** The stream's URL. */
  url: string | URL
}

/** Settings of a handle. */
export interface DurableStreamOptions extends ConnectionOptions {
  /** The stream's URL. */
  url: string | URL
  /** The stream's content type, if known. */
  contentType?: string | undefined
  /** Decides about errors of reads that automatic retries do not solve. */
  onError?: StreamErrorHandler | undefined
  /** Whether appends that come while one is under way share the next request. Default: yes. */
  batching?: boolean | undefined
}

/** What can be appended. Objects, arrays, numbers and booleans become JSON. */
export type AppendBody = string | Uint8Array | ArrayBuffer | object | number | boolean

/** Settings of a single request. */
export interface RequestOptions {
  /** Ends the request when aborted; its reason is what fails. */
  signal?: AbortSignal | undefined
  /** Headers of this request, on top of the handle's. */
  headers?: Record<string, string> | undefined
}

/** Settings of a stream to create. */
export interface CreateStreamOptions extends RequestOptions {
  /** The stream's content type. Default: the handle's, else JSON for a structured `body`, else bytes. */
  contentType?: string | undefined
  /** Lets the stream expire after so many seconds without reads or writes. */
  ttlSeconds?: number | undefined
  /** Lets the stream expire at an instant, RFC 3339. */
  expiresAt?: string | undefined
  /** First data. On a JSON stream an array is several messages. */
  body?: AppendBody | undefined
  /** Creates the stream closed: `body` is all it will ever hold. */
  closed?: boolean | undefined
  /** Starts with the data of another stream: its URL, or its path, on the same server. */
  forkFrom?: string | undefined
  /** Where the fork diverges. Default: the source's tail. */
  forkOffset?: Offset | undefined
  /** How far into the unit at the fork offset the fork still follows: bytes, or messages. */
  forkSubOffset?: number | undefined
}

/** Settings of `DurableStream.create`. */
export interface CreateOptions extends DurableStreamOptions, Omit<CreateStreamOptions, "contentType" | "signal" | "headers"> {}

/**
 * Settings of an append. One with `headers`, `ifMatch` or a producer's numbers is a request of its own, which does not
 * wait for appends called before it.
 */
export interface AppendOptions extends RequestOptions {
  /** Writer coordination token: must be bytewise above the last accepted one. */
  seq?: string | undefined
  /** Content type of the data, instead of the handle's. */
  contentType?: string | undefined
  /** Appends only if the stream still has this entity tag, on servers that support it. */
  ifMatch?: string | undefined
  /** Sends the append as a producer's; `IdempotentProducer` counts by itself. */
  producerId?: string | undefined
  producerEpoch?: number | undefined
  producerSeq?: number | undefined
}

/** Settings of a close. */
export interface CloseOptions extends RequestOptions {
  /** Stores a last message in the same step. */
  body?: AppendBody | undefined
  /** Content type of the last message, instead of the handle's. */
  contentType?: string | undefined
}

/** A closed stream. */
export interface CloseResult {
  /** The tail, which no longer moves. */
  finalOffset: Offset
}

/** What a server tells about a stream. */
export type HeadResult =
  | {
      exists: true
      contentType?: string
      /** The tail: where a reader of only newer data starts. */
      offset?: Offset
      etag?: string
      cacheControl?: string
      streamClosed: boolean
      /** How long the stream may sit idle; the window, not what is left of it. */
      ttlSeconds?: number
      /** Fixed deadline, RFC 3339. */
      expiresAt?: string
      status: number
      headers: Headers
    }
  | { exists: false }

/** What the server said to the last operation of a handle. */
export interface LastResponse {
  /** HTTP status. */
  status: number
  headers: Headers
  /** How many times the request was sent. */
  attempts: number
  /** The tail; of a close the final offset. */
  offset?: Offset
  streamClosed?: boolean
  /** Whether a create made the stream, which else existed with the same settings. */
  isNew?: boolean
  /** Whether the server had accepted a producer's append before. */
  duplicate?: boolean
  /** Epoch in force, after a producer's append. */
  producerEpoch?: number
  /** Highest accepted sequence number, after a producer's append. */
  producerSeq?: number
  etag?: string
}

interface BatchMeta {
  /** Where to resume after this. */
  offset: Offset
  /** Everything available has been read. */
  upToDate: boolean
  /** Cursor for a later live read. */
  cursor?: string
  /** The stream is closed and this is its end. */
  streamClosed: boolean
}

/** Messages of a JSON stream. */
export interface JsonBatch<T = unknown> extends BatchMeta {
  items: readonly T[]
}

/** Bytes of a stream. */
export interface ByteChunk extends BatchMeta {
  data: Uint8Array
}

/** Text of a stream. */
export interface TextChunk extends BatchMeta {
  text: string
}

/** Called with each batch; a promise it returns holds the next batch back. */
export type BatchHandler<B> = (batch: B) => void | Promise<void>

/** A stream that is also async iterable. */
export type ReadableStreamAsyncIterable<T> = ReadableStream<T> & AsyncIterable<T>

/** What the server said to a producer's batch. */
export interface IdempotentAppendResult {
  /** The tail behind the batch; a server may leave it out for duplicates. */
  offset?: Offset
  /** Whether the server had accepted the batch before. */
  duplicate: boolean
  epoch: number
  /** Sequence number of the batch. */
  seq: number
}

/** Settings of a producer. */
export interface IdempotentProducerOptions {
  /** First epoch. Default: 0. */
  epoch?: number | undefined
  /** Claims the next epoch when a newer one is in force, instead of failing. Default: no. */
  autoClaim?: boolean | undefined
  /** Most bytes of a batch. Default: 1 MiB. */
  maxBatchBytes?: number | undefined
  /** Most messages of a batch. Default: no limit. */
  maxBatchItems?: number | undefined
  /** How long a batch waits for more messages. Default: 5. Units: ms. */
  lingerMs?: number | undefined
  /** Most batches under way. Default: 5. */
  maxInFlight?: number | undefined
  /** Undelivered bytes above which `ready` waits. Default: 64 MiB. */
  maxQueuedBytes?: number | undefined
  /** Undelivered messages above which `ready` waits. Default: 1,000,000. */
  maxQueuedMessages?: number | undefined
  /** Headers of this producer's requests; they replace the handle's. */
  headers?: HeadersRecord | undefined
  /** Sends this producer's requests, instead of the handle's. */
  fetch?: typeof fetch | undefined
  /** Gives everything undelivered up when aborted. */
  signal?: AbortSignal | undefined
  /** Is told of every batch that is given up, and of messages that are refused. */
  onError?: ((error: Error) => void) | undefined
}

export type { StreamBatch }
