// Writing from streams: one request for appendStream, a producer behind writable.
import { createReadStream } from "node:fs"
import { createServer } from "node:http"
import { Readable } from "node:stream"
import { DurableStream } from "@durable-streams/client"
import { assert, deferred, failure, settled } from "./lib/assert.mjs"
import { startServer } from "./lib/server.mjs"
import { after, before, test } from "./lib/test.mjs"
import { startWire } from "./lib/wire.mjs"

const base = { warnOnHttp: false }
let server
before(async () => (server = await startServer()))
after(() => server.stop())
const created = (contentType = "text/plain") => DurableStream.create({ ...base, url: server.url(), contentType })
const text = async (handle) => (await handle.stream({ live: false })).text()

async function* pieces() {
  yield "a"
  yield new TextEncoder().encode("b")
  yield Buffer.from("c")
}

const SOURCES = {
  "an async generator": () => pieces(),
  "a web stream": () => ReadableStream.from?.(pieces()) ?? new ReadableStream({ start: (c) => (["a", "b", "c"].forEach((piece) => c.enqueue(piece)), c.close()) }),
  "a Node stream": () => Readable.from(pieces()),
  "an array": () => ["a", "b", "c"],
}

for (const [name, source] of Object.entries(SOURCES)) {
  test(`appendStream takes ${name}`, async () => {
    const handle = await created()
    await handle.appendStream(source())
    assert.equal(await text(handle), "abc")
  })
}

test("appendStream is one request", async () => {
  const wire = await startWire((request, response) => response.writeHead(204, { "stream-next-offset": "1" }).end())
  async function* slow() {
    yield "first "
    await new Promise((resolve) => setImmediate(resolve))
    yield "second"
  }
  await new DurableStream({ ...base, url: wire.url, contentType: "text/plain" }).appendStream(slow(), { seq: "7" })
  assert.deepEqual(wire.seen.map(({ body, headers }) => [body, headers["stream-seq"]]), [["first second", "7"]])
  await wire.stop()
})

test("appendStream is under way while its source still makes pieces", async () => {
  const first = deferred()
  const server = createServer(async (request, response) => {
    for await (const piece of request) first.resolve(piece)
    response.writeHead(204, { "stream-next-offset": "1" }).end()
  })
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve))
  async function* slow() {
    yield "first "
    // The server has it before there is a second.
    await first.promise
    yield "second"
  }
  const url = `http://127.0.0.1:${server.address().port}/v1/stream/x`
  await new DurableStream({ ...base, url, contentType: "text/plain" }).appendStream(slow())
  server.closeAllConnections()
  server.close()
})

test("appendStream holds its source back when the server does not take more", async () => {
  const first = deferred()
  const gate = deferred()
  const server = createServer(async (request, response) => {
    request.once("readable", () => first.resolve())
    await gate.promise
    let bytes = 0
    for await (const piece of request) bytes += piece.length
    response.writeHead(204, { "stream-next-offset": String(bytes) }).end()
  })
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve))
  let made = 0
  async function* pieces() {
    for (; made < 256; made++) yield new Uint8Array(1024 * 1024)
  }
  const url = `http://127.0.0.1:${server.address().port}/v1/stream/x`
  const handle = new DurableStream({ ...base, url, contentType: "application/octet-stream" })
  const appending = handle.appendStream(pieces())
  await first.promise
  // Turns of the loop, in which everything that is going to be made without the server is.
  for (let turn = 0; turn < 2000; turn++) await new Promise((resolve) => setImmediate(resolve))
  assert.equal(made < 64, true, `${made} MiB were made for a server that takes none`)
  gate.resolve()
  await appending
  assert.equal(handle.lastResponse.offset, String(256 * 1024 * 1024))
  server.closeAllConnections()
  server.close()
})

test("appendStream fails with its source's error, and nothing is stored", async () => {
  const handle = await created()
  const mine = new Error("mine")
  async function* failing() {
    yield "half"
    throw mine
  }
  const error = await failure(handle.appendStream(failing()))
  assert.equal(error === mine || error.cause === mine, true, String(error))
  assert.equal(await text(handle), "")
})

test("an abort ends appendStream and its source", async () => {
  const handle = await created()
  const controller = new AbortController()
  const reason = new Error("given up")
  const started = deferred()
  const ended = deferred()
  async function* endless() {
    try {
      yield "x"
      started.resolve()
      await new Promise((resolve) => controller.signal.addEventListener("abort", resolve))
      for (;;) yield "x"
    } finally {
      ended.resolve()
    }
  }
  const outcome = failure(handle.appendStream(endless(), { signal: controller.signal }))
  await started.promise
  controller.abort(reason)
  assert.equal(await outcome, reason)
  await ended.promise
  assert.equal(await text(handle), "")
})

test("a file can be piped into a stream and ends it", async () => {
  const handle = await created("application/octet-stream")
  const file = new URL(import.meta.url)
  await Readable.toWeb(createReadStream(file)).pipeTo(handle.writable())
  assert.equal((await handle.head()).streamClosed, true)
  const { readFile } = await import("node:fs/promises")
  assert.deepEqual(Buffer.from(await (await handle.stream()).body()), await readFile(file))
})

test("a writable's writes keep their order", async () => {
  const handle = await created("application/json")
  const writer = handle.writable({ maxBatchBytes: 256 }).getWriter()
  for (let n = 0; n < 1000; n++) {
    await writer.ready
    void writer.write(JSON.stringify(n))
  }
  await writer.close()
  assert.deepEqual(await (await handle.stream()).json(), Array.from({ length: 1000 }, (_, n) => n))
})

test("aborting a writable leaves the stream open", async () => {
  const handle = await created()
  const writer = handle.writable().getWriter()
  await writer.write("x")
  await writer.abort(new Error("mine"))
  await settled(writer.closed)
  assert.equal((await handle.head()).streamClosed, false)
})

test("a writable's failure reaches the writer", async () => {
  const handle = await created()
  await handle.close()
  const writer = handle.writable().getWriter()
  const error = await failure(async () => {
    await writer.write("x")
    await writer.close()
  })
  assert.equal(error.code, "STREAM_CLOSED")
})

test("two writables of one handle are two producers", async () => {
  const wire = await startWire((request, response) => response.writeHead(200, { "stream-next-offset": "1" }).end())
  const handle = new DurableStream({ ...base, url: wire.url, contentType: "text/plain" })
  for (let n = 0; n < 2; n++) {
    const writer = handle.writable().getWriter()
    await writer.write("x")
    await writer.close()
  }
  const ids = new Set(wire.seen.map((request) => request.headers["producer-id"]))
  assert.equal(ids.size, 2)
  for (const id of ids) assert.match(id, /^writable-.{8}$/)
  await wire.stop()
})
