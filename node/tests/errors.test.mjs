// What goes wrong has a class, a code and the facts behind it.
import { createServer } from "node:net"
import {
  DurableStream,
  DurableStreamError,
  FetchError,
  IdempotentProducer,
  InvalidSignalError,
  MissingStreamUrlError,
  SequenceGapError,
  StaleEpochError,
  StreamClosedError,
  stream,
} from "@durable-streams/client"
import { assert, failure } from "./lib/assert.mjs"
import { test } from "./lib/test.mjs"
import { readHeaders, startWire } from "./lib/wire.mjs"

const once = { maxRetries: 0, initialDelay: 1, maxDelay: 1, multiplier: 1 }
const base = { warnOnHttp: false, backoffOptions: once }

async function answered(status, headers, body, run) {
  const wire = await startWire((request, response) => response.writeHead(status, headers).end(body))
  try {
    return await run(wire)
  } finally {
    await wire.stop()
  }
}

const OPERATIONS = {
  read: (url) => stream({ ...base, url, live: false }),
  append: (url) => new DurableStream({ ...base, url, contentType: "text/plain" }).append("x"),
  "append with seq": (url) => new DurableStream({ ...base, url, contentType: "text/plain" }).append("x", { seq: "1" }),
  create: (url) => DurableStream.create({ ...base, url, contentType: "text/plain" }),
  delete: (url) => DurableStream.delete({ ...base, url }),
  close: (url) => new DurableStream({ ...base, url }).close(),
  connect: (url) => DurableStream.connect({ ...base, url }),
}

// [operation, status, headers, code]
const MEANINGS = [
  ["read", 400, {}, "BAD_REQUEST"],
  ["read", 401, {}, "UNAUTHORIZED"],
  ["read", 403, {}, "FORBIDDEN"],
  ["read", 404, {}, "NOT_FOUND"],
  ["read", 410, {}, "UNKNOWN"],
  ["read", 429, {}, "RATE_LIMITED"],
  ["read", 500, {}, "UNKNOWN"],
  ["read", 503, {}, "BUSY"],
  ["append", 400, {}, "BAD_REQUEST"],
  ["append", 401, {}, "UNAUTHORIZED"],
  ["append", 403, {}, "FORBIDDEN"],
  ["append", 404, {}, "NOT_FOUND"],
  ["append", 409, { "stream-closed": "true" }, "STREAM_CLOSED"],
  ["append with seq", 409, {}, "CONFLICT_SEQ"],
  ["create", 409, {}, "CONFLICT_EXISTS"],
  ["create", 401, {}, "UNAUTHORIZED"],
  ["delete", 404, {}, "NOT_FOUND"],
  ["close", 404, {}, "NOT_FOUND"],
  ["connect", 404, {}, "NOT_FOUND"],
]

for (const [operation, status, headers, code] of MEANINGS) {
  test(`${operation} answered ${status} ${JSON.stringify(headers)} is ${code}`, () =>
    answered(status, { "content-type": "text/plain", "x-request": "7", ...headers }, operation === "connect" ? "" : "why it failed", async ({ url }) => {
      const error = await failure(OPERATIONS[operation](url))
      assert.equal(error instanceof Error, true)
      assert.equal(error instanceof DurableStreamError, true)
      // Written for the official client, which throws this one.
      assert.equal(error instanceof FetchError, true)
      assert.equal(error instanceof StreamClosedError, code === "STREAM_CLOSED")
      assert.equal(error.code, code)
      assert.equal(error.status, status)
      assert.equal(error.operation, { "append with seq": "append", connect: "head" }[operation] ?? operation)
      assert.equal(error.url.startsWith(url), true)
      assert.equal(new Headers(error.headers).get("x-request"), "7")
      if (operation !== "connect") assert.equal(error.text, "why it failed")
      assert.equal(error.message.includes("/v1/stream/scripted"), true)
      assert.equal(typeof error.stack, "string")
    }))
}

test("a JSON error body is parsed", () =>
  answered(401, { "content-type": "application/json" }, '{"error":{"code":"NO"}}', async ({ url }) => {
    assert.deepEqual((await failure(stream({ ...base, url }))).json, { error: { code: "NO" } })
  }))

test("StreamClosedError tells the final offset", () =>
  answered(409, { "stream-closed": "true", "stream-next-offset": "77" }, "", async ({ url }) => {
    const error = await failure(OPERATIONS.append(url))
    assert.equal(error instanceof StreamClosedError, true)
    assert.equal(error.name, "StreamClosedError")
    assert.equal(error.finalOffset, "77")
    assert.equal(error.streamClosed, true)
  }))

async function producerError(status, headers, options = {}) {
  return answered(status, headers, "", async ({ url }) => {
    const reported = []
    const handle = new DurableStream({ ...base, url, contentType: "text/plain" })
    const producer = new IdempotentProducer(handle, "p", { epoch: 1, lingerMs: 0, onError: (error) => reported.push(error), ...options })
    producer.append("x")
    const error = await failure(producer.flush())
    assert.deepEqual(reported, [error])
    return error
  })
}

test("a newer writer is a StaleEpochError", async () => {
  const error = await producerError(403, { "producer-epoch": "5" })
  assert.equal(error instanceof StaleEpochError, true)
  assert.equal(error.name, "StaleEpochError")
  assert.equal(error.currentEpoch, 5)
})

test("a gap is a SequenceGapError", async () => {
  const error = await producerError(409, { "producer-expected-seq": "9", "producer-received-seq": "0" })
  assert.equal(error instanceof SequenceGapError, true)
  assert.equal(error.expectedSeq, 9)
  assert.equal(error.receivedSeq, 0)
})

test("a producer on a closed stream is a StreamClosedError", async () => {
  const error = await producerError(409, { "stream-closed": "true", "stream-next-offset": "3" })
  assert.equal(error instanceof StreamClosedError, true)
  assert.equal(error.finalOffset, "3")
})

test("a refused connection is a FetchError without a status, telling what happened", async () => {
  const listener = createServer()
  await new Promise((resolve) => listener.listen(0, "127.0.0.1", resolve))
  const { port } = listener.address()
  await new Promise((resolve) => listener.close(resolve))
  const error = await failure(stream({ ...base, url: `http://127.0.0.1:${port}/v1/stream/x`, live: false }))
  assert.equal(error instanceof FetchError, true)
  assert.equal(error instanceof DurableStreamError, true)
  assert.equal(error.coreCode, "NETWORK_ERROR")
  assert.equal(error.status, undefined)
  assert.equal(error.message.includes(String(port)), true)
})

for (const [name, body, type] of [
  ["truncated JSON", '[{"a":1},{"b"', "application/json"],
  ["a JSON answer that is no JSON", "hello", "application/json"],
]) {
  test(`${name} is a PARSE_ERROR`, () =>
    answered(200, readHeaders("1", { type }), body, async ({ url }) => {
      const error = await failure(async () => (await stream({ ...base, url, live: false })).json())
      assert.equal(error instanceof DurableStreamError, true)
      assert.equal(error.code, "PARSE_ERROR")
    }))
}

test("a broken control event is a PARSE_ERROR", async () => {
  const wire = await startWire((request, response) => {
    if (request.query.get("live") === null) return response.writeHead(200, readHeaders("1")).end("x")
    response.writeHead(200, { "content-type": "text/event-stream" }).end("event: data\ndata:y\n\nevent: control\ndata:{oops\n\n")
  })
  const response = await stream({ ...base, url: wire.url, live: "sse" })
  const error = await failure(async () => {
    for await (const text of response.textStream()) assert.equal(text, "x")
  })
  assert.equal(error.code, "PARSE_ERROR")
  assert.equal((await failure(response.closed)).code, "PARSE_ERROR")
  await wire.stop()
})

test("a missing URL and a bad signal are refused by the constructor", async () => {
  assert.equal((await failure(() => new DurableStream({}))) instanceof MissingStreamUrlError, true)
  assert.equal((await failure(() => new DurableStream({ url: "" }))) instanceof MissingStreamUrlError, true)
  assert.equal((await failure(() => new DurableStream({ url: "http://x", signal: {} }))) instanceof InvalidSignalError, true)
  const error = await failure(() => stream({}))
  assert.equal(error instanceof DurableStreamError, true)
  assert.equal(error.code, "BAD_REQUEST")
})

test("a URL that is none is refused before anything is sent", async () => {
  for (const url of ["not a url", "ftp://example.com/x", "/relative"]) {
    const error = await failure(new DurableStream({ ...base, url }).head())
    assert.equal(error instanceof Error, true)
    assert.equal(error.coreCode ?? "INVALID_ARGUMENT", "INVALID_ARGUMENT")
  }
})

for (const [field, value] of [
  ["epoch", -1],
  ["epoch", 1.5],
  ["epoch", Number.NaN],
  ["epoch", 2 ** 53],
  ["maxBatchBytes", 0],
  ["maxBatchBytes", -1],
  ["maxInFlight", 0],
  ["maxInFlight", Infinity],
  ["lingerMs", -1],
]) {
  test(`a producer refuses ${field} ${value}, naming it`, async () => {
    const handle = new DurableStream({ ...base, url: "http://127.0.0.1:9/x", contentType: "text/plain" })
    const error = await failure(() => new IdempotentProducer(handle, "p", { [field]: value }))
    assert.equal(error.message.includes(field), true, error.message)
  })
}

test("fromResponse makes the documented errors of any answer", async () => {
  const answer = () => new Response('{"why":1}', { status: 404, headers: { "content-type": "application/json" } })
  const durable = await DurableStreamError.fromResponse(answer(), "http://x/y")
  assert.equal(durable instanceof DurableStreamError, true)
  assert.equal(durable.code, "NOT_FOUND")
  assert.equal(durable.status, 404)
  const fetched = await FetchError.fromResponse(answer(), "http://x/y")
  assert.equal(fetched instanceof FetchError, true)
  assert.equal(fetched.status, 404)
  assert.deepEqual(fetched.json, { why: 1 })
  assert.equal(DurableStreamError.fromFetchError(fetched).code, "NOT_FOUND")
})

test("onError may retry with other headers, or let the error through", async () => {
  const wire = await startWire((request, response) => {
    if (request.headers.authorization !== "Bearer new") return response.writeHead(401).end("who are you")
    response.writeHead(200, readHeaders("1", { closed: true })).end("in")
  })
  const errors = []
  const response = await stream({
    ...base,
    url: wire.url,
    headers: { authorization: "Bearer old" },
    onError: async (error) => {
      errors.push(error.status)
      return { headers: { authorization: "Bearer new" } }
    },
  })
  assert.equal(await response.text(), "in")
  assert.deepEqual(errors, [401])
  const error = await failure(stream({ ...base, url: wire.url, onError: () => undefined }))
  assert.equal(error.code, "UNAUTHORIZED")
  const mine = new Error("mine")
  const thrown = await failure(
    stream({
      ...base,
      url: wire.url,
      onError: () => {
        throw mine
      },
    }),
  )
  assert.equal(thrown, mine)
  await wire.stop()
})

test("onError is asked in the middle of a live read, too", async () => {
  const wire = await startWire((request, response, n) => {
    if (n === 0) return response.writeHead(200, readHeaders("1")).end("a")
    if (request.query.get("pass") !== "yes") return response.writeHead(403).end()
    response.writeHead(200, readHeaders("2", { closed: true })).end("b")
  })
  let asked = 0
  const response = await stream({ ...base, url: wire.url, live: "long-poll", onError: () => (asked++, { params: { pass: "yes" } }) })
  let text = ""
  for await (const piece of response.textStream()) text += piece
  assert.equal(text, "ab")
  assert.equal(asked, 1)
  await wire.stop()
})

test("retries follow the options and tell onFailedAttempt", async () => {
  const wire = await startWire((request, response, n) => {
    if (n < 3) return response.writeHead(500).end()
    response.writeHead(200, readHeaders("1", { closed: true })).end("at last")
  })
  let failed = 0
  const backoffOptions = { initialDelay: 1, maxDelay: 2, multiplier: 1.3, maxRetries: 5, onFailedAttempt: () => failed++ }
  const response = await stream({ ...base, url: wire.url, backoffOptions })
  assert.equal(await response.text(), "at last")
  assert.equal(wire.seen.length, 4)
  assert.equal(failed, 3)
  await wire.stop()
})

test("an append is not repeated after its connection broke, but after an answer that says so", async () => {
  const wire = await startWire((request, response, n) => {
    if (n === 0) return response.writeHead(503).end()
    request.socket.destroy()
  })
  const backoffOptions = { initialDelay: 1, maxDelay: 2, multiplier: 1, maxRetries: 5 }
  const error = await failure(new DurableStream({ ...base, url: wire.url, contentType: "text/plain", backoffOptions }).append("x"))
  assert.equal(error.coreCode, "NETWORK_ERROR")
  assert.equal(wire.seen.length, 2)
  await wire.stop()
})
