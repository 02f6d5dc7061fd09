// From CommonJS.
import client = require("@durable-streams/client")
import server = require("@durable-streams/server")

export const handle: client.DurableStream = new client.DurableStream({ url: "http://localhost:4437/v1/stream/a" })
export const running: Promise<string> = new server.DurableStreamTestServer({ port: 0 }).start()
export const code = (error: client.DurableStreamError): "NOT_FOUND" | undefined => (error.code === "NOT_FOUND" ? error.code : undefined)
