// Ten thousand times the same: memory flat, nothing left open. Each in a process of its own, with its collector at hand.
// Another ten thousand come first: until then allocators spread over the threads.
import { assert } from "./lib/assert.mjs"
import { runScript } from "./lib/child.mjs"
import { startServer } from "./lib/server.mjs"
import { after, before, test } from "./lib/test.mjs"

const ROUNDS = 10_000
/**
 * What memory may grow by over these rounds. Objects of the runtime can be counted exactly; of what allocators keep, a
 * kilobyte and a half for each round is noise, while a read that stays is several.
 */
const MOST_MIB = { heap: 2, external: 1, rss: 16 }
/** A leak grows with every lot; what the engine takes for itself now and then does not: one lot that leaves nothing is enough. */
const LOTS = 4

let server
before(async () => (server = await startServer()))
after(() => server.stop())

/** Runs `round` in lots, measures before and after. */
const script = (setup, round) => `
import { readFileSync, readdirSync } from "node:fs"
import { DurableStream, IdempotentProducer, stream } from "@durable-streams/client"
const url = process.argv.at(-1)
const base = { url, contentType: "application/json", warnOnHttp: false }
const handle = await DurableStream.create(base)
await handle.append("1")
const settle = async () => {
  for (let n = 0; n < 5; n++) {
    globalThis.gc()
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}
const rss = () => Number(/VmRSS:\\s+(\\d+)/.exec(readFileSync("/proc/self/status", "utf8"))[1]) / 1024
const descriptors = () => readdirSync("/proc/self/fd").length
const threads = () => readdirSync("/proc/self/task").length
${setup}
const lot = async (count) => {
  for (let done = 0; done < count; done += 50) await Promise.all(Array.from({ length: 50 }, (_, n) => (async () => { ${round} })(n)))
}
await lot(${ROUNDS})
await settle()
const held = () => ({ rss: rss(), heap: process.memoryUsage().heapUsed / 1048576, external: process.memoryUsage().external / 1048576, descriptors: descriptors(), threads: threads() })
const most = ${JSON.stringify(MOST_MIB)}
const first = held()
let before, after = first
for (let n = 0; n < ${LOTS}; n++) {
  before = after
  await lot(${ROUNDS})
  await settle()
  after = held()
  if (Object.keys(most).every((what) => after[what] - before[what] < most[what])) break
}
console.log(JSON.stringify({ first, before, after, open: process.getActiveResourcesInfo().filter((kind) => !/^(TTYWrap|PipeWrap|FSReqCallback|Immediate|TickObject|Timeout)$/.test(kind)) }))
`

function measured(name, setup, round) {
  test(name, { timeout: 240_000 }, async (context) => {
    // What runtime and allocator keep for themselves is kept small, so that what is ours shows.
    const flags = ["--expose-gc", "--max-semi-space-size=1"]
    const outcome = await runScript(script(setup, round), { args: [server.url()], flags, env: { MALLOC_ARENA_MAX: "2" }, limitMs: 220_000 })
    assert.equal(outcome.timedOut, false, "it did not end")
    assert.equal(outcome.code, 0, outcome.stderr)
    const { first, before, after, open } = JSON.parse(outcome.lines.at(-1))
    context.diagnostic(outcome.lines.at(-1))
    assert.deepEqual(open, [])
    assert.equal(after.descriptors <= first.descriptors, true, `descriptors: ${first.descriptors}, then ${after.descriptors}`)
    assert.equal(after.threads <= first.threads, true, `threads: ${first.threads}, then ${after.threads}`)
    for (const [what, most] of Object.entries(MOST_MIB)) {
      assert.equal(after[what] - before[what] < most, true, `${what}: ${before[what].toFixed(1)}, then ${after[what].toFixed(1)} MiB`)
    }
  })
}

measured("open and close ten thousand live reads", "", `
  const response = await stream({ ...base, live: "sse" })
  for await (const batch of response.batches()) if (batch.isJson) break
`)

measured("abort ten thousand parked reads", "", `
  const controller = new AbortController()
  const response = await stream({ ...base, live: "long-poll", offset: "now", signal: controller.signal })
  const end = response.closed.catch(() => {})
  response.subscribeJson(() => {})
  controller.abort()
  await end
`)

measured("abort ten thousand reads under way, all with one long-lived parent signal", "const parent = new AbortController()", `
  const controller = new AbortController()
  const signal = AbortSignal.any?.([parent.signal, controller.signal]) ?? controller.signal
  const pending = stream({ ...base, live: "sse", signal, headers: { "x-a": async () => "1" } }).then((response) => response.text()).catch(() => {})
  controller.abort()
  await pending
`)

measured("forget ten thousand reads without closing them", "", `
  await stream({ ...base, live: "sse", offset: "now" })
`)

measured("ten thousand producers", "", `
  const producer = new IdempotentProducer(handle, "p", { autoClaim: false, onError: () => {} })
  await producer.detach()
`)
