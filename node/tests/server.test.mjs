// `DurableStreamTestServer`: its options, hooks, faults and folders. The client under it is plain fetch, so that neither
// can hide the other's mistake.
import { mkdtempSync, readFileSync, readdirSync, rmSync } from "node:fs"
import { createRequire } from "node:module"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { DurableStreamTestServer } from "@durable-streams/server"
import { assert, deferred, failure } from "./lib/assert.mjs"
import { runScript } from "./lib/child.mjs"
import { test } from "./lib/test.mjs"
import { startWire } from "./lib/wire.mjs"

async function running(options, run) {
  const server = new DurableStreamTestServer({ port: 0, ...options })
  await server.start()
  try {
    return await run(server, (name = "s") => `${server.url}/v1/stream/${name}`)
  } finally {
    await server.stop()
  }
}

const put = (url, type = "application/json", body) => fetch(url, { method: "PUT", headers: { "content-type": type }, body })
const post = (url, body, type = "application/json") => fetch(url, { method: "POST", headers: { "content-type": type }, body })

test("start gives the URL; url, baseUrl and port agree with it", async () => {
  const server = new DurableStreamTestServer({ port: 0 })
  assert.throws(() => server.url)
  const url = await server.start()
  assert.match(url, /^http:\/\/127\.0\.0\.1:\d+$/)
  assert.equal(server.url, url)
  assert.equal(server.baseUrl, url)
  assert.equal(server.port, Number(new URL(url).port))
  await failure(server.start())
  await server.stop()
})

test("stop ends live reads, frees the port, and may be repeated", async () => {
  const server = new DurableStreamTestServer({ port: 0 })
  const url = await server.start()
  await put(`${url}/v1/stream/a`)
  const parked = fetch(`${url}/v1/stream/a?offset=now&live=sse`)
  const body = (await parked).text()
  await server.stop()
  await Promise.allSettled([body])
  await server.stop()
  await failure(fetch(`${url}/v1/stream/a`))
  const next = new DurableStreamTestServer({ port: Number(new URL(url).port) })
  assert.equal(await next.start(), url)
  // In memory: a new server is empty.
  assert.equal((await fetch(`${url}/v1/stream/a?offset=-1`)).status, 404)
  await next.stop()
})

test("a port that is taken is an error that names it", async () => {
  await running({}, async (first) => {
    const second = new DurableStreamTestServer({ port: first.port })
    assert.equal((await failure(second.start())).message.includes(String(first.port)), true)
  })
})

test("host and default port", () => {
  assert.equal(new DurableStreamTestServer().options?.port ?? 4437, 4437)
})

test("streams are created, written, read and deleted", () =>
  running({}, async (_, at) => {
    assert.equal((await put(at())).status, 201)
    assert.equal((await put(at())).status, 200)
    assert.equal((await post(at(), '[{"n":1},{"n":2}]')).ok, true)
    assert.deepEqual(await (await fetch(`${at()}?offset=-1`)).json(), [{ n: 1 }, { n: 2 }])
    assert.equal((await fetch(at(), { method: "DELETE" })).status, 204)
    assert.equal((await fetch(`${at()}?offset=-1`)).status, 404)
  }))

test("a long-poll waits as long as the option says", () =>
  running({ longPollTimeout: 300 }, async (_, at) => {
    await put(at())
    const started = performance.now()
    const answer = await fetch(`${at()}?offset=now&live=long-poll`)
    assert.equal(answer.status, 204)
    const ms = performance.now() - started
    assert.equal(ms >= 290 && ms < 5000, true, `${ms} ms`)
  }))

test("liveReaders counts the live reads under way", () =>
  running({}, async (server, at) => {
    assert.equal(server.liveReaders(), 0)
    await put(at())
    const leaving = new AbortController()
    const { signal } = leaving
    // An SSE answer has begun when its head is here.
    const first = await fetch(`${at()}?offset=now&live=sse`, { signal })
    const second = await fetch(`${at()}?offset=now&live=sse`, { signal })
    assert.equal(server.liveReaders(), 2)
    leaving.abort()
    await Promise.allSettled([first.text(), second.text()])
    while (server.liveReaders() > 0) await new Promise((resolve) => setImmediate(resolve))
  }))

test("hooks tell what was created and deleted", async () => {
  const created = []
  const deleted = deferred()
  const events = deferred()
  await running(
    {
      onStreamCreated: async (event) => {
        created.push(event)
        if (created.length === 2) events.resolve()
      },
      onStreamDeleted: (event) => deleted.resolve(event),
    },
    async (_, at) => {
      const before = Date.now()
      await put(at("one"))
      await put(at("two"), "text/plain")
      await put(at("two"), "text/plain")
      await fetch(at("one"), { method: "DELETE" })
      await events.promise
      const gone = await deleted.promise
      assert.deepEqual(created.map(({ type, path, contentType }) => [type, path, contentType]), [
        ["created", "/v1/stream/one", "application/json"],
        ["created", "/v1/stream/two", "text/plain"],
      ])
      assert.equal(created.every(({ timestamp }) => timestamp >= before - 1000 && timestamp <= Date.now() + 1000), true)
      assert.deepEqual([gone.type, gone.path], ["deleted", "/v1/stream/one"])
    },
  )
})

test("a folder keeps what was acknowledged over stop and start", async () => {
  const dataDir = mkdtempSync(join(tmpdir(), "ds-node-"))
  try {
    await running({ dataDir }, async (_, at) => {
      await put(at())
      await post(at(), "[1,2]")
    })
    assert.equal(readdirSync(dataDir).length > 0, true)
    await running({ dataDir }, async (_, at) => {
      assert.deepEqual(await (await fetch(`${at()}?offset=-1`)).json(), [1, 2])
    })
  } finally {
    rmSync(dataDir, { recursive: true })
  }
})

test("two servers on one folder: the second is refused", async () => {
  const dataDir = mkdtempSync(join(tmpdir(), "ds-node-"))
  try {
    await running({ dataDir }, async () => {
      const second = new DurableStreamTestServer({ port: 0, dataDir })
      assert.equal((await failure(second.start())) instanceof Error, true)
    })
  } finally {
    rmSync(dataDir, { recursive: true })
  }
})

test("clear forgets every stream", () =>
  running({}, async (server, at) => {
    await put(at("a"))
    await put(at("b"))
    await server.clear()
    for (const name of ["a", "b"]) assert.equal((await fetch(`${at(name)}?offset=-1`)).status, 404)
    assert.equal((await put(at("a"))).status, 201)
  }))

const PATH = "/v1/stream/s"

test("status faults answer as often as they say, then the server is itself", () =>
  running({}, async (server, at) => {
    await put(at())
    server.injectFault(PATH, { status: 503, count: 2, retryAfter: 4 })
    for (let n = 0; n < 2; n++) {
      const answer = await fetch(`${at()}?offset=-1`)
      assert.equal(answer.status, 503)
      assert.equal(answer.headers.get("retry-after"), "4")
    }
    assert.equal((await fetch(`${at()}?offset=-1`)).status, 200)
    server.injectError(PATH, 500)
    assert.equal((await fetch(`${at()}?offset=-1`)).status, 500)
    assert.equal((await fetch(`${at()}?offset=-1`)).status, 200)
  }))

test("faults may wait for a method, and can be cleared", () =>
  running({}, async (server, at) => {
    await put(at())
    server.injectFault(PATH, { status: 500, count: 100, method: "POST" })
    assert.equal((await fetch(`${at()}?offset=-1`)).status, 200)
    assert.equal((await post(at(), "[1]")).status, 500)
    server.clearInjectedFaults()
    assert.equal((await post(at(), "[1]")).ok, true)
  }))

test("dropped connections, delays, cut and spoilt bodies", () =>
  running({}, async (server, at) => {
    await put(at())
    await post(at(), JSON.stringify(["x".repeat(500)]))
    server.injectFault(PATH, { dropConnection: true })
    assert.equal((await failure(fetch(`${at()}?offset=-1`))) instanceof TypeError, true)
    server.injectFault(PATH, { delayMs: 300 })
    const started = performance.now()
    await (await fetch(`${at()}?offset=-1`)).text()
    assert.equal(performance.now() - started >= 290, true)
    server.injectFault(PATH, { truncateBodyBytes: 5 })
    assert.equal((await (await fetch(`${at()}?offset=-1`)).arrayBuffer()).byteLength, 5)
    server.injectFault(PATH, { corruptBody: true })
    assert.notEqual(await (await fetch(`${at()}?offset=-1`)).text(), JSON.stringify(["x".repeat(500)]))
  }))

test("an SSE event of the test's own", () =>
  running({}, async (server, at) => {
    await put(at())
    server.injectFault(PATH, { injectSseEvent: { eventType: "odd", data: "hello" } })
    const answer = await fetch(`${at()}?offset=-1&live=sse`)
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader()
    let text = ""
    while (!text.includes("\n\n")) text += (await reader.read()).value
    assert.match(text, /^event: ?odd\ndata: ?hello\n\n/)
    await reader.cancel()
  }))

test("a fault that names nothing to do is refused", () =>
  running({}, async (server) => {
    assert.equal((await failure(async () => server.injectFault(PATH, {}))) instanceof Error, true)
  }))

test("compression is on, and off when told so", async () => {
  const big = JSON.stringify(["x".repeat(100_000)])
  for (const compression of [true, false]) {
    await running({ compression }, async (_, at) => {
      await put(at())
      await post(at(), big)
      const answer = await fetch(`${at()}?offset=-1`, { headers: { "accept-encoding": "gzip" } })
      assert.equal(answer.headers.get("content-encoding"), compression ? "gzip" : null)
      assert.equal(await answer.text(), big)
    })
  }
})

test("cursors follow interval and epoch", () =>
  running({ cursorIntervalSeconds: 1000, cursorEpoch: new Date(Date.now() - 5_500_000) }, async (_, at) => {
    await put(at())
    await post(at(), "[1]")
    const answer = await fetch(`${at()}?offset=-1&live=long-poll`)
    assert.equal(answer.headers.get("stream-cursor"), "5")
  }))

/** The properties an interface of a declaration file has. */
function declared(name) {
  const folder = dirname(createRequire(import.meta.url).resolve("@durable-streams/server"))
  const text = readFileSync(join(folder, "subscriptions.d.ts"), "utf8")
  const [, base, body] = new RegExp(`interface ${name} (?:extends (\\w+) )?{\\n([^]*?)\\n}`).exec(text)
  const own = [...body.matchAll(/^ {4}(\w+)\??:/gm)].map(([, property]) => property)
  return [...(base === undefined ? [] : declared(base)), ...own].sort()
}
const namesOf = (object) => Object.keys(object).sort()

test("webhooks reach this process, and what they say has the declared properties", async () => {
  const hook = await startWire((request, response) => response.writeHead(200, { "content-type": "application/json" }).end('{"done":true}'))
  await running({ webhooks: true }, async (server) => {
    const request = { type: "webhook", pattern: "orders/*", webhook: { url: `${hook.origin}/hook` } }
    const made = await put(`${server.url}/v1/stream/__ds/subscriptions/billing`, "application/json", JSON.stringify(request))
    assert.equal(made.status, 201)
    const subscription = await made.json()
    assert.deepEqual(namesOf(subscription), declared("Subscription"))
    assert.deepEqual(namesOf(subscription.webhook), declared("SubscriptionWebhook"))
    await put(`${server.url}/v1/stream/orders/1`)
    await post(`${server.url}/v1/stream/orders/1`, "[1]")
    const [told] = await hook.arrived(1)
    const body = JSON.parse(told.body)
    assert.deepEqual(namesOf(body), declared("WebhookRequest"))
    assert.deepEqual(namesOf(body.streams[0]), declared("WokenStream"))
    assert.deepEqual([body.subscription_id, body.streams[0].path, body.streams[0].has_pending], ["billing", "orders/1", true])
  })
  await hook.stop()
})

test("a wake stream's events have the declared properties", () =>
  running({ webhooks: true }, async (server) => {
    await put(`${server.url}/v1/stream/wakes`)
    const request = { type: "pull-wake", streams: ["jobs/1"], wake_stream: "wakes" }
    const made = await put(`${server.url}/v1/stream/__ds/subscriptions/work`, "application/json", JSON.stringify(request))
    assert.deepEqual(namesOf((await made.json()).streams[0]), declared("SubscribedStream"))
    await put(`${server.url}/v1/stream/jobs/1`)
    await post(`${server.url}/v1/stream/jobs/1`, "[1]")
    const [event] = await (await fetch(`${server.url}/v1/stream/wakes?offset=-1&live=long-poll`)).json()
    assert.deepEqual(namesOf(event), declared("WakeEvent"))
    assert.deepEqual([event.type, event.subscription_id, event.stream], ["wake", "work", "jobs/1"])
  }))

test("several servers at once are separate", () =>
  running({}, (_, one) =>
    running({}, async (__, two) => {
      await put(one())
      assert.equal((await fetch(`${two()}?offset=-1`)).status, 404)
    }),
  ))

test("twenty times started and stopped leaves no thread and no descriptor behind", async () => {
  const { lines, code, stderr } = await runScript(
    `
    import { readdirSync } from "node:fs"
    import { DurableStreamTestServer } from "@durable-streams/server"
    const counts = []
    for (let n = 0; n < 21; n++) {
      const server = new DurableStreamTestServer({ port: 0 })
      const url = await server.start()
      await fetch(url + "/v1/stream/a", { method: "PUT", headers: { connection: "close" } })
      await server.stop()
      if (n === 0 || n === 20) counts.push([readdirSync("/proc/self/task").length, readdirSync("/proc/self/fd").length])
    }
    console.log(JSON.stringify(counts))
  `,
  )
  assert.equal(code, 0, stderr)
  const [[threads, descriptors], [threadsAfter, descriptorsAfter]] = JSON.parse(lines[0])
  assert.equal(threadsAfter <= threads + 1, true, `${threads} threads, then ${threadsAfter}`)
  assert.equal(descriptorsAfter <= descriptors + 3, true, `${descriptors} descriptors, then ${descriptorsAfter}`)
})

test("a running server keeps the process alive; a stopped one does not", async () => {
  const running = await runScript(
    `
    import { DurableStreamTestServer } from "@durable-streams/server"
    const server = new DurableStreamTestServer({ port: 0 })
    console.log(await server.start())
  `,
    {
      onLine: async (line, child) => {
        // It answers although its program has nothing left to do.
        const answer = await fetch(`${line}/v1/stream/a`, { method: "PUT" })
        child.kill(answer.status === 201 ? "SIGTERM" : "SIGKILL")
      },
    },
  )
  assert.equal(running.signal, "SIGTERM")
  const stopped = await runScript(`
    import { DurableStreamTestServer } from "@durable-streams/server"
    const server = new DurableStreamTestServer({ port: 0 })
    await server.start()
    await server.stop()
  `)
  assert.deepEqual([stopped.code, stopped.timedOut], [0, false])
})
