// The handle: create, append, read, head, close, delete, forks.
import { after, before, test } from "./lib/test.mjs"
import { DurableStream, stream } from "@durable-streams/client"
import { assert, collect, failure, utf8 } from "./lib/assert.mjs"
import { startServer } from "./lib/server.mjs"
import { startWire } from "./lib/wire.mjs"

const json = "application/json"
const base = { warnOnHttp: false }
let server
before(async () => (server = await startServer()))
after(() => server.stop())

const created = (options) => DurableStream.create({ ...base, url: server.url(), contentType: json, ...options })
const readAll = async (url, options) => (await stream({ ...base, url, live: false, ...options })).json()

test("bytes come back as they were sent", async () => {
  const handle = await created({ contentType: "application/octet-stream" })
  const every = Uint8Array.from({ length: 256 }, (_, byte) => byte)
  await handle.append(every)
  await handle.append(every.subarray(200))
  await handle.append(Buffer.from("end"))
  const body = await (await handle.stream({ live: false })).body()
  assert.equal(Object.getPrototypeOf(body), Uint8Array.prototype)
  assert.deepEqual(body, Uint8Array.from([...every, ...every.subarray(200), ...Buffer.from("end")]))
})

test("a body may be text, bytes, a promise of either, a plain object or an array", async () => {
  const handle = await created()
  await handle.append('{"n":1}')
  await handle.append(new TextEncoder().encode('{"n":2}'))
  await handle.append(Promise.resolve('{"n":3}'))
  await handle.append(Promise.resolve(new TextEncoder().encode('{"n":4}')))
  await handle.append({ n: 5 })
  await handle.append([6, [7]])
  assert.deepEqual(await readAll(handle.url), [{ n: 1 }, { n: 2 }, { n: 3 }, { n: 4 }, { n: 5 }, [6, [7]]])
})

test("an object on a handle that knows no type is JSON", async () => {
  const url = server.url()
  await DurableStream.create({ ...base, url, contentType: json })
  await new DurableStream({ ...base, url }).append({ event: "page_view" })
  assert.deepEqual(await readAll(url), [{ event: "page_view" }])
})

test("text on a handle that knows no type goes out with the stream's type", async () => {
  for (const contentType of [json, "text/plain", "application/octet-stream"]) {
    const url = server.url()
    await DurableStream.create({ ...base, url, contentType })
    await new DurableStream({ ...base, url }).append('"x"')
    assert.equal(utf8(await (await stream({ ...base, url, live: false })).body()), contentType === json ? '["x"]' : '"x"')
  }
})

test("numbers that JavaScript cannot hold arrive on the server as they were written", async () => {
  const handle = await created()
  await handle.append("123456789012345678901234567890")
  const body = await (await handle.stream({ live: false })).body()
  assert.equal(utf8(body), "[123456789012345678901234567890]")
})

test("text keeps line separators, a byte order mark and characters split between answers", async () => {
  const handle = await created({ contentType: "text/plain" })
  const text = "\ufeffa\u2028b\u0085\r\n\u{1f600}é"
  for (const byte of new TextEncoder().encode(text)) await handle.append(Uint8Array.of(byte))
  const bytes = await (await handle.stream({ live: false })).body()
  assert.deepEqual(bytes, new TextEncoder().encode(text))
  const parts = await collect((await handle.stream({ live: false })).textStream())
  assert.equal(parts.join("").replace(/^\ufeff/, ""), text.replace(/^\ufeff/, ""))
})

test("head tells type, tail and closure; a missing stream does not exist", async () => {
  const handle = await created({ contentType: "text/plain", body: "hello" })
  const head = await handle.head()
  assert.equal(head.exists, true)
  assert.equal(head.contentType, "text/plain")
  assert.equal(head.streamClosed, false)
  assert.equal(await (await handle.stream({ offset: head.offset, live: false })).text(), "")
  await handle.close()
  assert.equal((await DurableStream.head({ ...base, url: handle.url })).streamClosed, true)
  assert.deepEqual(await DurableStream.head({ ...base, url: server.url() }), { exists: false })
})

test("head and connect teach a handle the type", async () => {
  const { url } = await created({ contentType: "text/plain; charset=utf-8" })
  const handle = new DurableStream({ ...base, url })
  assert.equal(handle.contentType, undefined)
  await handle.head()
  assert.equal(handle.contentType, "text/plain; charset=utf-8")
  assert.equal((await DurableStream.connect({ ...base, url })).contentType, "text/plain; charset=utf-8")
})

test("create is repeatable with the same configuration only", async () => {
  const url = server.url()
  const options = { ...base, url, contentType: json, ttlSeconds: 3600 }
  await DurableStream.create(options)
  await DurableStream.create(options)
  assert.equal((await failure(DurableStream.create({ ...options, ttlSeconds: 60 }))).code, "CONFLICT_EXISTS")
  assert.equal((await failure(DurableStream.create({ ...options, contentType: "text/plain" }))).code, "CONFLICT_EXISTS")
})

test("lastResponse tells whether a create made the stream", async () => {
  const handle = new DurableStream({ ...base, url: server.url(), contentType: json })
  await handle.create()
  assert.deepEqual([handle.lastResponse.isNew, handle.lastResponse.status], [true, 201])
  await handle.create()
  assert.deepEqual([handle.lastResponse.isNew, handle.lastResponse.status], [false, 200])
  await handle.append("1")
  assert.equal("isNew" in handle.lastResponse, false)
})

test("every operation takes headers of its own", async () => {
  const wire = await startWire((request, response) => response.writeHead(200, { "stream-next-offset": "5", "content-type": json }).end())
  const handle = new DurableStream({ ...base, url: wire.url, contentType: json, headers: { "x-trace": "handle", "x-kept": "1" } })
  const headers = { "X-Trace": "call" }
  await handle.create({ headers })
  await handle.append("1", { headers })
  await handle.appendStream(["2"], { headers })
  await handle.close({ headers })
  await handle.head({ headers })
  await handle.delete({ headers })
  await handle.head()
  assert.deepEqual(wire.seen.map((request) => request.method), ["PUT", "POST", "POST", "POST", "HEAD", "DELETE", "HEAD"])
  assert.deepEqual(wire.seen.map((request) => request.headers["x-trace"]), [...Array(6).fill("call"), "handle"])
  assert.equal(wire.seen.every((request) => request.headers["x-kept"] === "1"), true)
  await wire.stop()
})

test("headers of a call share no request with other appends, and never replace the protocol's", async () => {
  const wire = await startWire((request, response) => response.writeHead(204, { "stream-next-offset": "5" }).end())
  const handle = new DurableStream({ ...base, url: wire.url, contentType: json })
  await Promise.all([handle.append("1", { headers: { "x-n": "1" } }), handle.append("2", { headers: { "x-n": "2", "stream-seq": "9" }, seq: "a" })])
  const requests = Object.fromEntries(wire.seen.map((request) => [request.headers["x-n"], request]))
  assert.deepEqual([requests[1].body, requests[2].body, requests[2].headers["stream-seq"]], ["[1]", "[2]", "a"])
  for (const headers of [{ "x-n": () => "1" }, { "bad name": "1" }, { "x-n": "line\nbreak" }]) {
    assert.equal((await failure(handle.append("3", { headers }))).code, "BAD_REQUEST")
  }
  assert.equal(wire.seen.length, 2)
  await wire.stop()
})

test("handles and reads share connections, also under a limit of connecting", async () => {
  for (const options of [{}, { connectTimeoutMs: 4321 }]) {
    const wire = await startWire((request, response) => response.writeHead(200, { "stream-next-offset": "5", "stream-closed": "true" }).end())
    for (let n = 0; n < 5; n++) {
      await new DurableStream({ ...base, ...options, url: wire.url }).head()
      await (await new DurableStream({ ...base, ...options, url: wire.url }).stream()).text()
    }
    assert.equal(wire.seen.length, 10)
    assert.equal(new Set(wire.seen.map((request) => request.socket)).size, 1)
    await wire.stop()
  }
  assert.equal((await failure(() => new DurableStream({ ...base, url: "http://x/s", connectTimeoutMs: 0 }))).code, "BAD_REQUEST")
})

test("create carries its options", async () => {
  const expiresAt = new Date(Date.now() + 3_600_000).toISOString()
  const wire = await startWire((request, response) => response.writeHead(201, { "stream-next-offset": "5" }).end())
  await DurableStream.create({ ...base, url: wire.url, contentType: "text/plain", expiresAt, body: "first", closed: true, headers: { "x-a": "1" }, params: { tenant: "t 1" } })
  await DurableStream.create({ ...base, url: wire.url, ttlSeconds: 60 })
  const [first, second] = wire.seen
  assert.equal(first.method, "PUT")
  assert.equal(first.body, "first")
  assert.equal(first.query.get("tenant"), "t 1")
  assert.deepEqual(
    ["content-type", "stream-expires-at", "stream-closed", "x-a"].map((name) => first.headers[name]),
    ["text/plain", expiresAt, "true", "1"],
  )
  assert.equal(second.headers["stream-ttl"], "60")
  await wire.stop()
})

test("close ends the stream, with a last message if given, and may be repeated", async () => {
  const handle = await created()
  await handle.append("1")
  const { finalOffset } = await handle.close({ body: "2" })
  assert.equal((await handle.close()).finalOffset, finalOffset)
  assert.equal((await handle.head()).offset, finalOffset)
  assert.deepEqual(await readAll(handle.url), [1, 2])
  for (const act of [() => handle.append("3"), () => handle.close({ body: "3" })]) {
    const error = await failure(act)
    assert.equal(error.code, "STREAM_CLOSED")
    assert.equal(error.finalOffset, finalOffset)
  }
})

test("delete removes; a second time it is not found", async () => {
  const handle = await created()
  await handle.delete()
  assert.deepEqual(await handle.head(), { exists: false })
  assert.equal((await failure(DurableStream.delete({ ...base, url: handle.url }))).code, "NOT_FOUND")
  await handle.create({ contentType: "text/plain" })
  assert.equal((await handle.head()).contentType, "text/plain")
})

test("a fork begins with its source's data", async () => {
  const source = await created()
  await source.append("1")
  const { offset } = await source.head()
  await source.append("2")
  const forkFrom = new URL(source.url).pathname
  const whole = await created({ forkFrom })
  await whole.append("3")
  const part = await created({ forkFrom, forkOffset: offset })
  await part.append("4")
  assert.deepEqual(await readAll(whole.url), [1, 2, 3])
  assert.deepEqual(await readAll(part.url), [1, 4])
  assert.deepEqual(await readAll(source.url), [1, 2])
})

test("seq refuses what is not newer", async () => {
  const handle = await created()
  await handle.append("1", { seq: "a" })
  await handle.append("2", { seq: "b" })
  assert.equal((await failure(handle.append("3", { seq: "b" }))).code, "CONFLICT_SEQ")
  assert.deepEqual(await readAll(handle.url), [1, 2])
})

test("an append under a producer's numbers is stored once", async () => {
  const handle = await created()
  for (let n = 0; n < 2; n++) await handle.append('"once"', { producerId: "p", producerEpoch: 0, producerSeq: 0 })
  assert.deepEqual(await readAll(handle.url), ["once"])
})

test("an empty append is refused before anything is sent", async () => {
  const wire = await startWire((request, response) => response.writeHead(500).end())
  const handle = new DurableStream({ ...base, url: wire.url, contentType: "text/plain" })
  assert.equal((await failure(handle.append(""))).code, "BAD_REQUEST")
  assert.equal((await failure(handle.append(new Uint8Array()))).code, "BAD_REQUEST")
  assert.equal(wire.seen.length, 0)
  await wire.stop()
})

test("appends made while one is under way share the next request, and settle with it", async () => {
  let release
  const held = new Promise((resolve) => (release = resolve))
  const wire = await startWire(async (request, response, n) => {
    if (n === 0) await held
    response.writeHead(204, { "stream-next-offset": String(n) }).end()
  })
  const handle = new DurableStream({ ...base, url: wire.url, contentType: json })
  const appends = [handle.append("0")]
  await wire.arrived(1)
  for (let n = 1; n < 100; n++) appends.push(handle.append(String(n), { seq: String(1000 + n) }))
  release()
  await Promise.all(appends)
  assert.deepEqual(wire.seen.map((request) => JSON.parse(request.body)), [[0], Array.from({ length: 99 }, (_, n) => n + 1)])
  assert.equal(wire.seen[1].headers["stream-seq"], "1099")
  await wire.stop()
})

test("without batching every append is a request of its own, in order", async () => {
  const wire = await startWire((request, response) => response.writeHead(204, { "stream-next-offset": "1" }).end())
  const handle = new DurableStream({ ...base, url: wire.url, contentType: json, batching: false })
  await Promise.all([1, 2, 3].map((n) => handle.append(String(n))))
  assert.deepEqual(wire.seen.map((request) => request.body).sort(), ["[1]", "[2]", "[3]"])
  await wire.stop()
})

test("a failed request fails every append it carried", async () => {
  let release
  const held = new Promise((resolve) => (release = resolve))
  const wire = await startWire(async (request, response, n) => {
    if (n === 0) await held
    response.writeHead(n === 0 ? 204 : 404).end()
  })
  const handle = new DurableStream({ ...base, url: wire.url, contentType: json })
  const first = handle.append("0")
  await wire.arrived(1)
  const others = [handle.append("1"), handle.append("2")].map((append) => failure(append))
  release()
  await first
  assert.deepEqual((await Promise.all(others)).map((error) => error.code), ["NOT_FOUND", "NOT_FOUND"])
  await wire.stop()
})

test("a thousand handles read and write at once", async () => {
  const handles = await Promise.all(Array.from({ length: 1000 }, () => created()))
  await Promise.all(handles.map((handle, n) => handle.append({ n })))
  const all = await Promise.all(handles.map((handle) => readAll(handle.url)))
  assert.deepEqual(all, handles.map((_, n) => [{ n }]))
})
