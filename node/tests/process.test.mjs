// What can only be seen from outside: when a program ends, and that it ends well.
import { assert } from "./lib/assert.mjs"
import { runScript } from "./lib/child.mjs"
import { startServer } from "./lib/server.mjs"
import { after, before, test } from "./lib/test.mjs"

let server
before(async () => (server = await startServer()))
after(() => server.stop())

const HEAD = `
import { DurableStream, IdempotentProducer, stream } from "@durable-streams/client"
const url = process.argv.at(-1)
const handle = await DurableStream.create({ url, contentType: "application/json", warnOnHttp: false })
`

async function ends(body, options = {}) {
  const outcome = await runScript(HEAD + body, { args: [server.url()], ...options })
  assert.equal(outcome.timedOut, false, `it did not end: ${outcome.lines.join(" | ")} ${outcome.stderr}`)
  assert.equal(outcome.signal, null, outcome.stderr)
  assert.equal(outcome.code, options.code ?? 0, outcome.stderr)
  return outcome
}

test("importing the package keeps nothing alive", async () => {
  await ends("")
})

test("an idle client does not keep the process alive", async () => {
  await ends(`
    await handle.append("1")
    const producer = new IdempotentProducer(handle, "p")
    producer.append("2")
    await producer.flush()
    const response = await handle.stream({ live: "sse" })
    for await (const batch of response.batches()) if (!batch.isEmpty) break
    const unread = await handle.stream({ live: "long-poll" })
    globalThis.kept = [producer, response, unread, handle]
  `)
})

test("nothing is left open after everything is over", async () => {
  const { lines } = await ends(`
    for (let n = 0; n < 20; n++) {
      await handle.append(String(n))
      await (await handle.stream({ live: false })).json()
    }
    const controller = new AbortController()
    const reads = await Promise.all(Array.from({ length: 20 }, () => handle.stream({ live: "sse", signal: controller.signal })))
    const ends = reads.map((read) => (read.subscribeJson(() => {}), read.closed.catch(() => {})))
    controller.abort()
    await Promise.all(ends)
    const producer = new IdempotentProducer(handle, "p")
    producer.append("1")
    await producer.detach()
    await new Promise(setImmediate)
    console.log(JSON.stringify(process.getActiveResourcesInfo().filter((kind) => !/^(TTYWrap|PipeWrap|FSReqCallback|Immediate|TickObject)$/.test(kind))))
  `)
  assert.deepEqual(lines, ["[]"])
})

test("a pending read keeps the process alive until it is answered", async () => {
  const outcome = await runScript(
    `${HEAD}
    const response = await handle.stream({ live: "sse", offset: "now" })
    console.log("parked")
    for await (const item of response.jsonStream()) {
      console.log(item)
      break
    }`,
    {
      args: [server.url("parked")],
      onLine: async (line, child) => {
        if (line !== "parked") return
        // Nothing but the read holds the program now. Were that not enough, it would be gone before this is stored.
        const url = child.spawnargs.at(-1)
        const body = '"woken"'
        await fetch(url, { method: "POST", headers: { "content-type": "application/json" }, body })
      },
    },
  )
  assert.deepEqual(outcome.lines, ["parked", "woken"], outcome.stderr)
  assert.equal(outcome.code, 0)
})

test("a pending append and a pending flush keep the process alive until they are answered", async () => {
  const { lines } = await ends(`
    handle.append("1").then(() => console.log("appended"))
    const producer = new IdempotentProducer(handle, "p", { lingerMs: 100 })
    producer.append("2")
    producer.flush().then(() => console.log("flushed"))
  `)
  assert.deepEqual(lines.sort(), ["appended", "flushed"])
})

test("process.exit with parked readers, open requests and queued messages ends at once with its code", async () => {
  const outcome = await ends(
    `
    for (let n = 0; n < 50; n++) {
      const response = await handle.stream({ live: n % 2 === 0 ? "sse" : "long-poll", offset: "now" })
      response.subscribeJson(() => {})
    }
    const producer = new IdempotentProducer(handle, "p", { lingerMs: 10_000 })
    for (let n = 0; n < 1000; n++) producer.append(String(n))
    void handle.append("1").catch(() => {})
    void handle.head()
    console.log("leaving")
    process.exit(7)
  `,
    { code: 7 },
  )
  assert.deepEqual(outcome.lines, ["leaving"])
  assert.equal(outcome.stderr, "")
})

test("an uncaught exception with parked readers ends the process as usual", async () => {
  const { stderr } = await ends(
    `
    const response = await handle.stream({ live: "sse", offset: "now" })
    response.subscribeJson(() => {})
    setImmediate(() => { throw new Error("on purpose") })
  `,
    { code: 1 },
  )
  assert.match(stderr, /on purpose/)
})

test("a signal ends a process with parked readers", async () => {
  const outcome = await runScript(
    `${HEAD}
    const response = await handle.stream({ live: "sse", offset: "now" })
    response.subscribeJson(() => {})
    console.log("parked")`,
    { args: [server.url()], onLine: (line, child) => child.kill("SIGTERM") },
  )
  assert.equal(outcome.signal, "SIGTERM")
})

test("the collector takes nothing that a read in progress needs", async () => {
  const { lines } = await ends(
    `
    const collect = async () => {
      for (let n = 0; n < 3; n++) {
        globalThis.gc()
        await new Promise(setImmediate)
      }
    }
    let asked = 0
    // Only the iterator is kept: neither handle, response nor options.
    const open = async () => {
      const headers = { authorization: async () => "Bearer " + asked++ }
      const response = await new DurableStream({ url, headers, fetch: (...args) => fetch(...args), warnOnHttp: false }).stream({ live: "long-poll" })
      return response.jsonStream()[Symbol.asyncIterator]()
    }
    const items = await open()
    for (let n = 0; n < 5; n++) {
      await collect()
      const next = items.next()
      await collect()
      await handle.append(String(n))
      console.log((await next).value)
    }
    console.log(asked > 5)
    await items.return()
    // A producer nobody looks at any more still delivers what a pending flush promised.
    const flush = () => {
      const producer = new IdempotentProducer(new DurableStream({ url, contentType: "application/json", headers: { "x-a": async () => "1" }, warnOnHttp: false }), "p")
      producer.append('"produced"')
      return producer.flush()
    }
    const flushed = flush()
    await collect()
    await flushed
    console.log((await (await handle.stream({ live: false })).json()).at(-1))
  `,
    { flags: ["--expose-gc"] },
  )
  assert.deepEqual(lines, ["0", "1", "2", "3", "4", "true", "produced"])
})

const WORKER = (body) => `
import { Worker } from "node:worker_threads"
import { once } from "node:events"
const source = ${JSON.stringify(`
import { parentPort, workerData } from "node:worker_threads"
import { DurableStream, IdempotentProducer, stream } from "@durable-streams/client"
const handle = new DurableStream({ url: workerData, contentType: "application/json", warnOnHttp: false })
`)}
// A module from text sees packages from the working folder when it is a file there. One file for each: what another
// worker is about to load must not change.
const { writeFileSync, rmSync } = await import("node:fs")
const files = new Map()
const start = (body) => {
  const file = files.get(body) ?? \`./worker-\${process.pid}-\${files.size}.mjs\`
  if (!files.has(body)) writeFileSync(file, source + body)
  files.set(body, file)
  return new Worker(file, { workerData: url, execArgv: [] })
}
process.on("exit", () => files.forEach((file) => rmSync(file, { force: true })))
${body}
`

test("workers read and write, and end by themselves", async () => {
  const { lines } = await ends(WORKER(`
    const workers = Array.from({ length: 8 }, () => start(\`
      const producer = new IdempotentProducer(handle, "w" + Math.random())
      for (let n = 0; n < 500; n++) producer.append(String(n))
      await producer.flush()
      await producer.detach()
      parentPort.postMessage((await (await handle.stream({ live: false })).json()).length >= 500)
    \`))
    const results = await Promise.all(workers.map(async (worker) => {
      const [[message], [code]] = await Promise.all([once(worker, "message"), once(worker, "exit")])
      return message === true && code === 0
    }))
    console.log(results.every(Boolean))
  `))
  assert.deepEqual(lines, ["true"])
})

test("workers are terminated with parked readers, a hundred times", { timeout: 120_000 }, async () => {
  const { lines } = await ends(
    WORKER(`
    let ended = 0
    for (let round = 0; round < 25; round++) {
      await Promise.all(Array.from({ length: 4 }, async () => {
        const worker = start(\`
          for (const live of ["sse", "long-poll", "sse"]) {
            const response = await handle.stream({ live, offset: "now", headers: { "x-dynamic": async () => "1" } })
            response.subscribeJson(() => {})
          }
          const producer = new IdempotentProducer(handle, "w" + Math.random())
          producer.append("1")
          parentPort.postMessage("parked")
        \`)
        await once(worker, "message")
        await worker.terminate()
        ended++
      }))
    }
    console.log(ended)
    // The main thread's own environment is unharmed.
    console.log((await (await stream({ url, live: false, warnOnHttp: false })).json()).every((item) => item === 1))
  `),
    { limitMs: 110_000 },
  )
  assert.deepEqual(lines, ["100", "true"])
})

test("a worker may leave with process.exit in the middle of everything", async () => {
  const { lines } = await ends(WORKER(`
    for (let round = 0; round < 10; round++) {
      const worker = start(\`
        const response = await handle.stream({ live: "sse", offset: "now" })
        response.subscribeJson(() => {})
        void handle.append("1").catch(() => {})
        process.exit(3)
      \`)
      const [code] = await once(worker, "exit")
      console.log(code)
    }
  `))
  assert.deepEqual(lines, Array(10).fill("3"))
})

test("a child forked from a process with open reads works for itself", async () => {
  const { lines } = await ends(`
    const { fork } = await import("node:child_process")
    const { writeFileSync, rmSync } = await import("node:fs")
    const response = await handle.stream({ live: "sse", offset: "now" })
    response.subscribeJson(() => {})
    const file = "./forked-" + process.pid + ".mjs"
    writeFileSync(file, 'import { DurableStream } from "@durable-streams/client"; await new DurableStream({ url: process.argv[2], contentType: "application/json", warnOnHttp: false }).append("5"); process.send("stored"); process.disconnect()')
    const child = fork(file, [url], { execArgv: [] })
    console.log(await new Promise((resolve) => child.once("message", resolve)))
    console.log(await new Promise((resolve) => child.once("exit", resolve)))
    rmSync(file)
    response.cancel()
  `)
  assert.deepEqual(lines, ["stored", "0"])
})
