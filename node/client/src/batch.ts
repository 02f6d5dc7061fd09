// One batch of a read: what came, and where it leads.
import { DurableStreamError } from "./errors.js"
import type { ReadBatch } from "./native.js"
import type { Offset } from "./types.js"

/**
 * One batch of a stream, possibly without data: an answer may only tell that there is none. `items`, `text` and `data`
 * are views of the same data, made when asked for.
 */
export class StreamBatch<T = unknown> {
  /** Where to resume after this batch. */
  readonly offset: Offset
  /** Everything available has been read. */
  readonly upToDate: boolean
  /** The stream is closed and this is its end. */
  readonly streamClosed: boolean
  /** Cursor for a later live read. */
  readonly cursor?: string
  /** HTTP status of the answer. */
  readonly status: number
  /** Whether the stream is a JSON stream. */
  readonly isJson: boolean
  /** Whether there is nothing to deliver. */
  readonly isEmpty: boolean
  readonly #raw: string | Uint8Array
  readonly #isJsonForced: boolean
  #items: T[] | undefined

  /** @internal */
  constructor(batch: ReadBatch, isJsonForced: boolean) {
    this.offset = batch.offset
    this.upToDate = batch.upToDate
    this.streamClosed = batch.streamClosed
    if (batch.cursor !== undefined && batch.cursor !== null) this.cursor = batch.cursor
    this.status = batch.status
    this.isJson = batch.isJson
    this.isEmpty = batch.isEmpty
    this.#raw = batch.data
    this.#isJsonForced = isJsonForced
  }

  /** The messages of a JSON stream, parsed. */
  get items(): T[] {
    return (this.#items ??= this.#parse())
  }

  /** The data as text; of a JSON stream one JSON array. A character may be cut at the end of a batch: see `textStream`. */
  get text(): string {
    return typeof this.#raw === "string" ? this.#raw : new TextDecoder("utf-8", { ignoreBOM: true }).decode(this.#raw)
  }

  /** The data as bytes; of a JSON stream one JSON array. */
  get data(): Uint8Array {
    return typeof this.#raw === "string" ? new TextEncoder().encode(this.#raw) : this.#raw
  }

  #parse(): T[] {
    if (!this.isJson && !this.#isJsonForced) {
      throw new DurableStreamError("items: the stream's content type is not JSON; read `data` or `text`, or set `json: true`", "BAD_REQUEST")
    }
    if (this.isEmpty) return []
    let value: unknown
    try {
      value = JSON.parse(this.text)
    } catch (error) {
      const parseError = new DurableStreamError(`the data is not JSON: ${(error as Error).message}`, "PARSE_ERROR", this.status)
      parseError.coreCode = "PARSE_ERROR"
      parseError.cause = error
      throw parseError
    }
    return (Array.isArray(value) ? value : [value]) as T[]
  }
}
