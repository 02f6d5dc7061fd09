// The client in whatever runtime runs this, against the server at the URL given.
import assert from "node:assert/strict"
import { DurableStream, DurableStreamError, IdempotentProducer, StaleEpochError, StreamClosedError, createFetchWithBackoff, stream } from "@durable-streams/client"
import { failure, restart, runChecks } from "./checks.mjs"

const json = "application/json"
const made = (url, options) => DurableStream.create({ url, contentType: json, warnOnHttp: false, ...options })
const items = async (handle) => (await handle.stream({ live: false })).json()
const upTo = (count) => Array.from({ length: count }, (_, n) => n)

const live = (mode) => async (url) => {
  const handle = await made(url)
  await handle.append('"early"')
  const reading = await stream({ url, live: mode, warnOnHttp: false })
  const messages = reading.jsonStream()[Symbol.asyncIterator]()
  assert.equal((await messages.next()).value, "early")
  for (let n = 0; n < 10; n++) {
    const later = messages.next()
    await handle.append(String(n))
    assert.equal((await later).value, n)
  }
  const end = messages.next()
  await handle.close()
  assert.equal((await end).done, true)
  await reading.closed
}

await runChecks(process.argv[2], {
  "bytes come back": async (url) => {
    const handle = await made(url, { contentType: "application/octet-stream" })
    const every = Uint8Array.from({ length: 256 }, (_, byte) => byte)
    await handle.append(every)
    const body = await (await handle.stream({ live: false })).body()
    assert.equal(body instanceof Uint8Array, true)
    assert.deepEqual([...body], [...every])
  },

  "objects, arrays and text come back": async (url) => {
    const handle = await made(url)
    await handle.append({ n: 1 })
    await handle.append([1, [2]])
    await handle.append('"text \\u2028 \u2028"')
    assert.deepEqual(await items(handle), [{ n: 1 }, [1, [2]], "text \u2028 \u2028"])
  },

  "32 MiB in one read": async (url) => {
    const handle = await made(url, { contentType: "application/octet-stream" })
    const piece = new Uint8Array(4 * 1024 * 1024).map((_, n) => n >> 8)
    for (let n = 0; n < 8; n++) await handle.append(piece)
    const body = await (await handle.stream({ live: false })).body()
    assert.equal(body.length, 8 * piece.length)
    assert.equal(Buffer.compare(body.subarray(7 * piece.length), piece), 0)
  },

  "long-poll": live("long-poll"),
  SSE: live("sse"),
  auto: live("auto"),

  "every helper": async (url) => {
    const handle = await made(url, { body: "[1,2]" })
    await handle.close()
    const read = () => handle.stream({ live: false })
    assert.equal(await (await read()).text(), "[1,2]")
    const texts = []
    for await (const text of (await read()).textStream()) texts.push(text)
    assert.equal(texts.join(""), "[1,2]")
    const bytes = []
    for await (const piece of (await read()).bodyStream()) bytes.push(...piece)
    assert.equal(Buffer.from(bytes).toString(), "[1,2]")
    const batches = []
    for await (const batch of (await read()).batches()) batches.push(...batch.items)
    assert.deepEqual(batches, [1, 2])
    const subscribed = await read()
    const got = []
    subscribed.subscribeJson((batch) => void got.push(...batch.items))
    await subscribed.closed
    assert.deepEqual(got, [1, 2])
  },

  "resume from any offset": async (url) => {
    const handle = await made(url)
    const offsets = []
    for (const n of upTo(5)) {
      offsets.push((await handle.head()).offset)
      await handle.append(String(n))
    }
    for (const n of upTo(5)) assert.deepEqual(await (await handle.stream({ live: false, offset: offsets[n] })).json(), upTo(5).slice(n))
  },

  "a producer stores everything once, in order": async (url) => {
    const handle = await made(url)
    const producer = new IdempotentProducer(handle, "p", { maxBatchBytes: 1024 })
    for (const n of upTo(20_000)) producer.append(String(n))
    await producer.flush()
    await producer.detach()
    assert.deepEqual(await items(handle), upTo(20_000))
  },

  "a message can be waited for, and what was stored is told": async (url) => {
    const handle = await made(url)
    assert.equal(handle.lastResponse.isNew, true)
    const producer = new IdempotentProducer(handle, "p")
    producer.append("1")
    const { duplicate, seq, offset } = await producer.appendAcknowledged("2")
    assert.deepEqual([duplicate, seq >= 0, offset], [false, true, (await handle.head()).offset])
    await producer.detach()
    assert.deepEqual(await items(handle), [1, 2])
  },

  "the rules of the core answer": async (url) => {
    const answer = (status, headers) => new Response("", { status, headers })
    const answers = [answer(425), answer(503, { "retry-after": "0" }), answer(501)]
    const error = await failure(createFetchWithBackoff(async () => answers.shift(), { initialDelay: 1 })(url))
    assert.deepEqual([error.status, answers.length], [501, 0])
    const closed = await DurableStreamError.fromResponse(answer(409, { "stream-closed": "true", "stream-next-offset": "7" }), url)
    assert.deepEqual([closed instanceof StreamClosedError, closed.finalOffset], [true, "7"])
    const refused = await failure(stream({ url, warnOnHttp: false, sseResilience: { maxShortConnections: 0 } }))
    assert.equal(refused.code, "BAD_REQUEST")
  },

  "a newer producer fences": async (url) => {
    const handle = await made(url)
    const newer = new IdempotentProducer(handle, "p", { epoch: 3 })
    newer.append("1")
    await newer.flush()
    const older = new IdempotentProducer(handle, "p", { epoch: 1 })
    older.append("2")
    const error = await failure(older.flush())
    assert.equal(error instanceof StaleEpochError, true)
    assert.equal(error.currentEpoch, 3)
    await older.detach()
    await newer.detach()
    assert.deepEqual(await items(handle), [1])
  },

  "errors have classes and codes": async (url) => {
    const missing = await failure(stream({ url, live: false, warnOnHttp: false }))
    assert.equal(missing instanceof DurableStreamError, true)
    assert.equal(missing.code, "NOT_FOUND")
    assert.equal(missing.status, 404)
    const handle = await made(url)
    await handle.close()
    const closed = await failure(handle.append("1"))
    assert.equal(closed instanceof StreamClosedError, true)
    assert.equal(closed.code, "STREAM_CLOSED")
  },

  "an abort ends parked reads at once": async (url) => {
    const handle = await made(url)
    for (const mode of ["sse", "long-poll"]) {
      const controller = new AbortController()
      const reason = new Error("given up")
      const reading = await handle.stream({ live: mode, offset: "now", signal: controller.signal })
      const end = failure(
        (async () => {
          for await (const item of reading.jsonStream()) assert.fail(String(item))
        })(),
      )
      controller.abort(reason)
      assert.equal(await end, reason)
    }
    assert.equal((await failure(handle.append("1", { signal: AbortSignal.abort() }))).name, "AbortError")
  },

  "a thousand reads opened and left": async (url) => {
    const handle = await made(url, { body: "[1]" })
    for (let lot = 0; lot < 20; lot++) {
      await Promise.all(
        upTo(50).map(async () => {
          const reading = await handle.stream({ live: "sse" })
          for await (const item of reading.jsonStream()) {
            assert.equal(item, 1)
            break
          }
        }),
      )
    }
  },

  "functions as headers, synchronous or not": async (url) => {
    let calls = 0
    const handle = await made(url, { headers: { "x-a": () => String(calls++), "x-b": async () => String(calls++) } })
    await handle.append("1")
    assert.equal(calls, 4)
    const broken = new DurableStream({ url, warnOnHttp: false, headers: { "x-a": () => { throw new RangeError("mine") } } })
    const error = await failure(broken.head())
    assert.equal(error instanceof RangeError || error.cause instanceof RangeError, true)
  },

  "fetch as an option": async (url) => {
    let calls = 0
    const handle = await made(url, { fetch: (input, init) => (calls++, fetch(input, init)) })
    await handle.append("1")
    const reading = await handle.stream({ live: "sse" })
    const messages = reading.jsonStream()[Symbol.asyncIterator]()
    assert.equal((await messages.next()).value, 1)
    const later = messages.next()
    await handle.append("2")
    assert.equal((await later).value, 2)
    await messages.return()
    assert.equal(calls >= 4, true)
  },

  "writable and appendStream": async (url) => {
    const handle = await made(url, { contentType: "text/plain" })
    await handle.appendStream(["a", "b"].values())
    const writer = handle.writable().getWriter()
    await writer.write("c")
    await writer.close()
    assert.equal(await (await handle.stream()).text(), "abc")
    assert.equal((await handle.head()).streamClosed, true)
  },

  "a restart of the server loses and doubles nothing": async (url) => {
    const handle = await made(url)
    const producer = new IdempotentProducer(handle, "p", { maxBatchBytes: 256 })
    const reading = await stream({ url, live: "long-poll", warnOnHttp: false })
    const got = []
    const read = (async () => {
      for await (const item of reading.jsonStream()) got.push(item)
    })()
    for (const n of upTo(500)) producer.append(String(n))
    await producer.flush()
    await restart()
    for (const n of upTo(500)) producer.append(String(500 + n))
    await producer.close()
    await read
    assert.deepEqual(got, upTo(1000))
    assert.deepEqual(await items(handle), upTo(1000))
  },
})
