// The option `fetch`: every request goes through it, bodies stream, aborts reach it. Without it no JavaScript is on the way.
import { DurableStream, IdempotentProducer, stream } from "@durable-streams/client"
import { assert, deferred, failure, settled } from "./lib/assert.mjs"
import { startServer } from "./lib/server.mjs"
import { after, before, test } from "./lib/test.mjs"
import { readHeaders, sseBatch, startWire } from "./lib/wire.mjs"

const base = { warnOnHttp: false, backoffOptions: { initialDelay: 1, maxDelay: 2, multiplier: 1, maxRetries: 3 } }
let server
before(async () => (server = await startServer()))
after(() => server.stop())

/** A fetch that counts its calls and passes them on. */
function counted(next = globalThis.fetch) {
  const calls = []
  const through = async (input, init) => {
    const request = new Request(input, init?.body === undefined || init.body === null ? init : { duplex: "half", ...init })
    calls.push({ method: request.method, url: request.url, headers: request.headers })
    return next(input, init)
  }
  return { calls, fetch: through }
}

test("every operation goes through it", async () => {
  const { calls, fetch } = counted()
  const handle = await DurableStream.create({ ...base, url: server.url(), contentType: "application/json", fetch, headers: { "x-a": "1" } })
  await handle.append("1")
  await handle.head()
  const producer = new IdempotentProducer(handle, "p")
  for (let n = 2; n < 500; n++) producer.append(String(n))
  await producer.flush()
  await producer.detach()
  const all = await (await handle.stream({ live: false })).json()
  assert.deepEqual(all, Array.from({ length: 499 }, (_, n) => n + 1))
  await handle.close()
  await handle.delete()
  const methods = calls.map(({ method }) => method)
  assert.equal(methods[0], "PUT")
  assert.deepEqual([...new Set(methods)].sort(), ["DELETE", "GET", "HEAD", "POST", "PUT"])
  assert.equal(calls.every(({ headers }) => headers.get("x-a") === "1"), true)
})

test("a producer's own fetch is used for its requests", async () => {
  const { calls, fetch } = counted()
  const handle = await DurableStream.create({ ...base, url: server.url(), contentType: "text/plain" })
  const producer = new IdempotentProducer(handle, "p", { fetch })
  producer.append("x")
  await producer.flush()
  await producer.detach()
  assert.deepEqual(calls.map(({ method }) => method), ["POST"])
})

test("without the option the global fetch is left alone", async () => {
  const original = globalThis.fetch
  globalThis.fetch = () => {
    throw new Error("nobody asked for this")
  }
  try {
    const handle = await DurableStream.create({ ...base, url: server.url(), contentType: "text/plain" })
    await handle.append("x")
    assert.equal(await (await handle.stream({ live: false })).text(), "x")
  } finally {
    globalThis.fetch = original
  }
})

for (const live of ["long-poll", "sse"]) {
  test(`live reads stream through it: ${live}`, async () => {
    const { calls, fetch } = counted()
    const handle = await DurableStream.create({ ...base, url: server.url(), contentType: "application/json" })
    const response = await stream({ ...base, url: handle.url, live, fetch })
    const items = response.jsonStream()[Symbol.asyncIterator]()
    for (let n = 0; n < 3; n++) {
      const next = items.next()
      await handle.append(String(n))
      assert.equal((await next).value, n)
    }
    const end = items.next()
    await handle.close()
    assert.equal((await end).done, true)
    assert.equal(calls.some(({ url }) => new URL(url).searchParams.get("live") === live), true)
  })
}

test("a body arrives while it is still coming", async () => {
  const gate = deferred()
  const wire = await startWire(async (request, response) => {
    if (request.query.get("live") === null) return response.writeHead(200, readHeaders("0")).end()
    response.writeHead(200, { "content-type": "text/event-stream" }).write(sseBatch("first", "1"))
    await gate.promise
    response.end(sseBatch("second", "2", { closed: true }))
  })
  const response = await stream({ ...base, url: wire.url, live: "sse", fetch: counted().fetch })
  const pieces = response.textStream()[Symbol.asyncIterator]()
  assert.equal((await pieces.next()).value, "first")
  gate.resolve()
  assert.equal((await pieces.next()).value, "second")
  assert.equal((await pieces.next()).done, true)
  await wire.stop()
})

test("it can make answers up", async () => {
  const fetch = async (input) => {
    const offset = new URL(input instanceof Request ? input.url : input).searchParams.get("offset")
    return new Response(offset === "-1" ? "made" : "up", { status: 200, headers: readHeaders(offset === "-1" ? "1" : "2", { closed: offset !== "-1", upToDate: offset !== "-1" }) })
  }
  assert.equal(await (await stream({ ...base, url: "http://nowhere.invalid/s", live: false, fetch })).text(), "madeup")
})

test("what it throws is retried like a broken connection, and told in the end", async () => {
  let calls = 0
  const broken = new TypeError("fetch failed")
  const fetch = async () => {
    calls++
    throw broken
  }
  const error = await failure(stream({ ...base, url: "http://nowhere.invalid/s", live: false, fetch }))
  assert.equal(calls, 4)
  assert.equal(error === broken || error.cause === broken || error.message.includes("fetch failed"), true, String(error))
})

test("statuses are retried by the same rules", async () => {
  let calls = 0
  const fetch = async () => (calls++ < 2 ? new Response("", { status: 503 }) : new Response("ok", { headers: readHeaders("1", { closed: true }) }))
  assert.equal(await (await stream({ ...base, url: "http://nowhere.invalid/s", fetch })).text(), "ok")
  assert.equal(calls, 3)
})

test("an abort reaches it", async () => {
  const called = deferred()
  const aborted = deferred()
  const fetch = (input, init) => {
    const signal = init?.signal ?? input.signal
    called.resolve()
    return new Promise((_, reject) => {
      signal.addEventListener("abort", () => {
        aborted.resolve()
        reject(signal.reason)
      })
    })
  }
  const controller = new AbortController()
  const reason = new Error("given up")
  const outcome = failure(stream({ ...base, url: "http://nowhere.invalid/s", fetch, signal: controller.signal }))
  await called.promise
  controller.abort(reason)
  assert.equal(await outcome, reason)
  await aborted.promise
})

test("cancelling a read cancels the body it gave", async () => {
  const cancelled = deferred()
  const fetch = async (input) => {
    if (!new URL(input).searchParams.has("live")) return new Response("x", { headers: readHeaders("1") })
    const start = (controller) => controller.enqueue(new TextEncoder().encode(sseBatch("y", "2")))
    return new Response(new ReadableStream({ start, cancel: () => cancelled.resolve() }), { headers: { "content-type": "text/event-stream" } })
  }
  const response = await stream({ ...base, url: "http://nowhere.invalid/s", live: "sse", fetch })
  const pieces = response.textStream()[Symbol.asyncIterator]()
  assert.equal((await pieces.next()).value, "x")
  assert.equal((await pieces.next()).value, "y")
  response.cancel()
  await settled(response.closed)
  await cancelled.promise
})

test("something that is no function is refused", async () => {
  const error = await failure(async () => new DurableStream({ ...base, url: "http://x/s", fetch: "fetch" }).head())
  assert.equal(error instanceof Error, true)
  assert.equal(error.message.includes("fetch"), true)
})

test("a slow reader holds the body back", async () => {
  let pulled = 0
  const piece = new Uint8Array(65_536)
  const fetch = async () =>
    new Response(
      new ReadableStream({
        pull(controller) {
          pulled++
          if (pulled > 4000) controller.close()
          else controller.enqueue(piece)
        },
      }),
      { headers: readHeaders("1", { type: "application/octet-stream", closed: true }) },
    )
  const response = await stream({ ...base, url: "http://nowhere.invalid/s", live: false, fetch })
  const reader = response.bodyStream().getReader()
  await reader.read()
  // Turns of the loop, in which everything that is going to be pulled without us is.
  for (let turn = 0; turn < 200; turn++) await new Promise((resolve) => setImmediate(resolve))
  const early = pulled
  assert.equal(early * piece.length < 64 * 1024 * 1024, true, `${early} pieces were pulled for one`)
  while (!(await reader.read()).done);
  assert.equal(pulled > 4000, true)
})
