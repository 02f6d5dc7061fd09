// The client in whatever runtime runs this, while the server misbehaves on request.
import assert from "node:assert/strict"
import { DurableStream, IdempotentProducer, stream } from "@durable-streams/client"
import { failure, inject, restart, runChecks } from "./checks.mjs"

const json = "application/json"
const backoffOptions = { initialDelay: 5, maxDelay: 20, multiplier: 1.3, maxRetries: 10 }
const made = (url, options) => DurableStream.create({ url, contentType: json, warnOnHttp: false, backoffOptions, ...options })
const items = async (handle) => (await handle.stream({ live: false })).json()
const upTo = (count) => Array.from({ length: count }, (_, n) => n)

const readUnder = (fault) => async (url) => {
  const handle = await made(url, { body: JSON.stringify(upTo(100)) })
  await inject(url, { ...fault, method: "GET" })
  assert.deepEqual(await items(handle), upTo(100))
}

const produceUnder = (fault) => async (url) => {
  const handle = await made(url)
  await inject(url, { ...fault, method: "POST" })
  const producer = new IdempotentProducer(handle, "p", { maxBatchBytes: 128 })
  for (const n of upTo(300)) producer.append(String(n))
  await producer.flush()
  await producer.detach()
  assert.deepEqual(await items(handle), upTo(300))
}

const tailUnder = (live, fault) => async (url) => {
  const handle = await made(url)
  const reading = await handle.stream({ live })
  const messages = reading.jsonStream()[Symbol.asyncIterator]()
  await inject(url, { ...fault, method: "GET" })
  for (const n of upTo(20)) {
    const next = messages.next()
    await handle.append(String(n))
    assert.equal((await next).value, n)
  }
  await messages.return()
}

const broken = (fault) => async (url) => {
  const handle = await made(url, { body: JSON.stringify(upTo(100)) })
  await inject(url, { ...fault, method: "GET" })
  assert.equal((await failure(items(handle))).code, "PARSE_ERROR")
  assert.deepEqual(await items(handle), upTo(100))
}

await runChecks(process.argv[2], {
  "reads survive 500": readUnder({ status: 500, count: 2 }),
  "reads survive 503 with Retry-After": readUnder({ status: 503, retryAfter: 1 }),
  "reads survive 429 with Retry-After": readUnder({ status: 429, retryAfter: 1 }),
  "reads survive dropped connections": readUnder({ dropConnection: true, count: 3 }),
  "reads survive delays": readUnder({ delayMs: 200, jitterMs: 50 }),
  "producers survive 500": produceUnder({ status: 500, count: 4 }),
  "producers survive 429": produceUnder({ status: 429, count: 3 }),
  "producers survive dropped connections": produceUnder({ dropConnection: true, count: 4 }),
  "producers survive delays": produceUnder({ delayMs: 100, jitterMs: 100, count: 10 }),
  "long-polls survive 500": tailUnder("long-poll", { status: 500, count: 2 }),
  "long-polls survive dropped connections": tailUnder("long-poll", { dropConnection: true, count: 2 }),
  "SSE survives 500": tailUnder("sse", { status: 500, count: 2 }),
  "SSE survives dropped connections": tailUnder("sse", { dropConnection: true, count: 2 }),
  "SSE ignores events it does not know": tailUnder("sse", { injectSseEvent: { eventType: "odd", data: "x" }, count: 2 }),
  "truncated JSON is no data": broken({ truncateBodyBytes: 15 }),
  "spoilt JSON is no data": broken({ corruptBody: true }),

  "400 and 404 are not repeated": async (url) => {
    const handle = await made(url)
    await inject(url, { status: 400, method: "POST" })
    assert.equal((await failure(handle.append("1"))).status, 400)
    await handle.append("2")
    assert.deepEqual(await items(handle), [2])
  },

  "giving up tells the last answer": async (url) => {
    await made(url)
    await inject(url, { status: 500, count: 100, method: "GET" })
    const error = await failure(stream({ url, live: false, warnOnHttp: false, backoffOptions: { ...backoffOptions, maxRetries: 3 } }))
    assert.equal(error.status, 500)
    await inject(url, { status: 500, count: 1, method: "GET", probability: 0 })
  },

  "an abort ends a wait for a retry": async (url) => {
    await made(url)
    await inject(url, { status: 503, retryAfter: 3000, method: "GET" })
    const controller = new AbortController()
    const reason = new Error("given up")
    const end = failure(stream({ url, live: false, warnOnHttp: false, signal: controller.signal }))
    setTimeout(() => controller.abort(reason), 100)
    assert.equal(await end, reason)
  },

  "a server that is killed is waited for": async (url) => {
    const handle = await made(url, { backoffOptions: { ...backoffOptions, maxRetries: Infinity } })
    const readers = ["long-poll", "sse"].map(async (live) => {
      const reading = await handle.stream({ live })
      const got = []
      for await (const item of reading.jsonStream()) got.push(item)
      return got
    })
    const producer = new IdempotentProducer(handle, "p", { maxBatchBytes: 64 })
    for (let round = 0; round < 3; round++) {
      for (const n of upTo(100)) producer.append(String(round * 100 + n))
      await restart()
    }
    await producer.close()
    for (const got of await Promise.all(readers)) assert.deepEqual(got, upTo(300))
  },
})
