// The idempotent producer: batches, order, once, epochs, its ends, and how much it holds.
import { DurableStream, IdempotentProducer, StaleEpochError, StreamClosedError } from "@durable-streams/client"
import { assert, deferred, failure } from "./lib/assert.mjs"
import { startServer } from "./lib/server.mjs"
import { after, before, test } from "./lib/test.mjs"
import { startWire } from "./lib/wire.mjs"

const base = { warnOnHttp: false, backoffOptions: { initialDelay: 1, maxDelay: 5, multiplier: 1, maxRetries: 20 } }
const json = "application/json"
let server
before(async () => (server = await startServer()))
after(() => server.stop())
const created = (contentType = json) => DurableStream.create({ ...base, url: server.url(), contentType })
const items = async (handle) => (await handle.stream({ live: false })).json()
const upTo = (count) => Array.from({ length: count }, (_, n) => n)

test("everything is stored once, in order", async () => {
  const handle = await created()
  const producer = new IdempotentProducer(handle, "p", { maxBatchBytes: 512 })
  for (const n of upTo(20_000)) producer.append(String(n))
  await producer.flush()
  assert.equal(producer.pendingCount, 0)
  assert.equal(producer.inFlightCount, 0)
  assert.deepEqual(await items(handle), upTo(20_000))
  assert.equal(producer.lastSuccessfulOffset, (await handle.head()).offset)
  assert.equal(producer.nextSeq > 1, true)
  await producer.detach()
})

test("text and bytes of any size keep their content", async () => {
  const handle = await created("application/octet-stream")
  const producer = new IdempotentProducer(handle, "p", { maxBatchBytes: 1000 })
  const parts = ["ü\u{1f600}", new Uint8Array(5000).fill(200), "", "x".repeat(3_000_000), Buffer.from([0, 255])].filter((part) => part.length > 0)
  for (const part of parts) producer.append(part)
  await producer.flush()
  const body = Buffer.from(await (await handle.stream({ live: false })).body())
  assert.equal(body.equals(Buffer.concat(parts.map((part) => Buffer.from(part)))), true)
  await producer.detach()
})

test("the caller may change its buffer after append", async () => {
  const handle = await created("application/octet-stream")
  const producer = new IdempotentProducer(handle, "p")
  const buffer = new Uint8Array([1, 1, 1])
  producer.append(buffer)
  buffer.fill(2)
  producer.append(buffer)
  await producer.flush()
  assert.deepEqual([...(await (await handle.stream({ live: false })).body())], [1, 1, 1, 2, 2, 2])
  await producer.detach()
})

test("lone surrogates become what every encoder makes of them", async () => {
  const handle = await created("text/plain")
  const producer = new IdempotentProducer(handle, "p")
  producer.append("a\ud800b")
  await producer.flush()
  assert.equal(await (await handle.stream({ live: false })).text(), "a\ufffdb")
  await producer.detach()
})

test("a message that is an array stays one message", async () => {
  const handle = await created()
  const producer = new IdempotentProducer(handle, "p")
  producer.append("[1,[2]]")
  producer.append("[]")
  await producer.flush()
  assert.deepEqual(await items(handle), [[1, [2]], []])
  await producer.detach()
})

test("append returns at once; messages travel together", async () => {
  const wire = await startWire((request, response) => response.writeHead(200, { "stream-next-offset": "1" }).end())
  const handle = new DurableStream({ ...base, url: wire.url, contentType: json })
  const producer = new IdempotentProducer(handle, "p", { epoch: 3, lingerMs: 50 })
  for (const n of upTo(100)) assert.equal(producer.append(String(n)), undefined)
  assert.equal(producer.pendingCount, 100)
  await producer.flush()
  assert.equal(wire.seen.length, 1)
  assert.deepEqual(JSON.parse(wire.seen[0].body), upTo(100))
  const { headers } = wire.seen[0]
  assert.deepEqual([headers["producer-id"], headers["producer-epoch"], headers["producer-seq"]], ["p", "3", "0"])
  assert.equal(producer.epoch, 3)
  assert.equal(producer.nextSeq, 1)
  await producer.detach()
  await wire.stop()
})

test("batches respect maxBatchBytes and maxInFlight", async () => {
  let open = 0
  let most = 0
  const full = deferred()
  const gate = deferred()
  const wire = await startWire(async (request, response) => {
    most = Math.max(most, ++open)
    if (open === 3) full.resolve()
    await gate.promise
    open--
    response.writeHead(200, { "stream-next-offset": "1" }).end()
  })
  const handle = new DurableStream({ ...base, url: wire.url, contentType: "text/plain" })
  const producer = new IdempotentProducer(handle, "p", { maxBatchBytes: 100, maxInFlight: 3, lingerMs: 0 })
  for (let n = 0; n < 30; n++) producer.append("x".repeat(40))
  const flushed = producer.flush()
  await full.promise
  assert.equal(producer.inFlightCount, 3)
  gate.resolve()
  await flushed
  assert.equal(most, 3)
  assert.equal(wire.seen.every((request) => request.body.length <= 100), true)
  assert.equal(wire.seen.reduce((sum, request) => sum + request.body.length, 0), 30 * 40)
  const numbers = wire.seen.map((request) => Number(request.headers["producer-seq"])).sort((a, b) => a - b)
  assert.deepEqual(numbers, upTo(wire.seen.length))
  await producer.detach()
  await wire.stop()
})

test("answers that are lost store nothing twice", async () => {
  const handle = await created()
  for (const fault of [{ status: 503, count: 2 }, { dropConnection: true, count: 2 }, { status: 429, count: 1 }]) {
    await server.inject(handle.url, { ...fault, method: "POST" })
    const producer = new IdempotentProducer(handle, `p-${JSON.stringify(fault)}`.replaceAll(/[^a-z0-9-]/gi, ""), { maxBatchBytes: 64 })
    for (const n of upTo(100)) producer.append(String(n))
    await producer.flush()
    await producer.detach()
  }
  assert.deepEqual(await items(handle), [...upTo(100), ...upTo(100), ...upTo(100)])
})

test("close flushes, ends the stream and may be repeated", async () => {
  const handle = await created()
  const producer = new IdempotentProducer(handle, "p")
  producer.append("1")
  const { finalOffset } = await producer.close("2")
  assert.equal((await producer.close()).finalOffset, finalOffset)
  assert.equal((await handle.head()).offset, finalOffset)
  assert.deepEqual(await items(handle), [1, 2])
  assert.equal((await handle.head()).streamClosed, true)
  assert.equal((await failure(() => producer.append("3"))).code, "ALREADY_CLOSED")
})

test("detach flushes and leaves the stream open", async () => {
  const handle = await created()
  const producer = new IdempotentProducer(handle, "p")
  producer.append("1")
  await producer.detach()
  await producer.detach()
  assert.deepEqual(await items(handle), [1])
  assert.equal((await handle.head()).streamClosed, false)
  assert.equal((await failure(() => producer.append("3"))).code, "ALREADY_CLOSED")
})

test("asyncDispose detaches", async () => {
  const handle = await created()
  const producer = new IdempotentProducer(handle, "p")
  producer.append("1")
  await producer[Symbol.asyncDispose]()
  assert.deepEqual(await items(handle), [1])
  assert.equal((await handle.head()).streamClosed, false)
})

test("a restart goes on under the next epoch", async () => {
  const handle = await created()
  const producer = new IdempotentProducer(handle, "p", { epoch: 4 })
  producer.append("1")
  await producer.restart()
  assert.equal(producer.epoch, 5)
  assert.equal(producer.nextSeq, 0)
  producer.append("2")
  await producer.flush()
  assert.deepEqual(await items(handle), [1, 2])
  await producer.detach()
})

test("a newer writer fences, unless the older may claim", async () => {
  const handle = await created()
  const newer = new IdempotentProducer(handle, "p", { epoch: 7 })
  newer.append('"newer"')
  await newer.flush()
  const older = new IdempotentProducer(handle, "p", { epoch: 1 })
  older.append('"older"')
  const error = await failure(older.flush())
  assert.equal(error instanceof StaleEpochError, true)
  assert.equal(error.currentEpoch, 7)
  const claiming = new IdempotentProducer(handle, "p", { epoch: 1, autoClaim: true })
  claiming.append('"claims"')
  await claiming.flush()
  assert.equal(claiming.epoch, 8)
  newer.append('"too late"')
  assert.equal((await failure(newer.flush())).currentEpoch, 8)
  assert.deepEqual(await items(handle), ["newer", "claims"])
  await Promise.all([older, claiming, newer].map((producer) => producer.detach()))
})

test("errors reach onError, and the next flush", async () => {
  const errors = []
  const handle = new DurableStream({ ...base, url: server.url("missing"), contentType: json })
  const producer = new IdempotentProducer(handle, "p", { onError: (error) => errors.push(error) })
  producer.append("1")
  const error = await failure(producer.flush())
  assert.equal(error.code, "NOT_FOUND")
  assert.deepEqual(errors, [error])
  // Detaching swallows what it cannot deliver.
  producer.append("2")
  await producer.detach()
})

test("appendAcknowledged resolves when its message is stored, in the order of the calls", async () => {
  const handle = await created()
  const producer = new IdempotentProducer(handle, "p", { epoch: 3, lingerMs: 0 })
  producer.append("1")
  const second = producer.appendAcknowledged("2")
  producer.append("3")
  const told = await second
  assert.equal(told.epoch, 3)
  assert.equal(told.duplicate, false)
  const stored = await (await handle.stream({ live: false })).json()
  assert.deepEqual(stored.slice(0, 2), [1, 2])
  // The offset behind its batch: the rest comes after it.
  await producer.flush()
  const rest = await (await handle.stream({ live: false, offset: told.offset })).json()
  assert.deepEqual([...stored.slice(0, 3 - rest.length), ...rest], [1, 2, 3])
  assert.equal((await failure(producer.appendAcknowledged("no json"))).code, "BAD_REQUEST")
  assert.equal((await failure(producer.appendAcknowledged(""))).code, "BAD_REQUEST")
  // Told where it was waited for: no flush repeats it.
  await producer.flush()
  await producer.detach()
  assert.equal((await failure(producer.appendAcknowledged("4"))).code, "ALREADY_CLOSED")
})

test("appendAcknowledged fails with what kept its message from being stored", async () => {
  const handle = await created()
  const producer = new IdempotentProducer(handle, "p", { lingerMs: 0 })
  await handle.close()
  const error = await failure(producer.appendAcknowledged("1"))
  assert.equal(error instanceof StreamClosedError, true)
  assert.equal(error.operation, "append")
})

test("a signal ends the wait of a flush; the messages arrive all the same", async () => {
  const gate = deferred()
  const wire = await startWire(async (request, response) => {
    await gate.promise
    response.writeHead(200, { "stream-next-offset": "1", "producer-epoch": "0", "producer-seq": "0" }).end()
  })
  const producer = new IdempotentProducer(new DurableStream({ ...base, url: wire.url, contentType: json }), "p", { lingerMs: 0 })
  producer.append("1")
  const controller = new AbortController()
  const waiting = failure(producer.flush({ signal: controller.signal }))
  await wire.arrived(1)
  const reason = new Error("no time")
  controller.abort(reason)
  assert.equal(await waiting, reason)
  gate.resolve()
  await producer.flush()
  assert.equal(producer.pendingCount, 0)
  await producer.detach()
  await wire.stop()
})

test("only text and bytes are taken", async () => {
  const producer = new IdempotentProducer(await created(), "p")
  for (const body of [{ a: 1 }, 5, null, undefined, ["x"]]) {
    assert.equal((await failure(() => producer.append(body))).code, "BAD_REQUEST")
  }
  await producer.detach()
})

test("ready waits for room, pendingBytes stays bounded", async () => {
  const gate = deferred()
  const wire = await startWire(async (request, response) => {
    await gate.promise
    response.writeHead(200, { "stream-next-offset": "1" }).end()
  })
  const handle = new DurableStream({ ...base, url: wire.url, contentType: "application/octet-stream" })
  const producer = new IdempotentProducer(handle, "p", { lingerMs: 0 })
  const piece = new Uint8Array(1024 * 1024)
  let taken = 0
  const filling = (async () => {
    for (; taken < 300; taken++) {
      await producer.ready
      producer.append(piece)
    }
  })()
  await wire.arrived(1)
  // Turns of the loop, in which everything that is going to be taken without the server is.
  for (let turn = 0; turn < 2000; turn++) await new Promise((resolve) => setImmediate(resolve))
  assert.equal(taken < 300, true)
  assert.equal(producer.pendingBytes <= 80 * 1024 * 1024, true, String(producer.pendingBytes))
  gate.resolve()
  await filling
  await producer.flush()
  assert.equal(producer.pendingBytes, 0)
  assert.equal(wire.seen.reduce((sum, request) => sum + Number(request.headers["content-length"] ?? 0), 0), 300 * piece.length)
  await producer.detach()
  await wire.stop()
})

test("a hundred thousand messages without a pause arrive", async () => {
  const handle = await created()
  const producer = new IdempotentProducer(handle, "p")
  const message = JSON.stringify({ pad: "x".repeat(80) })
  for (let n = 0; n < 100_000; n++) producer.append(message)
  await producer.flush()
  let count = 0
  for await (const batch of (await handle.stream({ live: false })).batches()) count += batch.items.length
  assert.equal(count, 100_000)
  await producer.detach()
})

test("producers of many streams work side by side", async () => {
  const handles = await Promise.all(upTo(100).map(() => created()))
  const producers = handles.map((handle, n) => new IdempotentProducer(handle, `p${n}`))
  for (let round = 0; round < 50; round++) producers.forEach((producer, n) => producer.append(String(n * 1000 + round)))
  await Promise.all(producers.map((producer) => producer.flush()))
  const all = await Promise.all(handles.map(items))
  assert.deepEqual(all, upTo(100).map((n) => upTo(50).map((round) => n * 1000 + round)))
  await Promise.all(producers.map((producer) => producer.detach()))
})
