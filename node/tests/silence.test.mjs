// Streams on which nothing happens for long. The runtime's own fetch cuts bodies that are silent for 300 s; here
// limits are a thousand times shorter, so that silence longer than every limit but the right one takes a second.
import { stream } from "@durable-streams/client"
import { assert } from "./lib/assert.mjs"
import { test } from "./lib/test.mjs"
import { readHeaders, sseBatch, startWire } from "./lib/wire.mjs"

const base = { warnOnHttp: false, timeoutMs: 300, connectTimeoutMs: 300, backoffOptions: { initialDelay: 1, maxDelay: 1, multiplier: 1, maxRetries: 0 } }
const after = (ms) => new Promise((resolve) => setTimeout(resolve, ms))
const first = (response) => response.writeHead(200, readHeaders("1")).end("a")

test("a long-poll may be silent for longer than a request may take", async () => {
  const wire = await startWire(async (request, response, n) => {
    if (n === 0) return first(response)
    await after(1200)
    response.writeHead(200, readHeaders("2", { closed: true })).end("b")
  })
  const response = await stream({ ...base, url: wire.url, live: "long-poll" })
  let text = ""
  for await (const piece of response.textStream()) text += piece
  assert.equal(text, "ab")
  // Not asked again in between: the one long-poll was waited for.
  assert.equal(wire.seen.length, 2)
  await wire.stop()
})

test("an SSE connection may be silent for longer than a request may take", async () => {
  const wire = await startWire(async (request, response, n) => {
    if (n === 0) return first(response)
    response.writeHead(200, { "content-type": "text/event-stream" }).flushHeaders()
    await after(1200)
    response.end(sseBatch("b", "2", { closed: true }))
  })
  const response = await stream({ ...base, url: wire.url, live: "sse" })
  let text = ""
  for await (const piece of response.textStream()) text += piece
  assert.equal(text, "ab")
  assert.equal(wire.seen.length, 2)
  await wire.stop()
})

test("a long-poll silent beyond its own limit is asked again and is no error", async () => {
  const wire = await startWire((request, response, n) => {
    if (n === 0) return first(response)
    if (n < 3) return
    response.writeHead(200, readHeaders("2", { closed: true })).end("b")
  })
  const response = await stream({ ...base, url: wire.url, live: "long-poll", longPollTimeoutMs: 200 })
  let text = ""
  for await (const piece of response.textStream()) text += piece
  assert.equal(text, "ab")
  assert.equal(wire.seen.length, 4)
  await wire.stop()
})

test("a catch-up that is silent is over in time", async () => {
  const wire = await startWire(() => {})
  const started = performance.now()
  await assert.rejects(stream({ ...base, url: wire.url, live: false }), { coreCode: "TIMEOUT" })
  assert.equal(performance.now() - started < 5000, true)
  await wire.stop()
})
