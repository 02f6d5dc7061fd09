// Speed of the package `@durable-streams/client` that lies beside this script, ours or the official one: the same calls
// for both. node bench.mjs WHAT URL PEER?; prints one JSON object.
import { DurableStream, IdempotentProducer, stream } from "@durable-streams/client"

const [what, server, side] = process.argv.slice(2)
const isPeer = side === "peer"
const MESSAGES = 1_000_000
const MESSAGE_BYTES = 100
const MIB = 1024 * 1024
const READ_BYTES = 256 * MIB
const TAIL_ROUNDS = 500
const at = (name) => `${server}/v1/stream/bench-${name}`
const base = { warnOnHttp: false }

// Made before the clock runs: what is measured is the client.
const messages = Array.from({ length: 10_000 }, (_, n) => JSON.stringify({ n: String(n).padStart(8, "0"), text: "x".repeat(MESSAGE_BYTES - 26) }))
if (messages.some((message) => message.length !== MESSAGE_BYTES)) throw new Error(`a message has ${messages[0].length} bytes`)

/** Runs `work` and tells seconds of the clock and of the processor, all threads of the process. */
async function timed(work) {
  globalThis.gc?.()
  const cpu = process.cpuUsage()
  const started = process.hrtime.bigint()
  await work()
  const seconds = Number(process.hrtime.bigint() - started) / 1e9
  const { user, system } = process.cpuUsage(cpu)
  return { seconds, cpu_seconds: (user + system) / 1e6, peak_mib: process.resourceUsage().maxRSS / 1024 }
}

const perMessage = ({ seconds, cpu_seconds, peak_mib }) => ({
  messages_per_second: MESSAGES / seconds,
  cpu_seconds_per_million: (cpu_seconds * 1e6) / MESSAGES,
  peak_mib,
})

async function fill(handle) {
  const failures = []
  const producer = new IdempotentProducer(handle, `fill-${process.pid}`, { onError: (error) => failures.push(error) })
  // The official producer has no backpressure; flushed every 5,000 messages it is at its best. Ours says when there is room.
  for (let n = 0; n < MESSAGES; n++) {
    producer.append(messages[n % messages.length])
    if ((n + 1) % 5000 === 0) await (isPeer ? producer.flush() : producer.ready)
  }
  await producer.flush()
  if (failures.length > 0) throw failures[0]
  await producer.detach()
}

/**
 * A catch-up: one read of ours; of the official client one for each answer, behind which its reads without `live` end.
 */
async function* reads(name) {
  let offset = "-1"
  for (;;) {
    const response = await stream({ ...base, url: at(name), live: false, offset })
    yield response
    if (response.upToDate) return
    if (response.offset === offset) throw new Error("the read does not go on")
    offset = response.offset
  }
}

const WORK = {
  /** What the reads read. */
  async fill() {
    await fill(await DurableStream.create({ ...base, url: at("messages"), contentType: "application/json" }))
    const bytes = await DurableStream.create({ ...base, url: at("bytes"), contentType: "application/octet-stream" })
    // Not one byte repeated, so that nothing on the way can be clever about it.
    const piece = Uint8Array.from({ length: MIB }, (_, n) => Math.imul(n, 2_654_435_761) >>> 24)
    for (let n = 0; n < READ_BYTES / MIB; n++) await bytes.append(piece)
    return {}
  },

  async produce() {
    const handle = await DurableStream.create({ ...base, url: at(`produced-${process.pid}`), contentType: "application/json" })
    const figures = await timed(() => fill(handle))
    return perMessage(figures)
  },

  async "read-json"() {
    let count = 0
    const figures = await timed(async () => {
      for await (const response of reads("messages")) {
        // Each side's quickest way: batch by batch, answer by answer.
        if (isPeer) count += (await response.json()).length
        else for await (const batch of response.batches()) count += batch.items.length
      }
    })
    if (count !== MESSAGES) throw new Error(`${count} messages`)
    return perMessage(figures)
  },

  async "read-json-each"() {
    let count = 0
    const figures = await timed(async () => {
      for await (const response of reads("messages")) {
        for await (const item of response.jsonStream()) if (item.text.length > 0) count++
      }
    })
    if (count !== MESSAGES) throw new Error(`${count} messages`)
    return perMessage(figures)
  },

  async "read-bytes"() {
    let bytes = 0
    const { seconds, cpu_seconds, peak_mib } = await timed(async () => {
      for await (const response of reads("bytes")) for await (const piece of response.bodyStream()) bytes += piece.length
    })
    if (bytes !== READ_BYTES) throw new Error(`${bytes} bytes`)
    return { mib_per_second: READ_BYTES / MIB / seconds, cpu_seconds, peak_mib }
  },

  "tail-sse": () => tail("sse"),
  "tail-long-poll": () => tail("long-poll"),
}

/** From the call of append to the item in the reader's hand, one message at a time. */
async function tail(live) {
  const handle = await DurableStream.create({ ...base, url: at(`tail-${live}-${process.pid}`), contentType: "application/json" })
  const response = await stream({ ...base, url: handle.url, live, offset: "-1" })
  const items = response.jsonStream()[Symbol.asyncIterator]()
  const took = []
  for (let n = 0; n < TAIL_ROUNDS; n++) {
    const next = items.next()
    const started = process.hrtime.bigint()
    const appended = handle.append(String(n))
    if ((await next).value !== n) throw new Error("another message")
    // The first rounds warm both ends up.
    if (n >= 50) took.push(Number(process.hrtime.bigint() - started) / 1000)
    await appended
  }
  response.cancel()
  took.sort((a, b) => a - b)
  return { p50_us: took[took.length >> 1], p99_us: took[Math.floor(took.length * 0.99)] }
}

console.log(JSON.stringify(await WORK[what]()))
process.exit(0)
