// The handle of a stream.
import { warnIfUsingHttpInBrowser } from "./browser.js"
import { JSON_CONTENT_TYPE } from "./constants.js"
import { DurableStreamError } from "./errors.js"
import { Handle, type HandleOptions } from "./handle.js"
import { withHeaders } from "./headers.js"
import { register } from "./link.js"
import type { AppendSettings, Cancel, NativeStream, StreamAnswer } from "./native.js"
import { checkSignal, connectionOf, encodeBody, mergeConnections, requestHeaders, urlText } from "./options.js"
import { piecesOf } from "./pieces.js"
import { read } from "./read.js"
import type { StreamResponse } from "./response.js"
import type {
  AppendBody,
  AppendOptions,
  CloseOptions,
  CloseResult,
  CreateOptions,
  CreateStreamOptions,
  DurableStreamOptions,
  HeadResult,
  IdempotentProducerOptions,
  LastResponse,
  MaybePromise,
  RequestOptions,
  StreamOptions,
} from "./types.js"
import { writableOf } from "./writable.js"

/** A handle to one stream. Making one does no I/O. */
export class DurableStream {
  #options: DurableStreamOptions
  #handleOptions: HandleOptions
  #handle: Handle
  #last: LastResponse | undefined

  constructor(options: DurableStreamOptions) {
    const url = urlText(options?.url)
    checkSignal(options.signal)
    warnIfUsingHttpInBrowser(url, options.warnOnHttp)
    this.#options = options
    this.#handleOptions = { url, contentType: options.contentType, batching: options.batching ?? true, ...connectionOf(options) }
    this.#handle = new Handle(this.#handleOptions)
  }

  /** The stream's URL, without credentials. */
  get url(): string {
    return this.#handle.native.url
  }

  /** The content type, as given, or as the last create, connect or head learned it. */
  get contentType(): string | undefined {
    return this.#handle.native.contentType ?? undefined
  }

  /** What the server said to the last operation of this handle, reads and producers apart. */
  get lastResponse(): LastResponse | undefined {
    return this.#last
  }

  /** Creates a stream. The same settings on a stream that exists are success. Errors: `CONFLICT_EXISTS`. */
  static async create(options: CreateOptions): Promise<DurableStream> {
    const stream = new DurableStream(options)
    const { contentType, ttlSeconds, expiresAt, body, closed, forkFrom, forkOffset, forkSubOffset } = options
    return stream.create({ contentType, ttlSeconds, expiresAt, body, closed, forkFrom, forkOffset, forkSubOffset })
  }

  /** A handle to a stream that exists, with its content type. Errors: `NOT_FOUND`. */
  static async connect(options: DurableStreamOptions): Promise<DurableStream> {
    const stream = new DurableStream(options)
    await stream.#answered((native, cancel) => native.head([], cancel))
    return stream
  }

  /** Asks for a stream's metadata. */
  static async head(options: DurableStreamOptions): Promise<HeadResult> {
    return new DurableStream(options).head()
  }

  /** Deletes a stream. Errors: `NOT_FOUND`. */
  static async delete(options: DurableStreamOptions): Promise<void> {
    return new DurableStream(options).delete()
  }

  /** Creates the stream. The same settings on a stream that exists are success. Errors: `CONFLICT_EXISTS`. */
  async create(options: CreateStreamOptions = {}): Promise<this> {
    const { body, signal, closed, contentType, headers, ...rest } = options
    checkSignal(signal)
    const encoded = body === undefined ? undefined : encodeBody(body)
    // A structured value says what the stream is, unless somebody says otherwise.
    const stated = contentType ?? this.contentType
    const settings = {
      ...rest,
      contentType: stated ?? (encoded?.isValue ? JSON_CONTENT_TYPE : undefined),
      closed: closed ?? false,
      headers: requestHeaders(headers),
    }
    await this.#answered((native, cancel) => native.create(settings, encoded?.data ?? null, cancel), signal)
    return this
  }

  /**
   * Appends one message and resolves once the server has stored it. Text on a JSON stream is one JSON value; objects
   * and arrays become one. Errors: `NOT_FOUND`, `STREAM_CLOSED`, `CONFLICT_SEQ`, `BAD_REQUEST`.
   */
  async append(body: MaybePromise<AppendBody>, options: AppendOptions = {}): Promise<void> {
    checkSignal(options.signal)
    const { data, isValue } = encodeBody(isPromise(body) ? await body : body)
    await this.#answered((native, cancel) => native.append(data, appendSettings(options, isValue), cancel), options.signal)
  }

  /**
   * Appends everything a source yields as one append, in one request that goes out while the source still yields:
   * stored whole or not at all, and never repeated. On a JSON stream it is JSON text, whose top-level array becomes
   * several messages.
   */
  async appendStream(
    source: ReadableStream<Uint8Array | string> | AsyncIterable<Uint8Array | string> | Iterable<Uint8Array | string>,
    options: AppendOptions = {},
  ): Promise<void> {
    checkSignal(options.signal)
    const pieces = piecesOf(source)
    const settings = appendSettings(options, false)
    try {
      const number = register(pieces)
      await this.#answered((native, cancel) => native.appendStream(number, settings, cancel), options.signal)
    } finally {
      await pieces.end()
    }
  }

  /**
   * A `WritableStream` into this stream, exactly once, with backpressure. Closing it ends the stream for everyone;
   * aborting it only stops writing.
   */
  writable(options: IdempotentProducerOptions & { producerId?: string } = {}): WritableStream<Uint8Array | string> {
    return writableOf(this, options)
  }

  /** Reads the stream; options of the call win over those of the handle. See `stream()`. */
  async stream<TJson = unknown>(options: Omit<StreamOptions, "url"> = {}): Promise<StreamResponse<TJson>> {
    checkSignal(options.signal)
    const own = this.#handleOptions
    const handle: HandleOptions = { ...own, contentType: this.contentType, ...mergeConnections(own, options) }
    const reading = { ...options, onError: options.onError ?? this.#options.onError }
    return read<TJson>(handle, reading, [this.#options.signal, options.signal])
  }

  /**
   * Ends the stream for everyone, with a last message if there is one. Repeating without a message is success.
   * Errors: `StreamClosedError` for a message on a closed stream.
   */
  async close(options: CloseOptions = {}): Promise<CloseResult> {
    const { body, contentType, headers, signal } = options
    checkSignal(signal)
    const last = body === undefined ? undefined : encodeBody(body)
    const settings = { isValue: last?.isValue ?? false, contentType, headers: requestHeaders(headers) }
    const answer = await this.#answered((native, cancel) => native.close(last?.data ?? null, settings, cancel), signal)
    return { finalOffset: answer.offset ?? "" }
  }

  /** Deletes the stream with all its data. Errors: `NOT_FOUND`. */
  async delete(options: RequestOptions = {}): Promise<void> {
    checkSignal(options.signal)
    const headers = requestHeaders(options.headers)
    await this.#answered((native, cancel) => native.delete(headers, cancel), options.signal)
  }

  /** Asks for the stream's metadata; that it does not exist is an answer, not an error. */
  async head(options: RequestOptions = {}): Promise<HeadResult> {
    checkSignal(options.signal)
    const requested = requestHeaders(options.headers)
    let answer: StreamAnswer
    try {
      answer = await this.#answered((native, cancel) => native.head(requested, cancel), options.signal)
    } catch (error) {
      if (error instanceof DurableStreamError && error.code === "NOT_FOUND") return { exists: false }
      throw error
    }
    const { status, headers, offset, streamClosed, contentType, etag, cacheControl, ttlSeconds, expiresAt } = answer
    const known = defined({ contentType, offset, etag, cacheControl, ttlSeconds, expiresAt })
    return withHeaders({ exists: true as const, streamClosed: streamClosed ?? false, status, ...known }, headers)
  }

  /** @internal The handle for a producer: this one's own, or one with the producer's headers and `fetch`. */
  producerHandle(options: IdempotentProducerOptions): { handle: Handle; options: HandleOptions; signal: AbortSignal | undefined } {
    const own = this.#handleOptions
    const { headers, fetch } = options
    const isOwn = headers === undefined && fetch === undefined
    const merged = { ...own, contentType: this.contentType, ...mergeConnections(own, { headers, fetch }) }
    return { handle: isOwn ? this.#handle : new Handle(merged), options: merged, signal: this.#options.signal }
  }

  async #answered(
    start: (native: NativeStream, cancel?: Cancel) => Promise<StreamAnswer>,
    signal?: AbortSignal,
  ): Promise<StreamAnswer> {
    const handle = this.#handle
    const answer = await handle.run((cancel) => start(handle.native, cancel), this.#options.signal, signal)
    const { status, headers, attempts, offset, streamClosed, isNew, duplicate, producerEpoch, producerSeq, etag } = answer
    const told = defined({ offset, streamClosed, isNew, duplicate, producerEpoch, producerSeq, etag })
    this.#last = withHeaders({ status, attempts, ...told }, headers)
    return answer
  }
}

function appendSettings(options: AppendOptions, isValue: boolean): AppendSettings {
  const { seq, contentType, ifMatch, producerId, producerEpoch, producerSeq, headers } = options
  return { isValue, seq, contentType, ifMatch, producerId, producerEpoch, producerSeq, headers: requestHeaders(headers) }
}

function isPromise(body: unknown): body is Promise<AppendBody> {
  return typeof (body as { then?: unknown } | null)?.then === "function"
}

/** The fields that are there. */
function defined<T extends object>(fields: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined && value !== null)) as {
    [K in keyof T]?: Exclude<T[K], undefined>
  }
}
