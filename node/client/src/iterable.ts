// `for await` over a `ReadableStream`, where the runtime does not have it.
import type { ReadableStreamAsyncIterable } from "./types.js"

/** The same stream, async iterable on every runtime. Leaving the loop cancels the stream. */
export function asAsyncIterableReadableStream<T>(stream: ReadableStream<T>): ReadableStreamAsyncIterable<T> {
  if (typeof (stream as Partial<AsyncIterable<T>>)[Symbol.asyncIterator] !== "function") {
    Object.defineProperty(stream, Symbol.asyncIterator, { configurable: true, writable: true, value: () => iterate(stream) })
  }
  return stream as ReadableStreamAsyncIterable<T>
}

function iterate<T>(stream: ReadableStream<T>): AsyncIterableIterator<T> {
  const reader = stream.getReader()
  return {
    async next() {
      const { done, value } = await reader.read()
      if (done) reader.releaseLock()
      return done ? { done, value: undefined } : { done: false, value }
    },
    async return() {
      await reader.cancel()
      reader.releaseLock()
      return { done: true, value: undefined }
    },
    [Symbol.asyncIterator]() {
      return this
    },
  }
}
