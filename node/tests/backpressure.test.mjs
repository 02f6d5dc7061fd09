// A slow consumer bounds what is held for it: the network waits.
import { stream } from "@durable-streams/client"
import { assert, deferred } from "./lib/assert.mjs"
import { test } from "./lib/test.mjs"
import { readHeaders, startWire } from "./lib/wire.mjs"

const MIB = 1024 * 1024
const TOTAL = 512
/** Socket buffers on both sides, one answer ahead, one batch in hand: tens of MiB at most. */
const MOST_MIB = 96

/** A server with half a GiB to give, and how much of it went out. */
async function flood(type = "application/octet-stream") {
  const piece = Buffer.alloc(MIB, "x")
  const state = { sent: 0, idle: deferred() }
  const wire = await startWire(async (request, response, n) => {
    // One answer per MiB after the first long one: both shapes must hold back.
    response.writeHead(200, readHeaders("end", { type, closed: true }))
    for (; state.sent < TOTAL && !response.destroyed; state.sent++) {
      if (response.write(piece)) continue
      const drained = new Promise((resolve) => response.once("drain", resolve))
      const timer = setTimeout(() => state.idle.resolve(), 500)
      await Promise.race([drained, request.gone])
      clearTimeout(timer)
    }
    response.end()
  })
  return { ...wire, state }
}

test("a subscriber that does not come back stops the server from sending", async () => {
  const { url, state, stop } = await flood()
  const response = await stream({ url, live: false, warnOnHttp: false })
  const first = deferred()
  const gate = deferred()
  let bytes = 0
  response.subscribeBytes(async ({ data }) => {
    bytes += data.length
    first.resolve()
    await gate.promise
  })
  await first.promise
  // The socket has been full for half a second.
  await state.idle.promise
  assert.equal(state.sent < MOST_MIB, true, `${state.sent} MiB were taken for a consumer that holds one batch`)
  gate.resolve()
  await response.closed
  assert.equal(bytes, TOTAL * MIB)
  await stop()
})

for (const way of ["bodyStream", "textStream", "batches"]) {
  test(`${way} that is not pulled stops the server from sending`, async () => {
    const { url, state, stop } = await flood("text/plain")
    const response = await stream({ url, live: false, warnOnHttp: false })
    const values = response[way]()[Symbol.asyncIterator]()
    assert.equal((await values.next()).done, false)
    await state.idle.promise
    assert.equal(state.sent < MOST_MIB, true, `${state.sent} MiB were taken for one value`)
    await values.return()
    await stop()
  })
}

test("a response nobody reads takes no more than a beginning", async () => {
  const { url, state, stop } = await flood()
  const response = await stream({ url, live: false, warnOnHttp: false })
  await state.idle.promise
  assert.equal(state.sent < MOST_MIB, true, `${state.sent} MiB were taken for nobody`)
  response.cancel()
  await stop()
})

test("a consumer at its own pace gets everything while memory stays small", async () => {
  const { url, stop } = await flood()
  const response = await stream({ url, live: false, warnOnHttp: false })
  const before = process.memoryUsage().rss
  let most = 0
  let bytes = 0
  for await (const { data } of response.batches()) {
    bytes += data.length
    await new Promise((resolve) => setImmediate(resolve))
    most = Math.max(most, process.memoryUsage().rss)
  }
  assert.equal(bytes, TOTAL * MIB)
  assert.equal((most - before) / MIB < 300, true, `${Math.round((most - before) / MIB)} MiB more`)
  await stop()
})
