// The relay as an Express application: GET /events/NAME.
import { once } from "node:events"
import express from "express"
import { streamsUrl } from "../streams.mjs"
import { events, statusOf } from "./relay.mjs"

const streams = await streamsUrl()
const app = express()

app.get("/events/:name", async (request, response) => {
  const gone = new AbortController()
  response.on("close", () => gone.abort())
  try {
    const url = `${streams}/${encodeURIComponent(request.params.name)}`
    for await (const piece of events(url, request.get("last-event-id"), gone.signal)) {
      if (!response.headersSent) response.set({ "content-type": "text/event-stream", "cache-control": "no-cache" }).flushHeaders()
      // A browser that does not keep up holds the stream back, and not our memory up.
      if (!response.write(piece)) await once(response, "drain", { signal: gone.signal })
    }
    response.end()
  } catch (error) {
    if (gone.signal.aborted) return
    if (response.headersSent) response.destroy()
    else response.status(statusOf(error)).send(String(error.message))
  }
})

const listening = app.listen(Number(process.env.PORT ?? 0), "127.0.0.1", () => {
  console.log(`http://127.0.0.1:${listening.address().port} relays ${streams}`)
})
