import { DurableStream } from "npm:@durable-streams/client"
const stream = await DurableStream.create({
  url: "http://localhost:4437/v1/stream/my-stream",
  contentType: "application/json",
})
await stream.append({ message: "hello from Deno" })
const res = await stream.stream({ live: false })
const items = await res.json()
console.log(items)
