// A `WritableStream` into a stream, on a producer.
import type { DurableStream } from "./durable-stream.js"
import { IdempotentProducer } from "./producer.js"
import { onAbort } from "./signals.js"
import type { IdempotentProducerOptions } from "./types.js"

/** @internal */
export function writableOf(
  stream: DurableStream,
  { producerId, ...options }: IdempotentProducerOptions & { producerId?: string },
): WritableStream<Uint8Array | string> {
  let producer: IdempotentProducer
  return new WritableStream<Uint8Array | string>({
    start(controller) {
      producer = new IdempotentProducer(stream, producerId ?? `writable-${Math.random().toString(36).slice(2, 10).padEnd(8, "0")}`, {
        autoClaim: true,
        ...options,
        onError: (error) => {
          options.onError?.(error)
          controller.error(error)
        },
      })
      const { signal } = options
      if (signal?.aborted) controller.error(signal.reason)
      else if (signal !== undefined) onAbort([signal], () => controller.error(signal.reason))
    },
    async write(chunk) {
      if (chunk.length === 0) return
      producer.append(chunk)
      await producer.ready
    },
    async close() {
      await producer.close()
    },
    async abort() {
      await producer.detach()
    },
  })
}
