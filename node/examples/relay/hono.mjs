// The relay as a Hono application: GET /events/NAME.
import { fileURLToPath } from "node:url"
import { serve } from "@hono/node-server"
import { Hono } from "hono"
import { stream } from "hono/streaming"
import { streamsUrl } from "../streams.mjs"
import { events, statusOf } from "./relay.mjs"

/** An application that relays the streams below a URL. */
export function relay(streams) {
  const app = new Hono()
  app.get("/events/:name", async (context) => {
    const gone = new AbortController()
    const pieces = events(`${streams}/${encodeURIComponent(context.req.param("name"))}`, context.req.header("last-event-id"), gone.signal)
    let first
    try {
      // Before the status is sent: a stream that is not there is a 404 here, too.
      first = await pieces.next()
    } catch (error) {
      return context.text(String(error.message), statusOf(error))
    }
    context.header("content-type", "text/event-stream")
    context.header("cache-control", "no-cache")
    return stream(context, async (body) => {
      body.onAbort(() => gone.abort())
      for (let piece = first; !piece.done; piece = await pieces.next()) await body.write(piece.value)
    })
  })
  return app
}

/** Serves an application on `PORT`, or on a port that is free, and says where. */
export function listen(app, does) {
  serve({ fetch: app.fetch, hostname: "127.0.0.1", port: Number(process.env.PORT ?? 0) }, ({ port }) => {
    console.log(`http://127.0.0.1:${port} ${does}`)
  })
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const streams = await streamsUrl()
  listen(relay(streams), `relays ${streams}`)
}
