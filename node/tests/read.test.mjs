// Reading: what helpers give, when they stop, how live modes go on, where offsets point.
import { after, before, test } from "./lib/test.mjs"
import { DurableStream, DurableStreamError, IdempotentProducer, stream } from "@durable-streams/client"
import { assert, collect, deferred, failure, settled, utf8 } from "./lib/assert.mjs"
import { startServer } from "./lib/server.mjs"
import { readHeaders, sseBatch, startWire } from "./lib/wire.mjs"

const json = "application/json"
const base = { warnOnHttp: false }
const LIVE = ["long-poll", "sse", true, "auto"]
let server
before(async () => (server = await startServer(["--long-poll-timeout-ms", "500"])))
after(() => server.stop())

const created = (options) => DurableStream.create({ ...base, url: server.url(), contentType: json, ...options })
async function filled(messages, options) {
  const handle = await created(options)
  for (const message of messages) await handle.append(JSON.stringify(message))
  return handle
}

test("stream takes a bare URL, a URL object, or options", async () => {
  const handle = await filled([1, 2])
  await handle.close()
  for (const argument of [handle.url, new URL(handle.url), { ...base, url: handle.url }, { ...base, url: new URL(handle.url) }]) {
    assert.deepEqual(await (await stream(argument)).json(), [1, 2])
  }
})

test("the response tells about the first answer", async () => {
  const handle = await filled([1])
  const response = await handle.stream({ live: false })
  assert.equal(response.url.startsWith(handle.url), true)
  assert.equal(response.contentType, json)
  assert.equal(response.status, 200)
  assert.equal(response.ok, true)
  assert.equal(response.isLoading, false)
  assert.equal(response.live, false)
  assert.equal(response.startOffset, "-1")
  assert.equal(response.headers instanceof Headers, true)
  assert.equal(response.headers.get("content-type"), json)
  assert.equal(response.streamClosed, false)
  await response.json()
})

for (const live of LIVE) {
  test(`json, text and body stop at the first up-to-date point when live is ${live}`, async () => {
    const handle = await filled([1, 2])
    assert.deepEqual(await (await handle.stream({ live })).json(), [1, 2])
    assert.equal(await (await handle.stream({ live })).text(), "[1,2]")
    assert.equal(utf8(await (await handle.stream({ live })).body()), "[1,2]")
  })

  test(`what is written later arrives, until the stream is closed, when live is ${live}`, async () => {
    const handle = await filled(["early"])
    const response = await handle.stream({ live })
    const messages = response.jsonStream()[Symbol.asyncIterator]()
    assert.equal((await messages.next()).value, "early")
    for (const message of ["later", { last: true }]) {
      const next = messages.next()
      await handle.append(JSON.stringify(message))
      assert.deepEqual((await next).value, message)
    }
    const end = messages.next()
    const { finalOffset } = await handle.close()
    assert.equal((await end).done, true)
    await response.closed
    assert.equal(response.streamClosed, true)
    assert.equal(response.offset, finalOffset)
  })

  test(`a read from now sees only what comes when live is ${live}`, async () => {
    const handle = await filled(["before"])
    const response = await handle.stream({ live, offset: "now" })
    const { promise, resolve } = deferred()
    const stop = response.subscribeJson((batch) => batch.items.length > 0 && resolve(batch.items))
    await handle.append('"after"')
    assert.deepEqual(await promise, ["after"])
    stop()
  })
}

test("a live read that ends at a server's timeout goes on", async () => {
  const handle = await filled([])
  const response = await handle.stream({ live: "long-poll" })
  const batches = response.batches()[Symbol.asyncIterator]()
  let empty = 0
  while (empty < 3) if ((await batches.next()).value.isEmpty) empty++
  await handle.append('"at last"')
  let batch
  do batch = (await batches.next()).value
  while (batch.isEmpty)
  assert.deepEqual(batch.items, ["at last"])
  await batches.return()
})

test("catch-up goes over many answers in order", async () => {
  const small = await startServer(["--max-chunk-bytes", "65536"])
  const handle = await DurableStream.create({ ...base, url: small.url(), contentType: json })
  const all = Array.from({ length: 5000 }, (_, n) => ({ n, pad: "x".repeat(90) }))
  const producer = new IdempotentProducer(handle, "p", { maxBatchBytes: 4096 })
  for (const message of all) producer.append(JSON.stringify(message))
  await producer.flush()
  assert.deepEqual(await (await handle.stream({ live: false })).json(), all)
  const bodies = await collect((await handle.stream({ live: false })).bodyStream())
  assert.equal(bodies.length > 1, true)
  await producer.detach()
  await small.stop()
})

test("every way to read gives the same", async () => {
  const messages = [{ a: 1 }, "two", 3, null, [4, [5]], "ü"]
  const handle = await filled(messages)
  await handle.close()
  const read = () => handle.stream({ live: false })
  const text = JSON.stringify(messages)
  assert.deepEqual(await (await read()).json(), messages)
  assert.equal(await (await read()).text(), text)
  assert.deepEqual(await collect((await read()).jsonStream()), messages)
  assert.equal((await collect((await read()).textStream())).join(""), text)
  assert.equal(Buffer.concat(await collect((await read()).bodyStream())).toString(), text)
  assert.deepEqual((await collect((await read()).batches())).flatMap((batch) => batch.items), messages)
  const subscribed = await read()
  const items = []
  subscribed.subscribeJson((batch) => void items.push(...batch.items))
  await subscribed.closed
  assert.deepEqual(items, messages)
  const texts = await read()
  let seen = ""
  texts.subscribeText((chunk) => void (seen += chunk.text))
  await texts.closed
  assert.equal(seen, text)
  const bytes = await read()
  const pieces = []
  bytes.subscribeBytes((chunk) => void pieces.push(chunk.data))
  await bytes.closed
  assert.equal(Buffer.concat(pieces).toString(), text)
})

test("a batch carries the offset behind it; resuming from any misses and repeats nothing", async () => {
  const handle = await created()
  const response = await handle.stream({ live: "sse" })
  const batches = response.batches()[Symbol.asyncIterator]()
  const positions = []
  for (let n = 0; n < 5; n++) {
    await handle.append(String(n))
    let batch
    do batch = (await batches.next()).value
    while (batch.isEmpty)
    positions.push([batch.offset, n])
    assert.equal(response.offset, batch.offset)
  }
  await batches.return()
  for (const [offset, n] of positions) {
    const rest = await (await handle.stream({ offset, live: false })).json()
    assert.deepEqual(rest, [0, 1, 2, 3, 4].slice(n + 1))
  }
})

test("offset and flags advance when data is delivered, not when it is fetched", async () => {
  const handle = await filled([1])
  const response = await handle.stream({ live: false })
  const before = response.offset
  assert.equal(response.upToDate, false)
  const offsets = []
  response.subscribeJson((batch) => void offsets.push([batch.offset, response.offset]))
  await response.closed
  assert.equal(before, "-1")
  assert.equal(offsets.every(([given, told]) => given === told), true)
  assert.equal(response.upToDate, true)
  assert.equal(response.offset, (await handle.head()).offset)
})

test("one way of reading per response", async () => {
  const handle = await filled([1])
  const ways = ["json", "text", "body", "jsonStream", "textStream", "bodyStream", "subscribeJson", "subscribeText", "subscribeBytes", "batches"]
  for (const second of ways) {
    const response = await handle.stream({ live: false })
    const first = response.json()
    const error = await failure(async () => response[second](() => {}))
    assert.equal(error instanceof DurableStreamError, true, second)
    assert.equal(error.code, "ALREADY_CONSUMED", second)
    assert.deepEqual(await first, [1])
  }
})

test("JSON helpers refuse another type, unless told to take it as JSON", async () => {
  const handle = await created({ contentType: "text/plain", body: '{"n":1}' })
  assert.equal((await failure(async () => (await handle.stream({ live: false })).json())).code, "BAD_REQUEST")
  assert.equal((await failure(async () => (await handle.stream({ live: false })).jsonStream())).code, "BAD_REQUEST")
  assert.equal((await failure(async () => (await handle.stream({ live: false })).subscribeJson(() => {}))).code, "BAD_REQUEST")
  assert.deepEqual(await (await handle.stream({ live: false, json: true })).json(), [{ n: 1 }])
})

test("a subscriber's promise holds the next batch back", async () => {
  const handle = await created()
  const response = await handle.stream({ live: "sse" })
  const gate = deferred()
  const first = deferred()
  const second = deferred()
  let running = 0
  const items = []
  response.subscribeJson(async (batch) => {
    assert.equal(++running, 1)
    items.push(...batch.items)
    if (items.length === 1) first.resolve()
    if (items.length === 1) await gate.promise
    if (items.length === 3) second.resolve()
    running--
  })
  await handle.append("1")
  await first.promise
  await handle.append("2")
  await handle.append("3")
  // Three are stored; two wait for the subscriber.
  assert.deepEqual(items.filter((item) => item > 1), [])
  gate.resolve()
  await second.promise
  assert.deepEqual(items, [1, 2, 3])
  response.cancel()
})

test("unsubscribing and cancel end the read and settle closed", async () => {
  const handle = await filled([1])
  for (const end of ["unsubscribe", "cancel"]) {
    const response = await handle.stream({ live: "sse" })
    const got = deferred()
    const unsubscribe = response.subscribeJson(() => got.resolve())
    await got.promise
    if (end === "cancel") response.cancel()
    else unsubscribe()
    await settled(response.closed)
    response.cancel()
    unsubscribe()
  }
})

test("a subscriber that throws ends the read with its error", async () => {
  const handle = await filled([1])
  const response = await handle.stream({ live: "long-poll" })
  const mine = new Error("mine")
  response.subscribeJson(() => {
    throw mine
  })
  assert.equal(await failure(response.closed), mine)
})

test("streams of the web kind can be read, locked, cancelled and piped", async () => {
  const handle = await filled([1, 2])
  const response = await handle.stream({ live: "long-poll" })
  const body = response.bodyStream()
  assert.equal(body instanceof ReadableStream, true)
  const reader = body.getReader()
  assert.equal(utf8((await reader.read()).value), "[1,2]")
  await reader.cancel()
  await settled(response.closed)
  const piped = (await handle.stream({ live: false })).jsonStream().pipeThrough(
    new TransformStream({ transform: (item, controller) => controller.enqueue(item * 10) }),
  )
  assert.deepEqual(await collect(piped), [10, 20])
})

test("leaving a loop ends the read at once", { timeout: 10_000 }, async () => {
  const handle = await filled([1])
  for (const way of ["jsonStream", "textStream", "bodyStream", "batches"]) {
    const response = await handle.stream({ live: "sse" })
    for await (const value of response[way]()) {
      assert.notEqual(value, undefined)
      break
    }
    await settled(response.closed)
  }
})

test("return ends a parked next", { timeout: 10_000 }, async () => {
  const handle = await filled([])
  const response = await handle.stream({ live: "sse", offset: "now" })
  const batches = response.batches()[Symbol.asyncIterator]()
  // What says that all is read may come first; then nothing does.
  assert.equal((await batches.next()).value.upToDate, true)
  const parked = batches.next()
  await batches.return()
  assert.equal((await parked).done, true)
  assert.equal((await batches.next()).done, true)
  await settled(response.closed)
})

test("asyncDispose ends a read and not the stream", async () => {
  const handle = await filled([1])
  const response = await handle.stream({ live: "sse" })
  await response[Symbol.asyncDispose]()
  await settled(response.closed)
  assert.equal((await handle.head()).streamClosed, false)
})

test("SSE carries bytes", async () => {
  const handle = await created({ contentType: "application/octet-stream" })
  const every = Uint8Array.from({ length: 256 }, (_, byte) => byte)
  const reader = (await handle.stream({ live: "sse" })).bodyStream().getReader()
  await handle.append(every)
  await handle.close()
  const got = []
  for (let piece = await reader.read(); !piece.done; piece = await reader.read()) got.push(...piece.value)
  assert.deepEqual(got, [...every])
})

test("short SSE connections end in long-polls", async () => {
  const wire = await startWire((request, response, n) => {
    const live = request.query.get("live")
    if (live === null) return response.writeHead(200, readHeaders("1")).end("x")
    if (live === "sse") return response.writeHead(200, { "content-type": "text/event-stream" }).end()
    response.writeHead(200, readHeaders("9", { closed: true, "stream-cursor": "1" })).end("end")
  })
  const response = await stream({ ...base, url: wire.url, live: "sse", sseResilience: { backoffBaseDelay: 1, backoffMaxDelay: 2, logWarnings: false } })
  assert.equal((await collect(response.textStream())).join(""), "xend")
  const modes = wire.seen.map((request) => request.query.get("live"))
  assert.deepEqual(modes, [null, "sse", "sse", "sse", "long-poll"])
  await wire.stop()
})

/** What a server saw of a read by SSE whose every answer ends at once. */
async function shortAnswers(sseResilience, polls = "1") {
  const told = []
  const original = console.warn
  console.warn = (...text) => told.push(text.join(" "))
  const wire = await startWire((request, response) => {
    const live = request.query.get("live")
    if (live === null) return response.writeHead(200, readHeaders("1")).end("x")
    if (live === "sse" && wire.seen.length < 8) return response.writeHead(200, { "content-type": "text/event-stream" }).end()
    if (live === "sse") return response.writeHead(200, { "content-type": "text/event-stream" }).end(sseBatch("end", "9", { closed: true }))
    response.writeHead(200, readHeaders("9", { closed: true, "stream-cursor": polls })).end("end")
  })
  try {
    const response = await stream({ ...base, url: wire.url, live: "sse", sseResilience })
    assert.equal((await collect(response.textStream())).join(""), "xend")
  } finally {
    console.warn = original
    await wire.stop()
  }
  return { modes: wire.seen.map((request) => request.query.get("live")), told, url: wire.url }
}

test("how many short SSE connections are too many is the caller's choice, and told once on the console", async () => {
  const sooner = await shortAnswers({ maxShortConnections: 1 })
  assert.deepEqual(sooner.modes, [null, "sse", "long-poll"])
  assert.equal(sooner.told.length, 1)
  assert.equal(sooner.told[0].includes(sooner.url), true, sooner.told[0])
  const quiet = await shortAnswers({ maxShortConnections: 2, backoffBaseDelay: 0, logWarnings: false })
  assert.deepEqual(quiet, { modes: [null, "sse", "sse", "long-poll"], told: [], url: quiet.url })
})

test("a read that keeps trying stays with SSE, and so does one to which no answer is short", async () => {
  for (const patient of [{ maxShortConnections: Infinity, backoffBaseDelay: 1, backoffMaxDelay: 1 }, { minConnectionDuration: 0 }]) {
    const { modes, told } = await shortAnswers(patient)
    assert.deepEqual(modes, [null, ...Array(7).fill("sse")])
    assert.deepEqual(told, [])
  }
})

for (const [name, value] of [
  ["minConnectionDuration", -1],
  ["maxShortConnections", 0],
  ["maxShortConnections", 1.5],
  ["backoffBaseDelay", -1],
  ["backoffMaxDelay", 1],
]) {
  test(`sseResilience refuses ${name} ${value}`, async () => {
    const error = await failure(stream({ ...base, url: server.url(), sseResilience: { [name]: value } }))
    assert.equal(error.code, "BAD_REQUEST")
    assert.equal(error.message.includes(name), true, error.message)
  })
}

test("maxBatchBytes bounds what a byte stream is delivered in", async () => {
  const handle = await DurableStream.create({ ...base, url: server.url(), contentType: "application/octet-stream" })
  const data = new Uint8Array(300_000).map((_, n) => n * 31)
  await handle.append(data)
  const batches = await collect((await handle.stream({ live: false, maxBatchBytes: 100_000 })).batches())
  const pieces = batches.filter((batch) => !batch.isEmpty)
  assert.equal(pieces.length >= 2, true, String(pieces.length))
  // Pieces of an answer cut no further than the network does: none holds the whole.
  assert.equal(pieces.every((batch) => batch.data.length < data.length), true)
  assert.deepEqual(Buffer.concat(pieces.map((batch) => batch.data)), Buffer.from(data))
  assert.equal((await failure(handle.stream({ live: false, maxBatchBytes: 0 }))).code, "BAD_REQUEST")
})

test("the first request never says live; the next echoes offset and cursor", async () => {
  const wire = await startWire((request, response, n) => {
    if (n === 0) response.writeHead(200, readHeaders("o1")).end("a")
    else if (n === 1) response.writeHead(200, readHeaders("o2", { "stream-cursor": "77" })).end("b")
    else response.writeHead(204, readHeaders("o2", { closed: true, "stream-cursor": "78" })).end()
  })
  const response = await stream({ ...base, url: wire.url, live: "long-poll" })
  assert.deepEqual(await collect(response.textStream()), ["a", "b"])
  const asked = wire.seen.map(({ query }) => ["offset", "live", "cursor"].map((name) => query.get(name)))
  assert.deepEqual(asked, [["-1", null, null], ["o1", "long-poll", null], ["o2", "long-poll", "77"]])
  await wire.stop()
})

test("data and the control event behind it are one batch", async () => {
  const half = deferred()
  const wire = await startWire(async (request, response, n) => {
    if (request.query.get("live") === null) return response.writeHead(200, readHeaders("0")).end()
    response.writeHead(200, { "content-type": "text/event-stream" })
    const text = sseBatch("hello", "5", { closed: true })
    response.write(text.slice(0, 20))
    await half.promise
    response.end(text.slice(20))
  })
  const response = await stream({ ...base, url: wire.url, live: "sse" })
  const batches = []
  const done = (async () => {
    for await (const batch of response.batches()) if (!batch.isEmpty) batches.push([utf8(batch.data), batch.offset, batch.streamClosed])
  })()
  await wire.arrived(2)
  assert.deepEqual(batches, [])
  half.resolve()
  await done
  assert.deepEqual(batches, [["hello", "5", true]])
  await wire.stop()
})
