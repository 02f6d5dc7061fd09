// From a stream to server-sent events. Every event carries, as its id, the offset behind it: a browser that reconnects
// sends the last one it saw, and misses and repeats nothing.
import { DurableStreamError, stream } from "@durable-streams/client"

/** How a browser waits before it comes back. Units: ms. */
const RETRY_MS = 500

/**
 * Gives the pieces of an SSE answer: one event per batch, an event `end` when the stream is closed. Ends when `signal`
 * is aborted, which is how the browser's leaving reaches the server of the stream.
 */
export async function* events(url, lastEventId, signal) {
  // `-1` is the beginning.
  const response = await stream({ url, offset: lastEventId || "-1", live: "sse", signal })
  yield `retry: ${RETRY_MS}\n\n`
  try {
    for await (const batch of response.batches()) {
      if (!batch.isEmpty) yield event("batch", batch.offset, JSON.stringify(batch.items))
      if (batch.streamClosed) yield event("end", batch.offset, "")
    }
  } catch (error) {
    if (!signal.aborted) throw error
  }
}

/** The HTTP status that tells a browser what is wrong. */
export const statusOf = (error) => (error instanceof DurableStreamError && error.status !== undefined ? error.status : 502)

// JSON text has no line break in it.
const event = (type, id, data) => `event: ${type}\nid: ${id}\ndata: ${data}\n\n`
