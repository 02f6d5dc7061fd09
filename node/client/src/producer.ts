// Exactly-once writing.
import { setImmediate } from "node:timers"
import { Chunk } from "./chunk.js"
import type { DurableStream } from "./durable-stream.js"
import { DurableStreamError, fromRejection } from "./errors.js"
import { checked, type Handle } from "./handle.js"
import { newCancel } from "./link.js"
import type { BatchAnswer, Cancel, NativeProducer, Rejection } from "./native.js"
import { onAbort, throwIfAborted } from "./signals.js"
import { checkSignal, encodeBody, givenRetrySettings } from "./options.js"
import type { AppendBody, CloseResult, IdempotentAppendResult, IdempotentProducerOptions, Offset } from "./types.js"

type State = "open" | "closing" | "closed" | "detached" | "aborted"

/**
 * Writes to a stream exactly once, in the order of the `append` calls. Messages are collected into batches, several
 * batches travel at once, and a repeat is never stored twice.
 *
 * As long as messages are undelivered the process stays alive. `close()` ends the stream for everyone; to only stop
 * writing, use `detach()`.
 */
export class IdempotentProducer {
  /** The stream written to. */
  readonly stream: DurableStream
  /** Who writes. */
  readonly producerId: string

  readonly #handle: Handle
  readonly #native: NativeProducer
  readonly #onError: ((error: Error) => void) | undefined
  readonly #signals: AbortSignal[]
  readonly #chunk = new Chunk((data, ends) => this.#hand(data, ends))
  #watchCancel: Cancel | undefined
  #unlisten = () => {}
  #state: State = "open"
  #isHandScheduled = false
  #isWatching = false
  #isFull = false
  #room: Promise<void> | undefined
  /** A message that was refused; the next flush tells. */
  #refused: unknown

  constructor(stream: DurableStream, producerId: string, options: IdempotentProducerOptions = {}) {
    checkSignal(options.signal)
    const { handle, options: handleOptions, signal } = stream.producerHandle(options)
    this.stream = stream
    this.producerId = producerId
    this.#handle = handle
    this.#onError = options.onError
    this.#signals = [signal, options.signal].filter((given) => given !== undefined)
    this.#native = checked(() =>
      handle.native.producer({
        producerId,
        epoch: options.epoch,
        autoClaim: options.autoClaim ?? false,
        maxBatchBytes: options.maxBatchBytes,
        maxBatchItems: options.maxBatchItems,
        maxInFlight: options.maxInFlight,
        lingerMs: options.lingerMs,
        maxQueuedBytes: options.maxQueuedBytes,
        maxQueuedMessages: options.maxQueuedMessages,
        headers: [],
        retry: givenRetrySettings(handleOptions.backoffOptions),
      }),
    )
    const self = new WeakRef(this)
    const abort = () => {
      const producer = self.deref()
      if (producer !== undefined) producer.#abort()
    }
    if (this.#signals.some((given) => given.aborted)) abort()
    else this.#unlisten = onAbort(this.#signals, abort)
  }

  /**
   * Takes a message: bytes, text, or on a JSON stream the text of one JSON value. Returns at once; what happens to it is
   * told by `flush()` and `onError`. A loop of many appends should `await producer.ready` now and then: beyond four
   * times the limits of the queue messages are refused with `BUSY`.
   * Errors: `ALREADY_CLOSED` after close or detach, `BAD_REQUEST` for anything else than text or bytes.
   */
  append(body: string | Uint8Array): void {
    if (this.#state !== "open") throw this.#ended("append")
    checkMessage(body)
    if (typeof body === "string") this.#chunk.addText(body)
    else this.#chunk.addBytes(body)
    if (!this.#isHandScheduled && this.#chunk.count > 0) {
      this.#isHandScheduled = true
      setImmediate(this.#handSoon)
    }
  }

  /**
   * Takes a message as `append` does, behind those taken before, and resolves when the server has stored it: for the few
   * whose fate somebody waits for. Errors: those of `append`, and why the message was not, or may not have been, stored;
   * `onError` and the next flush tell that, too.
   */
  async appendAcknowledged(body: string | Uint8Array): Promise<IdempotentAppendResult> {
    if (this.#state !== "open") throw this.#ended("appendAcknowledged")
    checkMessage(body)
    this.#chunk.hand()
    const data = encodeBody(body).data
    return acknowledgement(await this.#run((cancel) => this.#native.appendAcknowledged(data, cancel)))
  }

  /** Resolves when there is room for more messages, usually at once. */
  get ready(): Promise<void> {
    if (!this.#isFull) return READY
    return (this.#room ??= this.#waitForRoom())
  }

  /**
   * Sends what is collected and waits until everything taken is stored. A signal ends the wait; what was taken is
   * delivered all the same. Errors: the first failure since the last flush.
   */
  async flush({ signal }: { signal?: AbortSignal | undefined } = {}): Promise<void> {
    checkSignal(signal)
    throwIfAborted(this.#signals)
    this.#chunk.hand()
    await this.#run((cancel) => this.#native.flush(cancel), signal)
    this.#throwRefused()
  }

  /**
   * Flushes, then ends the stream for everyone, with a last message if there is one. Repeating gives the first result.
   * Errors: those of `flush()`, with the stream still open; a second call then closes what arrived.
   */
  async close(finalMessage?: AppendBody): Promise<CloseResult> {
    if (this.#state === "detached") throw this.#ended("close")
    throwIfAborted(this.#signals)
    const last = finalMessage === undefined ? null : encodeBody(finalMessage).data
    this.#chunk.hand()
    const wasClosed = this.#state === "closed"
    this.#state = wasClosed ? "closed" : "closing"
    try {
      if (this.#refused !== undefined) {
        await this.#run((cancel) => this.#native.flush(cancel))
        this.#throwRefused()
      }
      const { finalOffset } = await this.#run((cancel) => this.#native.closeStream(last, cancel))
      this.#state = "closed"
      this.#unlisten()
      return { finalOffset }
    } catch (error) {
      if (this.#state === "closing") this.#state = "open"
      throw error
    }
  }

  /** Flushes and stops; the stream stays open for others. What could not be delivered is told by `onError` only. */
  async detach(): Promise<void> {
    if (this.#state === "closed" || this.#state === "detached" || this.#state === "aborted") return
    this.#chunk.hand()
    this.#state = "detached"
    try {
      await this.#run((cancel) => this.#native.detach(cancel))
    } catch {
      // Told by `onError`.
    }
    this.#unlisten()
  }

  /** Flushes and goes on in the next epoch, from sequence number 0. Errors: those of `flush()`. */
  async restart(): Promise<void> {
    if (this.#state !== "open") throw this.#ended("restart")
    this.#chunk.hand()
    await this.#run((cancel) => this.#native.restart(cancel))
  }

  /** The epoch in use. */
  get epoch(): number {
    return this.#native.state().epoch
  }

  /** The sequence number the next batch will get. */
  get nextSeq(): number {
    return this.#native.state().nextSeq
  }

  /** Messages taken that are neither stored nor given up. */
  get pendingCount(): number {
    return this.#native.state().pendingMessages + this.#chunk.count
  }

  /** The same in bytes of messages. */
  get pendingBytes(): number {
    return this.#native.state().pendingBytes + this.#chunk.length
  }

  /** Batches under way. */
  get inFlightCount(): number {
    return this.#native.state().inFlightBatches
  }

  /** The tail after the latest stored batch. */
  get lastSuccessfulOffset(): Offset | undefined {
    return this.#native.state().acknowledgedOffset ?? undefined
  }

  /** What the server said to the newest batch it stored. */
  get lastAcknowledged(): IdempotentAppendResult | undefined {
    const told = this.#native.lastAcknowledged()
    return told === null ? undefined : acknowledgement(told)
  }

  /** Detaches: everything is delivered, the stream stays open. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.detach()
  }

  readonly #handSoon = (): void => {
    this.#isHandScheduled = false
    if (this.#state !== "aborted") this.#chunk.hand()
  }

  /** One crossing for many messages. */
  #hand(data: Uint8Array, ends: Uint32Array): void {
    this.#isFull = this.#native.appendChunk(data, ends)
    const refused = this.#native.takeRefused()
    if (refused.length > 0) {
      this.#refused ??= fromRejection(refused[0]!)
      queueMicrotask(() => this.#report(refused))
    }
    if (!this.#isWatching) void this.#watch()
  }

  /** Keeps the process alive while something is undelivered, and tells of failures. */
  async #watch(): Promise<void> {
    this.#isWatching = true
    try {
      let isSettled = false
      while (!isSettled || this.#native.state().pendingMessages > 0) {
        // A new one each time: it holds on to what it was given to.
        const cancel = newCancel()
        this.#watchCancel = cancel
        const news = await this.#handle.run(() => this.#native.news(cancel))
        isSettled = news.isSettled
        this.#report(this.#native.takeFailures())
      }
    } catch {
      // Cancelled: nobody wants news any more.
    } finally {
      this.#isWatching = false
    }
  }

  async #waitForRoom(): Promise<void> {
    try {
      await this.#run((cancel) => this.#native.room(cancel))
    } finally {
      this.#isFull = false
      this.#room = undefined
    }
  }

  async #run<T>(start: (cancel?: Cancel) => Promise<T>, signal?: AbortSignal): Promise<T> {
    try {
      return await this.#handle.run(start, ...this.#signals, signal)
    } finally {
      // What went wrong on the way is told before the caller goes on.
      this.#report(this.#native.takeFailures())
    }
  }

  #report(failures: Rejection[]): void {
    if (this.#onError === undefined) return
    for (const failure of failures) {
      try {
        this.#onError(fromRejection(failure) as Error)
      } catch (error) {
        // A fault of the callback is no fault of the producer.
        reportError(error)
      }
    }
  }

  #throwRefused(): void {
    const refused = this.#refused
    this.#refused = undefined
    if (refused !== undefined) throw refused
  }

  #abort(): void {
    this.#state = "aborted"
    this.#watchCancel?.cancel()
    this.#native.abandon()
  }

  #ended(call: string): DurableStreamError {
    return new DurableStreamError(`${call}: the producer is ${this.#state}`, "ALREADY_CLOSED")
  }
}

const READY = Promise.resolve()

function checkMessage(body: unknown): void {
  if (typeof body !== "string" && !(body instanceof Uint8Array)) {
    const advice = "append takes a string or a Uint8Array; turn values into text with JSON.stringify"
    throw new DurableStreamError(`body: ${advice}, got ${body === null ? "null" : typeof body}`, "BAD_REQUEST")
  }
  if (body.length === 0) throw new DurableStreamError("body: an append needs at least one byte", "BAD_REQUEST")
}

function acknowledgement({ offset, duplicate, epoch, seq }: BatchAnswer): IdempotentAppendResult {
  return { duplicate, epoch, seq, ...(offset === undefined || offset === null ? {} : { offset }) }
}

/** Tells of an error that nobody can catch, as the host does with one in an event listener. */
function reportError(error: unknown): void {
  queueMicrotask(() => {
    throw error
  })
}
