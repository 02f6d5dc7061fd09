// The examples of the installation page run as printed: in Node, Bun and Deno.
import { spawn } from "node:child_process"
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { fileURLToPath } from "node:url"
import { assert } from "./lib/assert.mjs"
import { startServer } from "./lib/server.mjs"
import { after, before, test } from "./lib/test.mjs"
import { tool } from "./lib/tools.mjs"

const here = fileURLToPath(new URL(".", import.meta.url))
// Beside the installed packages, where each runtime looks for them.
const work = `${here}seeds-${process.pid}/`
const RUNTIMES = {
  node: [process.execPath],
  bun: [tool(".bin/bun"), "run"],
  deno: [tool(".bin/deno"), "run", "--allow-all", "--node-modules-dir=manual"],
}
const PRINTED_URL = /https?:\/\/(your-server\.com|localhost:4437)\/v1\/stream\/my-stream/

let server
before(async () => {
  server = await startServer()
  mkdirSync(work)
})
after(async () => {
  rmSync(work, { recursive: true })
  await server.stop()
})

const stored = async (url) => (await fetch(`${url}?offset=-1`)).json()

/** Writes a file and runs it; resolves with what it printed. */
async function run(runtime, name, text, { env = {}, onLine } = {}) {
  const file = `${work}${runtime}-${name}`
  writeFileSync(file, text)
  const [program, ...args] = RUNTIMES[runtime]
  const child = spawn(program, [...args, file], { cwd: here, env: { ...process.env, ...env }, stdio: ["ignore", "pipe", "pipe"] })
  let out = ""
  let errors = ""
  child.stdout.on("data", (piece) => {
    out += piece
    if (out.includes("\n")) onLine?.(out, child)
  })
  child.stderr.on("data", (piece) => (errors += piece))
  const [code, signal] = await new Promise((resolve) => child.once("close", (...how) => resolve(how)))
  if (onLine === undefined) assert.equal(code, 0, `${code ?? signal}: ${out}${errors}`)
  return out
}

const example = (name, url) => {
  const text = readFileSync(`${here}seeds/${name}`, "utf8")
  assert.equal(PRINTED_URL.test(text), true)
  return text.replace(PRINTED_URL, url)
}

const EVENTS = [{ type: "click", n: 1 }, { type: "scroll", n: 2 }, { type: "key", n: 3 }]

for (const runtime of Object.keys(RUNTIMES)) {
  test(`the usage example in ${runtime}`, async () => {
    const url = server.url()
    const out = await run(runtime, "usage.mjs", `const events = ${JSON.stringify(EVENTS)}\n${example("node.mjs", url)}`)
    assert.deepEqual(await stored(url), EVENTS)
    for (const word of ["click", "scroll", "key"]) assert.equal(out.includes(word), true)
    // `close` there ends the stream.
    assert.equal((await fetch(url, { method: "HEAD" })).headers.get("stream-closed"), "true")
  })
}

test("the Deno example", async () => {
  const url = server.url()
  const out = await run("deno", "example.ts", example("deno.ts", url))
  assert.equal(out.includes("hello from Deno"), true)
  assert.deepEqual(await stored(url), [{ message: "hello from Deno" }])
})

test("the Bun example", async () => {
  const url = server.url()
  const out = await run("bun", "example.ts", example("bun.ts", url))
  assert.equal(out.includes("hello from Bun"), true)
  assert.deepEqual(await stored(url), [{ message: "hello from Bun" }])
})

for (const runtime of ["bun", "deno"]) {
  test(`the worker example in ${runtime}`, async () => {
    await fetch(`${server.origin}/v1/stream/events`, { method: "DELETE" })
    writeFileSync(`${work}worker.ts`, readFileSync(`${here}seeds/worker.ts`))
    const caller = `import worker from "./worker.ts"
      const env = { STREAM_URL: ${JSON.stringify(server.origin)}, STREAM_TOKEN: "t" }
      const answer = await worker.fetch(new Request("http://site/some/page"), env)
      console.log(await answer.text())`
    assert.equal((await run(runtime, "call-worker.ts", caller)).trim(), "Event logged")
    const [event] = await stored(`${server.origin}/v1/stream/events`)
    assert.deepEqual([event.type, event.path], ["request", "/some/page"])
  })

  test(`the edge example in ${runtime}`, async () => {
    const url = server.url()
    await fetch(url, { method: "PUT", headers: { "content-type": "application/json" } })
    writeFileSync(`${work}edge.ts`, readFileSync(`${here}seeds/edge.ts`))
    const caller = `import handler from "./edge.ts"
      console.log(await (await handler(new Request("http://site/other"))).text())`
    const out = await run(runtime, "call-edge.ts", caller, { env: { STREAM_URL: url, STREAM_TOKEN: "t" } })
    assert.equal(out.trim(), "OK")
    assert.deepEqual(await stored(url), [{ event: "page_view", path: "/other" }])
  })
}

for (const runtime of Object.keys(RUNTIMES)) {
  test(`the server example in ${runtime}`, async () => {
    const text = readFileSync(`${here}seeds/server.mjs`, "utf8").replace("port: 4437", "port: 0")
    let status
    const out = await run(runtime, "server.mjs", text, {
      onLine: async (line, child) => {
        if (status !== undefined) return
        status = 0
        const origin = /http:\S+/.exec(line)[0]
        status = (await fetch(`${origin}/v1/stream/a`, { method: "PUT" })).status
        child.kill("SIGKILL")
      },
    })
    assert.match(out, /^Server running on http:\/\/127\.0\.0\.1:\d+$/m)
    assert.equal(status, 201)
  })
}
