// Timed work.
import { IdempotentProducer } from "@durable-streams/client"
import { Problem } from "./outcome.mjs"

const WORK = {
  async append(stream, { size }) {
    const body = new Uint8Array(size).fill(120)
    return { bytesTransferred: body.length, took: await timed(() => stream.append(body)) }
  },

  async read(stream, { offset }) {
    let bytes
    const took = await timed(async () => {
      bytes = await (await stream.stream({ offset, live: false })).body()
    })
    return { bytesTransferred: bytes.length, took }
  },

  async create(stream, { contentType }) {
    return { took: await timed(() => stream.create({ contentType })) }
  },

  async roundtrip(stream, { size, live = "long-poll", contentType }) {
    await stream.create({ contentType })
    const body = contentType?.startsWith("application/json") ? JSON.stringify("x".repeat(size)) : "x".repeat(size)
    let got
    const took = await timed(async () => {
      const response = await stream.stream({ live })
      const arrived = new Promise((resolve, reject) => {
        response.subscribeBytes(({ data }) => data.length > 2 && resolve(data.length))
        response.closed.catch(reject)
      })
      await stream.append(body)
      got = await arrived
      response.cancel()
    })
    return { bytesTransferred: body.length + got, took }
  },

  async throughput_append(stream, { count, size }) {
    await stream.create()
    const body = "x".repeat(size)
    // The path repeats over iterations; a fixed id would measure deduplication.
    const producer = new IdempotentProducer(stream, `bench-${process.hrtime.bigint()}`)
    const took = await timed(async () => {
      for (let n = 0; n < count; n++) producer.append(body)
      await producer.flush()
    })
    await producer.detach()
    return { bytesTransferred: count * size, messagesProcessed: count, took }
  },

  async throughput_read(stream) {
    let items
    const took = await timed(async () => {
      items = await (await stream.stream({ live: false })).json()
    })
    const bytes = await (await stream.stream({ live: false })).body()
    return { bytesTransferred: bytes.length, messagesProcessed: items.length, took }
  },
}

export async function benchmark(session, { iterationId, operation }) {
  if (!Object.hasOwn(WORK, operation.op)) throw new Problem("NOT_SUPPORTED", `there is no benchmark ${operation.op}`)
  const { took, ...metrics } = await WORK[operation.op](session.stream({ path: operation.path }), operation)
  return { type: "benchmark", success: true, iterationId, durationNs: String(took), metrics }
}

async function timed(work) {
  const started = process.hrtime.bigint()
  await work()
  return process.hrtime.bigint() - started
}
