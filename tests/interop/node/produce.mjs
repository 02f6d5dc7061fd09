// 1,000,000 JSON messages of 100 bytes through the official producer; prints one JSON object.
// Its append has no backpressure, so it is flushed now and then: tried with 1,000 to
// 1,000,000 messages, up to 20,000 are equally quick and more are slower.
import { DurableStream, IdempotentProducer } from "@durable-streams/client"

const MESSAGES = 1_000_000
const FLUSH_EVERY = Number(process.env.FLUSH_EVERY ?? 5_000)
const url = `${process.argv[2]}/v1/stream/produce-npm-${process.pid}`
const handle = await DurableStream.create({ url, contentType: "application/json" })
let failure
const producer = new IdempotentProducer(handle, "bench", { onError: (error) => (failure = error) })
const message = (n) => JSON.stringify({ n: String(n).padStart(8, "0"), text: "x".repeat(74) })
if (message(0).length !== 100) throw new Error(`a message has ${message(0).length} bytes`)

let peak = 0
let atHalf = 0
const started = process.hrtime.bigint()
for (let n = 0; n < MESSAGES; n++) {
  producer.append(message(n))
  if ((n + 1) % FLUSH_EVERY === 0) {
    await producer.flush()
    peak = Math.max(peak, process.memoryUsage.rss())
    if (n + 1 <= MESSAGES / 2) atHalf = peak
  }
}
await producer.flush()
const seconds = Number(process.hrtime.bigint() - started) / 1e9
if (failure) throw failure
peak = Math.max(peak, process.memoryUsage.rss())
const mib = 1024 * 1024
console.log(JSON.stringify({
  messages_per_second: MESSAGES / seconds,
  peak_mib: peak / mib,
  growth_mib: (peak - atHalf) / mib,
}))
