// The official Node client against the server at the URL given: one line per check.
// `restart` asks for the server to be killed and started anew; a line on standard input answers.
import assert from "node:assert/strict"
import { createInterface } from "node:readline"
import { DurableStream, IdempotentProducer, stream } from "@durable-streams/client"

const base = `${process.argv[2]}/v1/stream/npm-client-${process.pid}`
const answers = createInterface({ input: process.stdin })[Symbol.asyncIterator]()
const json = "application/json"

const checks = {
  "create, append, read bytes": async (url) => {
    const handle = await DurableStream.create({ url, contentType: "application/octet-stream" })
    const every = Uint8Array.from({ length: 256 }, (_, byte) => byte)
    await handle.append(every)
    await handle.append(every)
    const body = await (await stream({ url, live: false })).body()
    assert.deepEqual(body, Uint8Array.from([...every, ...every]))
  },

  "head tells type and tail": async (url) => {
    const handle = await DurableStream.create({ url, contentType: "text/plain", body: "hello" })
    const head = await handle.head()
    assert.equal(head.exists, true)
    assert.equal(head.contentType, "text/plain")
    assert.equal(head.streamClosed, false)
    assert.equal((await (await stream({ url, live: false, offset: head.offset })).text()), "")
  },

  "create again with the same settings, not with others": async (url) => {
    await DurableStream.create({ url, contentType: json })
    await DurableStream.create({ url, contentType: json })
    await assert.rejects(DurableStream.create({ url, contentType: "text/plain" }), { status: 409 })
  },

  "JSON messages come back as sent": async (url) => {
    const handle = await DurableStream.create({ url, contentType: json })
    const messages = [{ n: 1 }, [1, [2]], "text \u2028 \"quoted\"", 9007199254740991, null, true, { nested: { a: [] } }]
    for (const message of messages) await handle.append(JSON.stringify(message))
    assert.deepEqual(await (await stream({ url, live: false })).json(), messages)
  },

  "resume from an offset": async (url) => {
    const handle = await DurableStream.create({ url, contentType: json })
    await handle.append("1")
    const { offset } = await handle.head()
    await handle.append("2")
    assert.deepEqual(await (await stream({ url, live: false, offset })).json(), [2])
  },

  "long-poll delivers what comes later": (url) => live(url, "long-poll"),

  "SSE delivers what comes later": (url) => live(url, "sse"),

  "SSE carries bytes": async (url) => {
    const handle = await DurableStream.create({ url, contentType: "application/octet-stream" })
    const reading = await stream({ url, live: "sse", offset: "-1" })
    const reader = reading.bodyStream().getReader()
    const every = Uint8Array.from({ length: 256 }, (_, byte) => byte)
    await handle.append(every)
    await handle.close()
    const got = []
    for (let chunk = await reader.read(); !chunk.done; chunk = await reader.read()) got.push(...chunk.value)
    assert.deepEqual(Uint8Array.from(got), every)
  },

  "a closed stream ends readers and refuses appends": async (url) => {
    const handle = await DurableStream.create({ url, contentType: json })
    await handle.append('"last"')
    const { finalOffset } = await handle.close()
    assert.equal((await handle.close()).finalOffset, finalOffset)
    const reading = await stream({ url, live: "long-poll" })
    const got = []
    for await (const message of reading.jsonStream()) got.push(message)
    assert.deepEqual(got, ["last"])
    await assert.rejects(handle.append('"more"'), { status: 409 })
  },

  "a missing stream is not found": async (url) => {
    await assert.rejects(stream({ url, live: false }), { status: 404 })
  },

  "delete": async (url) => {
    const handle = await DurableStream.create({ url, contentType: json })
    await handle.delete()
    assert.equal((await handle.head()).exists, false)
  },

  "a producer stores each message once, in order": async (url) => {
    const handle = await DurableStream.create({ url, contentType: json })
    const errors = []
    const producer = new IdempotentProducer(handle, "writer", { maxBatchBytes: 512, onError: (error) => errors.push(error) })
    for (let n = 0; n < 2000; n++) producer.append(JSON.stringify({ n }))
    await producer.flush()
    assert.deepEqual(errors, [])
    const messages = await (await stream({ url, live: false })).json()
    assert.deepEqual(messages, Array.from({ length: 2000 }, (_, n) => ({ n })))
  },

  "a producer's repeated batch is dropped, a stale epoch refused": async (url) => {
    const handle = await DurableStream.create({ url, contentType: json })
    for (let attempt = 0; attempt < 2; attempt++) {
      const producer = new IdempotentProducer(handle, "writer", { epoch: 1 })
      producer.append('"once"')
      await producer.flush()
      await producer.detach()
    }
    assert.deepEqual(await (await stream({ url, live: false })).json(), ["once"])
    const errors = []
    const stale = new IdempotentProducer(handle, "writer", { epoch: 0, onError: (error) => errors.push(error) })
    stale.append('"stale"')
    await stale.flush().catch((error) => errors.push(error))
    assert.equal(errors[0]?.name, "StaleEpochError")
    const claiming = new IdempotentProducer(handle, "writer", { epoch: 0, autoClaim: true })
    claiming.append('"claimed"')
    await claiming.flush()
    assert.deepEqual(await (await stream({ url, live: false })).json(), ["once", "claimed"])
  },

  "a restart loses and doubles nothing": async (url) => {
    const handle = await DurableStream.create({ url, contentType: json })
    const producer = new IdempotentProducer(handle, "writer", { maxBatchBytes: 256 })
    const reading = await stream({ url, live: "long-poll" })
    const got = []
    const read = (async () => {
      for await (const message of reading.jsonStream()) got.push(message.n)
    })()
    for (let n = 0; n < 500; n++) producer.append(JSON.stringify({ n }))
    await producer.flush()
    await restart()
    for (let n = 500; n < 1000; n++) producer.append(JSON.stringify({ n }))
    await producer.close()
    await read
    const all = Array.from({ length: 1000 }, (_, n) => n)
    assert.deepEqual(got, all)
    assert.deepEqual((await (await stream({ url, live: false })).json()).map((message) => message.n), all)
  },
}

async function live(url, mode) {
  const handle = await DurableStream.create({ url, contentType: json })
  await handle.append('"early"')
  const reading = await stream({ url, live: mode })
  const messages = reading.jsonStream()[Symbol.asyncIterator]()
  assert.equal((await messages.next()).value, "early")
  const later = messages.next()
  await handle.append('"later"')
  assert.equal((await later).value, "later")
  const end = messages.next()
  await handle.close()
  assert.equal((await end).done, true)
}

async function restart() {
  console.log("restart")
  await answers.next()
}

let number = 0
let failed = 0
for (const [name, check] of Object.entries(checks)) {
  let timer
  const limit = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error("not done after 20 s")), 20_000)
  })
  try {
    await Promise.race([check(`${base}-${number++}`), limit])
    console.log(`ok ${name}`)
  } catch (error) {
    failed++
    console.log(`FAILED ${name}: ${String(error?.message ?? error).split("\n").slice(0, 3).join(" ")}`)
  } finally {
    clearTimeout(timer)
  }
}
process.exit(failed === 0 ? 0 : 1)
