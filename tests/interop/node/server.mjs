// The official Node server on disk: node server.mjs --host H --port P --data-dir D
import { parseArgs } from "node:util"
import { DurableStreamTestServer } from "@durable-streams/server"

const { values } = parseArgs({
  options: { host: { type: "string" }, port: { type: "string" }, "data-dir": { type: "string" } },
})
const server = new DurableStreamTestServer({
  host: values.host,
  port: Number(values.port),
  dataDir: values["data-dir"],
  longPollTimeout: 1000,
  webhooks: true,
})
await server.start()
