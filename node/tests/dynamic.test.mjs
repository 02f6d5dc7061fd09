// Headers and parameters: constants and functions, asked anew for every request on the network.
import { DurableStream, IdempotentProducer, stream } from "@durable-streams/client"
import { assert, collect, failure } from "./lib/assert.mjs"
import { test } from "./lib/test.mjs"
import { readHeaders, startWire } from "./lib/wire.mjs"

const base = { warnOnHttp: false, backoffOptions: { initialDelay: 1, maxDelay: 2, multiplier: 1, maxRetries: 5 } }
const done = (response) => response.writeHead(200, readHeaders("1", { closed: true })).end("x")

test("functions are called for every attempt, synchronous or not", async () => {
  const wire = await startWire((request, response, n) => (n < 2 ? response.writeHead(503).end() : done(response)))
  let headers = 0
  let params = 0
  const response = await stream({
    ...base,
    url: wire.url,
    headers: { "x-constant": "c", "x-sync": () => `h${headers++}`, "x-async": async () => `a${headers}` },
    params: { tenant: "t", turn: () => String(params++), later: async () => `p${params}` },
  })
  assert.equal(await response.text(), "x")
  assert.deepEqual(wire.seen.map((request) => request.headers["x-sync"]), ["h0", "h1", "h2"])
  assert.equal(wire.seen.every((request) => request.headers["x-constant"] === "c" && /^a\d$/.test(request.headers["x-async"])), true)
  assert.deepEqual(wire.seen.map(({ query }) => query.get("turn")), ["0", "1", "2"])
  assert.equal(wire.seen.every(({ query }) => query.get("tenant") === "t" && /^p\d$/.test(query.get("later"))), true)
  await wire.stop()
})

test("every request of a live read asks anew", async () => {
  const wire = await startWire((request, response, n) => {
    if (n < 3) response.writeHead(200, readHeaders(String(n + 1), { "stream-cursor": "1" })).end("x")
    else response.writeHead(204, readHeaders("3", { closed: true })).end()
  })
  let n = 0
  const response = await stream({ ...base, url: wire.url, live: "long-poll", headers: { authorization: async () => `Bearer ${n++}` } })
  assert.equal((await collect(response.textStream())).join(""), "xxx")
  assert.deepEqual(wire.seen.map((request) => request.headers.authorization), ["Bearer 0", "Bearer 1", "Bearer 2", "Bearer 3"])
  await wire.stop()
})

test("every operation of a handle sends its headers and parameters", async () => {
  const wire = await startWire((request, response) =>
    request.method === "GET" ? done(response) : response.writeHead(request.method === "PUT" ? 201 : 200, { "stream-next-offset": "1", "content-type": "text/plain" }).end(),
  )
  let n = 0
  const options = { ...base, url: wire.url, contentType: "text/plain", headers: { "x-turn": () => String(n++) }, params: { q: () => "v" } }
  const handle = await DurableStream.create(options)
  await handle.head()
  await handle.append("x")
  await handle.appendStream(["x"].values())
  await (await handle.stream()).text()
  const producer = new IdempotentProducer(handle, "p", { headers: { "x-mine": "m" } })
  producer.append("x")
  await producer.flush()
  await producer.detach()
  await handle.close()
  await handle.delete()
  assert.deepEqual(wire.seen.map((request) => request.headers["x-turn"]), wire.seen.map((_, turn) => String(turn)))
  assert.equal(wire.seen.every(({ query }) => query.get("q") === "v"), true)
  const produced = wire.seen.filter((request) => request.headers["producer-id"] === "p")
  assert.deepEqual(produced.map((request) => request.headers["x-mine"]), ["m"])
  await wire.stop()
})

test("a call's headers and parameters win over the handle's", async () => {
  const wire = await startWire((request, response) => done(response))
  const handle = new DurableStream({ ...base, url: wire.url, headers: { "X-A": "handle", "x-b": "handle" }, params: { p: "handle", q: "handle" } })
  await (await handle.stream({ headers: { "x-a": "call" }, params: { p: "call", r: undefined } })).text()
  const [{ headers, query }] = wire.seen
  assert.deepEqual([headers["x-a"], headers["x-b"]], ["call", "handle"])
  assert.deepEqual([query.get("p"), query.get("q"), query.has("r")], ["call", "handle", false])
  await wire.stop()
})

test("what the protocol sends cannot be replaced", async () => {
  const wire = await startWire((request, response) => done(response))
  for (const name of ["offset", "live", "cursor"]) {
    const error = await failure(stream({ ...base, url: wire.url, params: { [name]: "mine" } }))
    assert.equal(error.message.includes(name), true)
  }
  assert.equal(wire.seen.length, 0)
  await wire.stop()
})

test("the URL's own query is kept and values are encoded", async () => {
  const wire = await startWire((request, response) => done(response))
  await (await stream({ ...base, url: `${wire.url}?own=1%202`, params: { "a b": "c&d=é" } })).text()
  const [{ query }] = wire.seen
  assert.equal(query.get("own"), "1 2")
  assert.equal(query.get("a b"), "c&d=é")
  assert.equal(query.get("offset"), "-1")
  await wire.stop()
})

for (const [name, fail] of [
  ["throws", () => { throw new RangeError("no token") }],
  ["rejects", async () => { throw new RangeError("no token") }],
]) {
  test(`a function that ${name} fails the operation with its own error, and nothing is sent`, async () => {
    const wire = await startWire((request, response) => done(response))
    const headers = { authorization: fail }
    const handle = new DurableStream({ ...base, url: wire.url, contentType: "text/plain", headers })
    for (const act of [() => stream({ ...base, url: wire.url, headers }), () => handle.append("x"), () => handle.head()]) {
      const error = await failure(act)
      assert.equal(error instanceof RangeError || error.cause instanceof RangeError, true, String(error?.stack))
    }
    assert.equal(wire.seen.length, 0)
    await wire.stop()
  })
}

test("a header that is none is refused by name", async () => {
  const wire = await startWire((request, response) => done(response))
  for (const headers of [{ "x y": "1" }, { "x-a": "a\nb" }, { "x-f": () => "a\r\nx: 1" }]) {
    const error = await failure(stream({ ...base, url: wire.url, headers }))
    assert.equal(error.message.includes(Object.keys(headers)[0]), true, error.message)
  }
  assert.equal(wire.seen.length, 0)
  await wire.stop()
})
