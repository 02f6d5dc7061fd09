// A server that answers what a test says and records what it was asked: for everything a right server does not do.
import { createServer } from "node:http"
import { once } from "node:events"
import { after } from "node:test"

// A test that fails leaves its server behind, which would keep the file from ending.
const open = new Set()
after(() => {
  for (const server of open) {
    server.closeAllConnections()
    server.close()
  }
})

/**
 * `answer(request, response, n)` is called for the n-th request, from 0. A `request` has `body` as text.
 * `seen` holds them; `arrived(n)` waits until there are n.
 */
export async function startWire(answer) {
  const seen = []
  const waiting = []
  const server = createServer(async (request, response) => {
    const pieces = []
    request.on("error", () => {})
    response.on("error", () => {})
    try {
      for await (const piece of request) pieces.push(piece)
    } catch {
      return
    }
    request.body = Buffer.concat(pieces).toString()
    request.query = new URL(request.url, "http://wire").searchParams
    request.gone = new Promise((resolve) => response.once("close", () => resolve(!response.writableFinished)))
    seen.push(request)
    for (const [count, resolve] of waiting) if (seen.length >= count) resolve(seen)
    await answer(request, response, seen.length - 1)
  })
  open.add(server)
  server.listen(0, "127.0.0.1")
  await once(server, "listening")
  const origin = `http://127.0.0.1:${server.address().port}`
  return {
    origin,
    url: `${origin}/v1/stream/scripted`,
    seen,
    arrived: (count) => (seen.length >= count ? Promise.resolve(seen) : new Promise((resolve) => waiting.push([count, resolve]))),
    stop: () => {
      open.delete(server)
      server.closeAllConnections()
      return new Promise((resolve) => server.close(resolve))
    },
  }
}

/** Headers of a read's answer. */
export const readHeaders = (offset, { type = "text/plain", upToDate = true, closed = false, ...more } = {}) => ({
  "content-type": type,
  "stream-next-offset": offset,
  ...(upToDate ? { "stream-up-to-date": "true" } : {}),
  ...(closed ? { "stream-closed": "true" } : {}),
  ...more,
})

/** The SSE events of one batch. */
export const sseBatch = (data, offset, { cursor = "1", upToDate = true, closed = false } = {}) => {
  const control = { streamNextOffset: offset, streamCursor: cursor, upToDate }
  if (closed) control.streamClosed = true
  const lines = data === undefined ? "" : `event: data\n${data.split("\n").map((line) => `data:${line}\n`).join("")}\n`
  return `${lines}event: control\ndata:${JSON.stringify(control)}\n\n`
}
