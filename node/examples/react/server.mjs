// Serves the page and relays its streams: GET /?stream=NAME.
import { fileURLToPath } from "node:url"
import { build } from "esbuild"
import { listen, relay } from "../relay/hono.mjs"
import { streamsUrl } from "../streams.mjs"

const PAGE = '<!doctype html><meta charset="utf-8"><title>Stream</title><div id="root"></div><script type="module" src="/page.js"></script>'

const bundle = await build({
  entryPoints: [fileURLToPath(new URL("page.mjs", import.meta.url))],
  bundle: true,
  format: "esm",
  write: false,
  define: { "process.env.NODE_ENV": '"development"' },
})
const streams = await streamsUrl()
const app = relay(streams)
app.get("/", (context) => context.html(PAGE))
app.get("/page.js", (context) => context.body(bundle.outputFiles[0].text, 200, { "content-type": "text/javascript" }))
listen(app, `shows ${streams}`)
