// Rules that exist once, in the core: what the helpers around fetch do equals what the client does, status by status.
import { createServer } from "node:http"
import { once } from "node:events"
import { readFileSync } from "node:fs"
import { createRequire } from "node:module"
import { dirname, join } from "node:path"
import { DurableStream, DurableStreamError, FetchError, SequenceGapError, StaleEpochError, StreamClosedError, createFetchWithBackoff } from "@durable-streams/client"
import { assert, failure } from "./lib/assert.mjs"
import { after, before, test } from "./lib/test.mjs"

const ERRORS = Array.from({ length: 200 }, (_, n) => 400 + n)
// protocol.md §25.4, with 408 and 425, which HTTP defines as "send it again".
const REPEATED = new Set([408, 425, 429, ...ERRORS.filter((status) => status >= 500 && status !== 501 && status !== 505)])
const require = createRequire(import.meta.url)
const quick = { initialDelay: 0.1, maxDelay: 0.1, multiplier: 1, maxRetries: 1 }

let server
let asked
before(async () => {
  // Answers every request with the status its path names.
  server = createServer((request, response) => {
    const status = request.url.split("/").at(-1)
    asked.set(status, (asked.get(status) ?? 0) + 1)
    response.writeHead(Number(status)).end()
  })
  server.listen(0, "127.0.0.1")
  await once(server, "listening")
})
after(() => {
  server.closeAllConnections()
  server.close()
})
// The built-in one takes 407 for a broken connection.
const answering = async (url) => {
  const status = String(url).split("/").at(-1)
  asked.set(status, (asked.get(status) ?? 0) + 1)
  return new Response("", { status: Number(status) })
}
const at = (status) => `http://127.0.0.1:${server.address().port}/${status}`

/** How often each status was asked for by `attempt`. */
async function countAttempts(attempt) {
  asked = new Map()
  await Promise.all(ERRORS.map(async (status) => assert.equal((await failure(attempt(status))) instanceof Error, true)))
  return new Map(ERRORS.map((status) => [status, asked.get(String(status))]))
}

const expected = new Map(ERRORS.map((status) => [status, REPEATED.has(status) ? 2 : 1]))

test("client, fetch helper and onFailedAttempt agree which answers are worth a repeat", async () => {
  const failures = new Map(ERRORS.map((status) => [status, 0]))
  const options = (status) => ({ url: at(status), warnOnHttp: false, backoffOptions: quick })
  assert.deepEqual(await countAttempts((status) => DurableStream.connect(options(status))), expected)
  assert.deepEqual(await countAttempts((status) => createFetchWithBackoff(answering, quick)(at(status))), expected)
  const tell = (status) => () => failures.set(status, failures.get(status) + 1)
  const observed = (status) => ({ ...options(status), fetch: answering, backoffOptions: { ...quick, onFailedAttempt: tell(status) } })
  assert.deepEqual(await countAttempts((status) => DurableStream.connect(observed(status))), expected)
  // Told of each attempt that may be repeated, the last one included.
  assert.deepEqual(failures, new Map(ERRORS.map((status) => [status, REPEATED.has(status) ? 2 : 0])))
})

test("an error made of an answer has the code of the client's own", async () => {
  asked = new Map()
  for (const status of ERRORS) {
    const own = await failure(DurableStream.delete({ url: at(status), warnOnHttp: false, backoffOptions: { ...quick, maxRetries: 0 } }))
    const made = await DurableStreamError.fromResponse(new Response("", { status }), at(status))
    assert.deepEqual([made.code, made.coreCode, made.status], [own.code, own.coreCode, own.status], String(status))
  }
})

test("the declared codes are the core's", () => {
  // The only platform that tests run on.
  const addon = require(`@durable-streams/client-${process.platform}-${process.arch}-gnu`)
  const declared = readFileSync(join(dirname(require.resolve("@durable-streams/client")), "errors.d.ts"), "utf8")
  const [, union] = /type CoreErrorCode = ([^;]+);/.exec(declared)
  assert.deepEqual(union.match(/\w+/g).sort(), addon.errorCodes().sort())
})

test("headers of an answer say what its status alone does not", async () => {
  const made = (status, headers) => DurableStreamError.fromResponse(new Response("", { status, headers }), "http://x/s")
  const closed = await made(409, { "Stream-Closed": "true", "Stream-Next-Offset": "7" })
  assert.equal(closed instanceof StreamClosedError, true)
  assert.deepEqual([closed.code, closed.finalOffset, closed.status], ["STREAM_CLOSED", "7", 409])
  const stale = await made(403, { "Producer-Epoch": "4" })
  assert.equal(stale instanceof StaleEpochError, true)
  assert.equal(stale.currentEpoch, 4)
  const gap = await made(409, { "Producer-Expected-Seq": "2", "Producer-Received-Seq": "5" })
  assert.equal(gap instanceof SequenceGapError, true)
  assert.deepEqual([gap.expectedSeq, gap.receivedSeq], [2, 5])
  const busy = await made(503, { "Retry-After": "7" })
  assert.deepEqual([busy.code, busy.retryAfterMs], ["BUSY", 7000])
  assert.equal(busy instanceof FetchError, true)
  // Already one: nothing to convert.
  assert.equal(DurableStreamError.fromFetchError(busy), busy)
})

for (const [name, headers] of [
  ["seconds", { "retry-after": "1" }],
  ["a date, by the server's clock", { date: "Wed, 21 Oct 2026 07:28:00 GMT", "retry-after": "Wed, 21 Oct 2026 07:28:01 GMT" }],
]) {
  test(`createFetchWithBackoff waits as long as Retry-After asks in ${name}`, async () => {
    const times = []
    const answer = async () => {
      times.push(performance.now())
      return times.length === 1 ? new Response("", { status: 503, headers }) : new Response("ok")
    }
    assert.equal(await (await createFetchWithBackoff(answer, quick)("http://x/s")).text(), "ok")
    // A timer may fire a millisecond early.
    assert.equal(times[1] - times[0] >= 998, true, String(times[1] - times[0]))
  })
}

test("createFetchWithBackoff refuses numbers that make no sense, as a handle does", async () => {
  for (const [name, options] of [
    ["initialDelay", { initialDelay: 0 }],
    ["maxDelay", { initialDelay: 10, maxDelay: 5 }],
    ["multiplier", { multiplier: 0.5 }],
    ["maxRetries", { maxRetries: -1 }],
  ]) {
    for (const make of [() => createFetchWithBackoff(fetch, options), () => new DurableStream({ url: "http://x/s", backoffOptions: options })]) {
      const error = await failure(make)
      assert.equal(error.code, "BAD_REQUEST")
      assert.equal(error.message.includes(name), true, error.message)
    }
  }
})
