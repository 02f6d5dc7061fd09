import { DurableStream, IdempotentProducer } from "@durable-streams/client"
// Create a stream
const stream = await DurableStream.create({
  url: "https://your-server.com/v1/stream/my-stream",
  contentType: "application/json",
})
// Write with idempotent producer
const producer = new IdempotentProducer(stream, "my-service-1", {
  autoClaim: true,
})
for (const event of events) {
  producer.append(JSON.stringify(event))
}
await producer.flush()
await producer.close()
// Read the stream
const res = await stream.stream({ live: false })
const items = await res.json()
console.log(items)
