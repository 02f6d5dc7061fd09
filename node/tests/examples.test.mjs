// The examples run, and do what they say: relays resume, the model's answer survives a lost connection, the page shows
// what is written while it is open, in a real browser.
import { spawn } from "node:child_process"
import { createServer, connect } from "node:net"
import { createInterface } from "node:readline"
import { fileURLToPath } from "node:url"
import { DurableStream } from "@durable-streams/client"
import { chromium } from "playwright-core"
import { assert, deferred } from "./lib/assert.mjs"
import { startServer } from "./lib/server.mjs"
import { after, before, test } from "./lib/test.mjs"

const examples = fileURLToPath(new URL("../examples/", import.meta.url))
const json = "application/json"
let server
let browser
// Also those of tests that failed.
const children = new Set()
before(async () => {
  server = await startServer()
  browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: ["--no-sandbox", "--disable-gpu"] })
})
after(async () => {
  for (const child of children) child.kill("SIGKILL")
  await browser?.close()
  await server.stop()
})

/** Starts an example and waits for the line that says where it listens. */
async function start(script, env = {}) {
  const child = spawn(process.execPath, [examples + script], {
    env: { ...process.env, STREAMS: `${server.origin}/v1/stream`, ...env },
    stdio: ["ignore", "pipe", "inherit"],
  })
  children.add(child)
  const line = await new Promise((resolve, reject) => {
    createInterface({ input: child.stdout }).once("line", resolve)
    child.once("exit", (code) => reject(new Error(`${script} ended with ${code}`)))
  })
  const stop = () => {
    const ended = new Promise((resolve) => child.once("exit", resolve))
    child.kill("SIGKILL")
    return ended
  }
  return { origin: /http:\S+/.exec(line)[0], stop }
}

const created = async () => DurableStream.create({ url: server.url("example"), contentType: json })
const nameOf = (handle) => handle.url.split("/").at(-1)

/** Reads events of an SSE answer until there are enough messages; tells the last id. */
async function listen(url, count, lastEventId) {
  const answer = await fetch(url, { headers: lastEventId === undefined ? {} : { "last-event-id": lastEventId } })
  assert.equal(answer.status, 200)
  assert.match(answer.headers.get("content-type"), /^text\/event-stream\b/)
  const messages = []
  let id
  let text = ""
  for await (const piece of answer.body.pipeThrough(new TextDecoderStream())) {
    text += piece
    for (let end = text.indexOf("\n\n"); end >= 0; end = text.indexOf("\n\n")) {
      const fields = Object.fromEntries(text.slice(0, end).split("\n").map((line) => line.split(/: (.*)/s)))
      text = text.slice(end + 2)
      if (fields.event === "batch") messages.push(...JSON.parse(fields.data))
      if (fields.event === "end") return { messages, id, ended: true }
      id = fields.id ?? id
    }
    if (messages.length >= count) break
  }
  return { messages, id, ended: false }
}

for (const script of ["relay/express.mjs", "relay/hono.mjs"]) {
  test(`${script} relays, resumes after the last id, ends with the stream`, async () => {
    const relay = await start(script)
    const handle = await created()
    const url = `${relay.origin}/events/${nameOf(handle)}`
    await handle.append("1")
    await handle.append("2")
    const first = await listen(url, 2)
    assert.deepEqual(first.messages, [1, 2])
    const later = listen(url, 1, first.id)
    await handle.append("3")
    const second = await later
    assert.deepEqual(second.messages, [3])
    await handle.append("4")
    await handle.close()
    assert.deepEqual(await listen(url, 99, second.id), { messages: [4], id: (await handle.head()).offset, ended: true })
    const missing = await fetch(`${relay.origin}/events/missing`)
    assert.equal(missing.status, 404)
    await relay.stop()
  })

  test(`${script} hangs up when the browser does`, async () => {
    // Between relay and server, to see its connections come and go.
    const live = new Set()
    const came = deferred()
    const gone = deferred()
    const between = createServer((socket) => {
      const through = connect(server.port, "127.0.0.1")
      socket.on("data", (data) => {
        if (data.includes("live=sse")) {
          live.add(socket)
          came.resolve()
        }
      })
      socket.pipe(through).pipe(socket)
      for (const end of [socket, through]) end.on("error", () => {})
      socket.on("close", () => {
        through.destroy()
        if (live.delete(socket)) gone.resolve()
      })
    })
    await new Promise((resolve) => between.listen(0, "127.0.0.1", resolve))
    const relay = await start(script, { STREAMS: `http://127.0.0.1:${between.address().port}/v1/stream` })
    const handle = await created()
    const leaving = new AbortController()
    const answer = await fetch(`${relay.origin}/events/${nameOf(handle)}`, { signal: leaving.signal })
    await came.promise
    assert.equal(answer.status, 200)
    leaving.abort()
    await gone.promise
    await relay.stop()
    await new Promise((resolve) => between.close(resolve))
  })
}

test("tokens/tokens.mjs: the answer survives a lost connection", async () => {
  for (const env of [{ STREAMS: `${server.origin}/v1/stream` }, { STREAMS: undefined }]) {
    const child = spawn(process.execPath, [`${examples}tokens/tokens.mjs`, "what is left?"], { env: { ...process.env, ...env }, stdio: ["ignore", "pipe", "inherit"] })
    let out = ""
    child.stdout.on("data", (piece) => (out += piece))
    const code = await new Promise((resolve) => child.once("close", resolve))
    assert.equal(code, 0)
    const [left, ...answer] = out.trimEnd().split("\n")
    assert.match(left, /^\[left after [1-9]\d* characters\]$/)
    assert.equal(answer.join("\n"), "You asked: what is left?\nStreams that last outlive the connection that reads them. \u{1f30a}")
  }
})

const lines = (page) => page.locator("li").allTextContents()
const shows = (page, count) => page.waitForFunction((count) => document.querySelectorAll("li").length === count, count)

test("the page shows what is there, then what comes, then that the stream is closed", async () => {
  const site = await start("react/server.mjs")
  const handle = await created()
  await handle.append({ text: "early" })
  const page = await browser.newPage()
  const problems = []
  page.on("pageerror", (error) => problems.push(error))
  await page.goto(`${site.origin}/?stream=${nameOf(handle)}`)
  await shows(page, 1)
  for (let n = 0; n < 20; n++) await handle.append({ text: `later ${n}` })
  await shows(page, 21)
  assert.deepEqual(await lines(page), ["early", ...Array.from({ length: 20 }, (_, n) => `later ${n}`)])
  assert.equal(await page.textContent("#state"), "open")
  await handle.close()
  await page.waitForFunction(() => document.querySelector("#state").textContent === "closed")
  assert.deepEqual(problems, [])
  await page.close()
  await site.stop()
})

test("the page goes on where it was when its connection breaks", async () => {
  const site = await start("react/server.mjs")
  // Between page and relay, to break the connection.
  const sockets = new Set()
  const between = createServer((socket) => {
    const through = connect(Number(new URL(site.origin).port), "127.0.0.1")
    sockets.add(socket)
    socket.pipe(through).pipe(socket)
    for (const end of [socket, through]) end.on("error", () => {}).on("close", () => (socket.destroy(), through.destroy()))
  })
  await new Promise((resolve) => between.listen(0, "127.0.0.1", resolve))
  const handle = await created()
  for (let n = 0; n < 3; n++) await handle.append({ text: String(n) })
  const page = await browser.newPage()
  await page.goto(`http://127.0.0.1:${between.address().port}/?stream=${nameOf(handle)}`)
  await shows(page, 3)
  for (let round = 1; round <= 3; round++) {
    for (const socket of sockets) socket.destroy()
    sockets.clear()
    await handle.append({ text: String(2 + round) })
    await shows(page, 3 + round)
  }
  assert.deepEqual(await lines(page), ["0", "1", "2", "3", "4", "5"])
  await page.close()
  between.close()
  await site.stop()
})

test("the page says when there is no such stream", async () => {
  const site = await start("react/server.mjs")
  const page = await browser.newPage()
  await page.goto(`${site.origin}/?stream=missing`)
  await page.waitForSelector("#error")
  await page.close()
  await site.stop()
})
