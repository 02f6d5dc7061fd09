// An abort takes effect at once, in whatever phase an operation is; the rejection is the signal's reason.
import { getEventListeners } from "node:events"
import { createServer } from "node:net"
import { DurableStream, IdempotentProducer, stream } from "@durable-streams/client"
import { assert, deferred, failure, settled } from "./lib/assert.mjs"
import { after, before, test } from "./lib/test.mjs"
import { readHeaders, sseBatch, startWire } from "./lib/wire.mjs"

const base = { warnOnHttp: false }
/** Far below any timeout or backoff of the client, far above what a busy machine needs. */
const AT_ONCE_MS = 5000
const reason = new Error("given up")

/** Runs `act` with a signal, aborts once `ready` says so, and checks how it ends. */
async function abortedWhen(ready, act, { gone } = {}) {
  const controller = new AbortController()
  const outcome = failure(act(controller.signal))
  await ready()
  const aborted = performance.now()
  controller.abort(reason)
  assert.equal(await outcome, reason)
  assert.equal(performance.now() - aborted < AT_ONCE_MS, true)
  // The server sees that nobody waits any more.
  if (gone) assert.equal(await gone(), true)
  assert.equal(getEventListeners(controller.signal, "abort").length, 0)
}

const hold = () => {}
async function withWire(answer, run) {
  const wire = await startWire(answer)
  try {
    await run(wire)
  } finally {
    await wire.stop()
  }
}

const OPERATIONS = {
  create: (url, signal) => DurableStream.create({ ...base, url, contentType: "text/plain", signal }),
  connect: (url, signal) => DurableStream.connect({ ...base, url, signal }),
  head: (url, signal) => new DurableStream({ ...base, url }).head({ signal }),
  append: (url, signal) => new DurableStream({ ...base, url, contentType: "text/plain" }).append("x", { signal }),
  appendStream: (url, signal) =>
    new DurableStream({ ...base, url, contentType: "text/plain" }).appendStream(["x", "y"].values(), { signal }),
  close: (url, signal) => new DurableStream({ ...base, url }).close({ signal }),
  delete: (url, signal) => new DurableStream({ ...base, url }).delete({ signal }),
  stream: (url, signal) => stream({ ...base, url, signal }),
  "handle.stream": (url, signal) => new DurableStream({ ...base, url }).stream({ signal }),
}

for (const [name, operation] of Object.entries(OPERATIONS)) {
  test(`${name}: a signal that is aborted already sends nothing`, () =>
    withWire(hold, async (wire) => {
      assert.equal(await failure(operation(wire.url, AbortSignal.abort(reason))), reason)
      assert.equal(wire.seen.length, 0)
    }))

  test(`${name}: while waiting for the answer`, () =>
    withWire(hold, (wire) =>
      abortedWhen(
        () => wire.arrived(1),
        (signal) => operation(wire.url, signal),
        { gone: () => wire.seen[0].gone },
      )))

  test(`${name}: in the pause before a retry`, () =>
    withWire(
      (request, response) => response.writeHead(429, { "retry-after": "3000" }).end(),
      (wire) =>
        abortedWhen(
          // The answer is out; what follows is the pause.
          () => wire.arrived(1).then(([request]) => request.gone),
          (signal) => operation(wire.url, signal),
        ),
    ))
}

test("without a reason it is an AbortError", () =>
  withWire(hold, async (wire) => {
    const controller = new AbortController()
    const outcome = failure(stream({ ...base, url: wire.url, signal: controller.signal }))
    await wire.arrived(1)
    controller.abort()
    const error = await outcome
    assert.equal(error, controller.signal.reason)
    assert.equal(error.name, "AbortError")
  }))

test("AbortSignal.timeout ends a wait", () =>
  withWire(hold, async (wire) => {
    assert.equal((await failure(stream({ ...base, url: wire.url, signal: AbortSignal.timeout(50) }))).name, "TimeoutError")
  }))

test("the handle's signal ends its operations", () =>
  withWire(hold, async (wire) => {
    const controller = new AbortController()
    const handle = new DurableStream({ ...base, url: wire.url, contentType: "text/plain", signal: controller.signal })
    const outcomes = [failure(handle.append("x")), failure(handle.head()), failure(handle.stream())]
    await wire.arrived(3)
    controller.abort(reason)
    assert.deepEqual(await Promise.all(outcomes), [reason, reason, reason])
  }))

test("while connecting", async () => {
  // It takes the connection and never says a word of TLS.
  const connected = deferred()
  const mute = createServer((socket) => connected.resolve(socket.on("error", () => {})))
  await new Promise((resolve) => mute.listen({ port: 0, host: "127.0.0.1" }, resolve))
  const url = `https://127.0.0.1:${mute.address().port}/v1/stream/x`
  await abortedWhen(
    () => connected.promise,
    (signal) => stream({ ...base, url, signal }),
  )
  const socket = await connected.promise
  // The client hangs up.
  await new Promise((resolve) => socket.once("close", resolve).resume())
  await new Promise((resolve) => mute.close(resolve))
})

test("while a header function has not answered", async () => {
  await withWire(hold, async (wire) => {
    const asked = deferred()
    const never = new Promise(() => {})
    await abortedWhen(
      () => asked.promise,
      (signal) => stream({ ...base, url: wire.url, signal, headers: { authorization: () => (asked.resolve(), never) } }),
    )
    assert.equal(wire.seen.length, 0)
  })
})

test("in the middle of a body", () =>
  withWire(
    (request, response) => {
      response.writeHead(200, readHeaders("5", { type: "application/octet-stream" }))
      response.write("some")
    },
    (wire) =>
      abortedWhen(
        () => wire.arrived(1),
        async (signal) => (await stream({ ...base, url: wire.url, live: false, signal })).body(),
        { gone: () => wire.seen[0].gone },
      ),
  ))

const parked = (request, response) => {
  const live = request.query.get("live")
  if (live === null) return response.writeHead(200, readHeaders("1", { type: "application/json" })).end("[1]")
  if (live === "sse") response.writeHead(200, { "content-type": "text/event-stream" }).write(sseBatch("[2]", "2"))
}

for (const live of ["long-poll", "sse"]) {
  for (const way of ["jsonStream", "textStream", "bodyStream", "batches"]) {
    test(`${live}: a parked ${way} ends`, () =>
      withWire(parked, async (wire) => {
        const controller = new AbortController()
        const response = await stream({ ...base, url: wire.url, live, signal: controller.signal })
        const outcome = failure(async () => {
          for await (const value of response[way]()) assert.notEqual(value, undefined)
        })
        const [, request] = await wire.arrived(2)
        controller.abort(reason)
        assert.equal(await outcome, reason)
        assert.equal(await request.gone, true)
        await settled(response.closed)
        assert.equal(getEventListeners(controller.signal, "abort").length, 0)
      }))
  }

  test(`${live}: a subscription ends`, () =>
    withWire(parked, async (wire) => {
      const controller = new AbortController()
      const response = await stream({ ...base, url: wire.url, live, signal: controller.signal })
      response.subscribeText(() => {})
      const [, request] = await wire.arrived(2)
      controller.abort(reason)
      await settled(response.closed)
      assert.equal(await request.gone, true)
      assert.equal(getEventListeners(controller.signal, "abort").length, 0)
    }))

  test(`${live}: cancel ends a parked read and is idempotent`, () =>
    withWire(parked, async (wire) => {
      const response = await stream({ ...base, url: wire.url, live })
      const reader = response.bodyStream().getReader()
      const ended = (async () => {
        while (!(await reader.read()).done);
      })()
      const [, request] = await wire.arrived(2)
      response.cancel(reason)
      response.cancel()
      await settled(ended)
      await settled(response.closed)
      assert.equal(await request.gone, true)
    }))
}

test("a response nobody reads ends with its signal", () =>
  withWire(parked, async (wire) => {
    const controller = new AbortController()
    const response = await stream({ ...base, url: wire.url, live: "sse", signal: controller.signal })
    controller.abort(reason)
    await settled(response.closed)
    assert.equal(await failure(response.text()), reason)
    assert.equal(getEventListeners(controller.signal, "abort").length, 0)
  }))

test("after the end an abort changes nothing", () =>
  withWire(
    (request, response) => response.writeHead(200, readHeaders("1", { closed: true })).end("all"),
    async (wire) => {
      const controller = new AbortController()
      const response = await stream({ ...base, url: wire.url, signal: controller.signal })
      assert.equal(await response.text(), "all")
      controller.abort(reason)
      await response.closed
      assert.equal(getEventListeners(controller.signal, "abort").length, 0)
    },
  ))

test("one signal for many operations keeps no listener of those that are over", () =>
  withWire(
    (request, response) => response.writeHead(200, readHeaders("1", { closed: true })).end("all"),
    async (wire) => {
      const controller = new AbortController()
      for (let n = 0; n < 50; n++) {
        assert.equal(await (await stream({ ...base, url: wire.url, signal: controller.signal })).text(), "all")
      }
      assert.equal(getEventListeners(controller.signal, "abort").length, 0)
    },
  ))

test("a producer's signal ends its flush", () =>
  withWire(hold, async (wire) => {
    const controller = new AbortController()
    const handle = new DurableStream({ ...base, url: wire.url, contentType: "text/plain" })
    const producer = new IdempotentProducer(handle, "p", { signal: controller.signal, lingerMs: 0 })
    producer.append("x")
    const outcome = failure(producer.flush())
    await wire.arrived(1)
    controller.abort(reason)
    assert.equal(await outcome, reason)
    assert.equal(await wire.seen[0].gone, true)
  }))

let server
before(async () => (server = await import("./lib/server.mjs").then(({ startServer }) => startServer())))
after(() => server.stop())

test("two thousand reads can wait on one signal and all end", async () => {
  const handle = await DurableStream.create({ ...base, url: server.url(), contentType: "text/plain" })
  const controller = new AbortController()
  const count = 2000
  const responses = await Promise.all(
    Array.from({ length: count }, () => handle.stream({ live: "long-poll", offset: "now", signal: controller.signal })),
  )
  const ends = responses.map((response) => {
    response.subscribeText(() => {})
    return settled(response.closed)
  })
  controller.abort(reason)
  assert.equal((await Promise.all(ends)).length, count)
})
