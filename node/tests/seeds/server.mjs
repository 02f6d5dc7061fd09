import { DurableStreamTestServer } from "@durable-streams/server"
const server = new DurableStreamTestServer({
  port: 4437,
  host: "127.0.0.1",
})
await server.start()
console.log(`Server running on ${server.baseUrl}`)
