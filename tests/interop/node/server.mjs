// The official Node server on disk: node server.mjs --host H --port P --data-dir D [--long-poll-ms N]
import { parseArgs } from "node:util"
import { DurableStreamTestServer } from "@durable-streams/server"

const { values } = parseArgs({
  options: { host: { type: "string" }, port: { type: "string" }, "data-dir": { type: "string" }, "long-poll-ms": { type: "string" } },
})
const server = new DurableStreamTestServer({
  host: values.host,
  port: Number(values.port),
  dataDir: values["data-dir"],
  longPollTimeout: Number(values["long-poll-ms"] ?? 1000),
  webhooks: true,
})
await server.start()
