// The pieces of a streamed append.
import { DurableStreamError } from "./errors.js"
import type { Source } from "./link.js"

type Piece = Uint8Array | string

/** @internal What the core asks for pieces, and how to end it early. */
export interface Pieces extends Source {
  end(): Promise<void>
}

/** @internal */
export function piecesOf(source: ReadableStream<Piece> | AsyncIterable<Piece> | Iterable<Piece>): Pieces {
  const pieces = iteratorOf(source)
  let hasEnded = false
  return {
    async piece() {
      for (;;) {
        const { done, value } = await pieces.next()
        hasEnded ||= done === true
        if (done) return null
        const piece = bytesOf(value)
        // An empty piece would look like the end of the body.
        if (piece.length > 0) return piece
      }
    },
    async end() {
      if (hasEnded) return
      hasEnded = true
      // A source that is stuck must not hold up the error that ended it.
      void Promise.resolve(pieces.return?.()).catch(() => {})
    },
  }
}

function bytesOf(piece: unknown): Uint8Array {
  if (typeof piece === "string") return Buffer.from(piece)
  if (piece instanceof Uint8Array) return piece
  throw new DurableStreamError(`source: yields a ${typeof piece}; pieces are strings or Uint8Arrays`, "BAD_REQUEST")
}

function iteratorOf(source: ReadableStream<Piece> | AsyncIterable<Piece> | Iterable<Piece>): AsyncIterator<Piece> | Iterator<Piece> {
  if (typeof source === "object" && source !== null) {
    if (Symbol.asyncIterator in source) return (source as AsyncIterable<Piece>)[Symbol.asyncIterator]()
    if (Symbol.iterator in source) return (source as Iterable<Piece>)[Symbol.iterator]()
    if ("getReader" in source) return readerOf(source)
  }
  throw new DurableStreamError("source: must be a ReadableStream or an iterable of strings or Uint8Arrays", "BAD_REQUEST")
}

/** For runtimes whose streams are not iterable. */
function readerOf(source: ReadableStream<Piece>): AsyncIterator<Piece> {
  const reader = source.getReader()
  return {
    next: () => reader.read() as Promise<IteratorResult<Piece>>,
    async return() {
      await reader.cancel()
      return { done: true, value: undefined }
    },
  }
}
