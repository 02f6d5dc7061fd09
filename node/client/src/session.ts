// A read in progress: pulls batches, asks `onError` about failures, starts again where it was.
import { StreamBatch } from "./batch.js"
import { DurableStreamError } from "./errors.js"
import { checked, Handle, type HandleOptions } from "./handle.js"
import type { NativeReader, Pairs } from "./native.js"
import { liveSetting, mergeHeaders, retrySettings, sseFallbackSettings } from "./options.js"
import { onAbort, throwIfAborted } from "./signals.js"
import type { ReadOptions } from "./types.js"

/** @internal */
export class Session {
  readonly #handleOptions: HandleOptions
  readonly #options: ReadOptions
  readonly #signals: AbortSignal[]
  readonly #unlisten: () => void
  #handle: Handle
  #reader: NativeReader
  #offset: string | undefined
  #cursor: string | undefined
  /** Called once when the read is over, whoever ended it. */
  onClose: (() => void) | undefined
  #isClosed = false
  /** Whether a change from SSE to long-poll is still to be told. */
  #warns: boolean

  constructor(handleOptions: HandleOptions, options: ReadOptions, signals: (AbortSignal | undefined)[]) {
    this.#handleOptions = handleOptions
    this.#options = options
    this.#offset = options.offset
    this.#cursor = options.cursor
    this.#signals = signals.filter((signal) => signal !== undefined)
    this.#warns = options.sseResilience?.logWarnings ?? true
    throwIfAborted(this.#signals)
    this.#handle = new Handle(handleOptions)
    this.#reader = this.#open()
    this.#unlisten = onAbort(this.#signals, () => this.close())
  }

  /** Waits for the first answer. */
  async opened(): Promise<void> {
    await this.#pull(() => this.#reader.opened())
  }

  /** The next batch; `undefined` when the read is over, or was closed by the caller. */
  async next<T>(): Promise<StreamBatch<T> | undefined> {
    const batch = await this.#pull(() => this.#reader.next())
    if (batch === undefined) return undefined
    if (this.#warns) this.#warnOfLongPoll()
    if (batch === null) {
      this.close()
      return undefined
    }
    this.#offset = batch.offset
    this.#cursor = batch.cursor ?? undefined
    return new StreamBatch<T>(batch, this.#options.json === true)
  }

  /** Pulls until it works, as `onError` wants; `undefined` when the caller closed the read. */
  async #pull<R>(pull: () => Promise<R>): Promise<R | undefined> {
    for (;;) {
      if (this.#isClosed) return this.#ended()
      try {
        return await this.#handle.run(pull)
      } catch (error) {
        if (this.#isClosed) return this.#ended()
        await this.#recover(error)
      }
    }
  }

  #warnOfLongPoll(): void {
    const reason = this.#reader.sseGivenUp()
    if (reason === null) return
    this.#warns = false
    console.warn(`durable-streams: ${this.url} is read by long-poll instead of SSE: ${reason}`)
  }

  /** Where the read stands, as the server's parameter says it. */
  get offset(): string {
    return this.#reader.offset()
  }

  /** HTTP status of the latest answer. */
  get status(): number {
    return this.#reader.status()
  }

  /** Headers of the latest answer. */
  get headers(): Pairs {
    return this.#reader.headers()
  }

  /** Content type of the latest answer. */
  get contentType(): string | undefined {
    return this.#reader.contentType() ?? this.#handle.native.contentType ?? undefined
  }

  /** The stream's URL, without credentials. */
  get url(): string {
    return this.#handle.native.url
  }

  /** Ends the read at once. Repeating does nothing. */
  close(): void {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#unlisten()
    this.#reader.close()
    this.onClose?.()
  }

  /** Throws the reason of an aborted signal. */
  throwIfAborted(): void {
    throwIfAborted(this.#signals)
  }

  /** An aborted read fails with the signal's reason; one the caller closed ends. */
  #ended(): undefined {
    throwIfAborted(this.#signals)
    return undefined
  }

  /** Goes on as `onError` says, or throws the error. */
  async #recover(error: unknown): Promise<void> {
    const retry = await this.#options.onError?.(error as Error)
    if (typeof retry !== "object" || retry === null || this.#isClosed) {
      this.close()
      throw error
    }
    if (retry.headers !== undefined) this.#handleOptions.headers = mergeHeaders(this.#handleOptions.headers, retry.headers)
    if (retry.params !== undefined) this.#handleOptions.params = { ...this.#handleOptions.params, ...retry.params }
    this.#reader.close()
    this.#handle = new Handle(this.#handleOptions)
    this.#reader = this.#open()
  }

  #open(): NativeReader {
    const { live, ifNoneMatch } = this.#options
    if (ifNoneMatch !== undefined && typeof ifNoneMatch !== "string") {
      throw new DurableStreamError("ifNoneMatch: must be an entity tag", "BAD_REQUEST")
    }
    return checked(() =>
      this.#handle.native.read({
        offset: this.#offset,
        live: liveSetting(live),
        cursor: this.#cursor,
        ifNoneMatch,
        contentType: undefined,
        headers: [],
        params: [],
        retry: retrySettings(this.#handleOptions.backoffOptions, "read"),
        maxBatchBytes: this.#options.maxBatchBytes,
        sseFallback: sseFallbackSettings(this.#options.sseResilience),
      }),
    )
  }
}
