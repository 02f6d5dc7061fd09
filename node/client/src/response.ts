// The response of `stream()`: a read, and every way to consume it.
import { STATUS_CODES } from "node:http"
import type { StreamBatch } from "./batch.js"
import { DurableStreamError } from "./errors.js"
import { headersLater } from "./headers.js"
import { asAsyncIterableReadableStream } from "./iterable.js"
import type { Session } from "./session.js"
import type {
  BatchHandler,
  ByteChunk,
  JsonBatch,
  LegacyLiveMode,
  LiveMode,
  Offset,
  ReadableStreamAsyncIterable,
  TextChunk,
} from "./types.js"
import { native } from "./link.js"

/** @internal What `stream()` knows when it makes a response. */
export interface ResponseStart {
  session: Session
  live: LiveMode | LegacyLiveMode
  startOffset: Offset
  isJsonForced: boolean
}

/**
 * A read in progress. Consume it with exactly one of its methods; `offset`, `cursor`, `upToDate` and `streamClosed`
 * tell about what that method has delivered so far. Errors of every method: `ALREADY_CONSUMED` for a second one, and
 * whatever stops the read, such as `NOT_FOUND` or `PARSE_ERROR`; an aborted signal's own reason.
 */
export class StreamResponse<TJson = unknown> {
  /** The stream's URL, without credentials. */
  readonly url: string
  /** The stream's content type. */
  readonly contentType?: string
  /** The live mode asked for. */
  readonly live: LiveMode | LegacyLiveMode
  /** Where the read began. */
  readonly startOffset: Offset
  /** HTTP status of the first answer. */
  readonly status: number
  /** The usual text of `status`. */
  readonly statusText: string
  /** Always `true`: `stream()` fails where an answer is no success. */
  readonly ok: boolean = true
  /** Always `false`: `stream()` resolves once there is an answer. */
  readonly isLoading: boolean = false
  /** Settles when the read is over: fails with what stopped it, resolves when it ended or was cancelled. */
  readonly closed: Promise<void>

  #session: Session
  readonly #headers: () => Headers
  #isJson: boolean
  #method: string | undefined
  #isCancelled = false
  #settle!: (error?: unknown) => void
  #offset: Offset
  #cursor: string | undefined
  #upToDate = false
  #streamClosed = false

  /** @internal */
  constructor({ session, live, startOffset, isJsonForced }: ResponseStart) {
    this.#session = session
    this.url = session.url
    const contentType = session.contentType
    if (contentType !== undefined) this.contentType = contentType
    this.live = live
    this.startOffset = startOffset
    this.#headers = headersLater(session.headers)
    this.status = session.status
    this.statusText = STATUS_CODES[this.status] ?? ""
    this.#offset = startOffset
    this.#isJson = isJsonForced || (contentType !== undefined && native.isJsonContentType(contentType))
    this.closed = new Promise((resolve, reject) => {
      this.#settle = (error) => (error === undefined ? resolve() : reject(error))
    })
    session.onClose = () => this.#closed()
    // Whoever consumes the read gets the error there; `closed` is for those who want it here.
    this.closed.catch(() => {})
  }

  /** Headers of the first answer. */
  get headers(): Headers {
    return this.#headers()
  }

  /** Where to resume: behind everything delivered. */
  get offset(): Offset {
    return this.#offset
  }

  /** Cursor for a later live read. */
  get cursor(): string | undefined {
    return this.#cursor
  }

  /** Everything available has been delivered. */
  get upToDate(): boolean {
    return this.#upToDate
  }

  /** The end of a closed stream was delivered. */
  get streamClosed(): boolean {
    return this.#streamClosed
  }

  /** All bytes until everything available is read, also when live. */
  async body(): Promise<Uint8Array> {
    const parts = await this.#collect("body")
    return this.#isJsonData(parts) ? Buffer.from(joinedArrays(parts)) : concatenated(parts.map((part) => part.data))
  }

  /** All messages until everything available is read, also when live. Errors: `BAD_REQUEST` for other types than JSON. */
  async json<T = TJson>(): Promise<T[]> {
    this.#requireJson("json")
    const parts = await this.#collect("json")
    if (parts.length === 1) return parts[0]!.items as unknown as T[]
    const all: T[] = []
    for (const part of parts) for (const item of part.items) all.push(item as unknown as T)
    return all
  }

  /** All text until everything available is read, also when live. */
  async text(): Promise<string> {
    const parts = await this.#collect("text")
    if (this.#isJsonData(parts)) return joinedArrays(parts)
    return decoder().decode(concatenated(parts.map((part) => part.data)))
  }

  /** Batches as they come, also empty ones, which only move the offset. Leaving the loop ends the read. */
  batches(): AsyncIterableIterator<StreamBatch<TJson>> & AsyncDisposable {
    this.#consume("batches")
    const end = async (): Promise<IteratorResult<StreamBatch<TJson>>> => {
      this.cancel()
      return { done: true, value: undefined }
    }
    return withDispose({
      next: async () => {
        const batch = await this.#next()
        if (batch === undefined) return end()
        this.#delivered(batch)
        return { done: false, value: batch }
      },
      return: end,
      [Symbol.asyncIterator]() {
        return this
      },
    })
  }

  /** The bytes as a stream; of a JSON stream one JSON array per batch. */
  bodyStream(): ReadableStreamAsyncIterable<Uint8Array> {
    this.#consume("bodyStream")
    return this.#readable((batch) => [batch.data])
  }

  /** The messages as a stream, one by one. Errors: `BAD_REQUEST` for other types than JSON. */
  jsonStream(): ReadableStreamAsyncIterable<TJson> {
    this.#requireJson("jsonStream")
    this.#consume("jsonStream")
    return this.#readable((batch) => batch.items)
  }

  /** The text as a stream, no character cut; of a JSON stream one JSON array per batch. */
  textStream(): ReadableStreamAsyncIterable<string> {
    this.#consume("textStream")
    const utf8 = decoder()
    const piece = (text: string) => (text === "" ? [] : [text])
    return this.#readable(
      (batch) => piece(batch.isJson ? batch.text : utf8.decode(batch.data, { stream: true })),
      // What is left of a character that never became whole.
      () => piece(utf8.decode()),
    )
  }

  /**
   * Calls back with messages; a promise it returns holds the next batch back. Returns a function that ends the read.
   * Errors: `closed` fails with them, those of the callback included; `BAD_REQUEST` at once for other types than JSON.
   */
  subscribeJson<T = TJson>(handler: BatchHandler<JsonBatch<T>>): () => void {
    this.#requireJson("subscribeJson")
    return this.#subscribe("subscribeJson", handler, (batch, meta) => ({ items: batch.items as unknown as T[], ...meta }))
  }

  /** Calls back with bytes; see `subscribeJson`. */
  subscribeBytes(handler: BatchHandler<ByteChunk>): () => void {
    return this.#subscribe("subscribeBytes", handler, (batch, meta) => ({ data: batch.data, ...meta }))
  }

  /** Calls back with text; see `subscribeJson`. */
  subscribeText(handler: BatchHandler<TextChunk>): () => void {
    const utf8 = decoder()
    return this.#subscribe("subscribeText", handler, (batch, meta) => {
      return { text: batch.isJson ? batch.text : utf8.decode(batch.data, { stream: true }), ...meta }
    })
  }

  /** Ends the read and aborts its request; `closed` resolves, whatever the reason. Repeating does nothing. */
  cancel(reason?: unknown): void {
    // Nobody is left to be told; streams of the web kind give one all the same.
    void reason
    this.#isCancelled = true
    this.#session.close()
    this.#settle()
  }

  /** The same as `cancel`. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.cancel()
  }

  /** The read is over; a signal may have ended it while nobody was pulling. */
  #closed(): void {
    try {
      this.#session.throwIfAborted()
      if (this.#isCancelled) this.#settle()
    } catch (error) {
      this.#settle(error)
    }
  }

  #consume(method: string): void {
    if (this.#method !== undefined) {
      const message = `${method}: the response is already consumed by ${this.#method}; read again for a second one`
      throw new DurableStreamError(message, "ALREADY_CONSUMED")
    }
    this.#method = method
  }

  #requireJson(method: string): void {
    if (this.#isJson) return
    const message = `${method}: the content type is ${this.contentType ?? "unknown"}, not JSON; set \`json: true\` to read it as JSON`
    throw new DurableStreamError(message, "BAD_REQUEST")
  }

  /** The next batch; `undefined` at the end. What it throws also fails `closed`. */
  async #next(): Promise<StreamBatch<TJson> | undefined> {
    try {
      if (!this.#isCancelled) this.#session.throwIfAborted()
      const batch = await this.#session.next<TJson>()
      if (batch === undefined || this.#isCancelled) {
        this.#settle()
        return undefined
      }
      return batch
    } catch (error) {
      this.#fail(error)
      throw error
    }
  }

  #delivered(batch: StreamBatch<TJson>): void {
    this.#offset = batch.offset
    this.#cursor = batch.cursor
    this.#upToDate = batch.upToDate
    this.#streamClosed ||= batch.streamClosed
  }

  #fail(error: unknown): void {
    this.#settle(error)
    this.#session.close()
  }

  async #collect(method: string): Promise<StreamBatch<TJson>[]> {
    this.#consume(method)
    const parts: StreamBatch<TJson>[] = []
    for (;;) {
      const batch = await this.#next()
      if (batch === undefined) {
        if (this.#isCancelled) throw new DOMException("the read was cancelled", "AbortError")
        break
      }
      this.#delivered(batch)
      if (!batch.isEmpty) parts.push(batch)
      if (batch.upToDate || batch.streamClosed) break
    }
    this.#session.close()
    this.#settle()
    return parts
  }

  #isJsonData(parts: StreamBatch<TJson>[]): boolean {
    return parts.length > 0 ? parts.every((part) => part.isJson) : this.contentType !== undefined && native.isJsonContentType(this.contentType)
  }

  /** A stream of the pieces of each batch; the state moves on with a batch's last piece. `rest` comes behind all. */
  #readable<P>(pieces: (batch: StreamBatch<TJson>) => P[], rest: () => P[] = () => []): ReadableStreamAsyncIterable<P> {
    let current: StreamBatch<TJson> | undefined
    let queue: P[] = []
    let place = 0
    const pull = async (controller: ReadableStreamDefaultController<P>): Promise<void> => {
      while (place >= queue.length) {
        current = await this.#next()
        if (current === undefined) {
          this.#session.close()
          for (const piece of rest()) controller.enqueue(piece)
          return controller.close()
        }
        queue = current.isEmpty ? [] : this.#guarded(() => pieces(current!))
        place = 0
        if (queue.length === 0) this.#delivered(current)
      }
      const piece = queue[place]!
      place += 1
      if (place === queue.length) this.#delivered(current!)
      controller.enqueue(piece)
    }
    const stream = new ReadableStream<P>({ pull, cancel: (reason) => this.cancel(reason) }, { highWaterMark: 0 })
    return asAsyncIterableReadableStream(stream)
  }

  #subscribe<B>(
    method: string,
    handler: BatchHandler<B>,
    shape: (batch: StreamBatch<TJson>, meta: Omit<JsonBatch, "items">) => B,
  ): () => void {
    this.#consume(method)
    void this.#feed(handler, shape)
    return () => this.cancel()
  }

  async #feed<B>(
    handler: BatchHandler<B>,
    shape: (batch: StreamBatch<TJson>, meta: Omit<JsonBatch, "items">) => B,
  ): Promise<void> {
    try {
      for (;;) {
        const batch = await this.#next()
        if (batch === undefined) break
        // An empty answer is worth a call only if it tells something new.
        const hasNews = !batch.isEmpty || batch.streamClosed || (batch.upToDate && !this.#upToDate)
        const { offset, upToDate, cursor, streamClosed } = batch
        const value = hasNews ? shape(batch, { offset, upToDate, streamClosed, ...(cursor === undefined ? {} : { cursor }) }) : undefined
        this.#delivered(batch)
        if (value !== undefined) await handler(value)
        if (this.#isCancelled) break
      }
      this.#session.close()
      this.#settle()
    } catch (error) {
      this.#fail(error)
    }
  }

  #guarded<V>(work: () => V): V {
    try {
      return work()
    } catch (error) {
      this.#fail(error)
      throw error
    }
  }
}

function decoder(): InstanceType<typeof TextDecoder> {
  return new TextDecoder("utf-8", { ignoreBOM: true })
}

/** JSON arrays as one. */
function joinedArrays(parts: StreamBatch<unknown>[]): string {
  if (parts.length === 1) return parts[0]!.text
  return `[${parts.map((part) => part.text.trim().slice(1, -1)).join(",")}]`
}

function concatenated(parts: Uint8Array[]): Uint8Array {
  if (parts.length === 1) return parts[0]!
  const whole = new Uint8Array(parts.reduce((length, part) => length + part.length, 0))
  let place = 0
  for (const part of parts) {
    whole.set(part, place)
    place += part.length
  }
  return whole
}

/** Adds `Symbol.asyncDispose`, where the runtime has it. */
function withDispose<I extends { return(): Promise<unknown> }>(iterator: I): I & AsyncDisposable {
  const dispose = Symbol.asyncDispose as symbol | undefined
  if (dispose !== undefined) Object.defineProperty(iterator, dispose, { value: async () => void (await iterator.return()) })
  return iterator as I & AsyncDisposable
}
