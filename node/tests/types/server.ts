// The test server's surface, as its users see it.
import {
  DEFAULT_CURSOR_EPOCH,
  DEFAULT_CURSOR_INTERVAL_SECONDS,
  DurableStreamTestServer,
  calculateCursor,
  decodeStreamPath,
  encodeStreamPath,
  generateResponseCursor,
  globMatch,
  handleCursorCollision,
} from "@durable-streams/server"
import type { Subscription, SubscriptionRequest, WakeEvent, WebhookRequest } from "@durable-streams/server"

export const wanted: SubscriptionRequest = { type: "webhook", pattern: "orders/**", webhook: { url: "http://127.0.0.1:9/hook" } }
export const told = (made: Subscription, body: WebhookRequest, wake: WakeEvent): (string | null | undefined)[] => [
  made.webhook?.signing.kid,
  made.streams[0]?.acked_offset,
  body.streams[0]?.tail_offset,
  body.callback_token,
  wake.stream,
]

export async function servers(): Promise<string> {
  const server = new DurableStreamTestServer({
    port: 0,
    host: "127.0.0.1",
    longPollTimeout: 1000,
    dataDir: "streams",
    webhooks: false,
    compression: true,
    cursorIntervalSeconds: 20,
    cursorEpoch: new Date(),
    onStreamCreated: (event) => console.log(event.type, event.path, event.contentType, event.timestamp),
    onStreamDeleted: async (event) => console.log(event.path),
  })
  const url: string = await server.start()
  server.injectFault("/v1/stream/a", { status: 500, count: 1, retryAfter: 1, delayMs: 1, jitterMs: 1, dropConnection: false, truncateBodyBytes: 1, corruptBody: false, probability: 1, method: "GET", injectSseEvent: { eventType: "a", data: "b" } })
  server.injectError("/v1/stream/a", 500, 2, 1)
  server.clearInjectedFaults()
  const told: [string, string, number, number] = [server.url, server.baseUrl, server.port, server.liveReaders()]
  await server.stop()
  // @ts-expect-error no such option
  new DurableStreamTestServer({ ports: 1 })
  void [told, DEFAULT_CURSOR_EPOCH, DEFAULT_CURSOR_INTERVAL_SECONDS, calculateCursor, generateResponseCursor, handleCursorCollision]
  return globMatch("a/*", "a/b") ? encodeStreamPath(url) : decodeStreamPath(url)
}
