import { DurableStream } from "@durable-streams/client"
export default {
  async fetch(request: Request, env: Env): Promise<Response> {
    // Create a stream
    const stream = await DurableStream.create({
      url: `${env.STREAM_URL}/v1/stream/events`,
      headers: {
        Authorization: `Bearer ${env.STREAM_TOKEN}`,
      },
      contentType: "application/json",
    })
    // Append event
    await stream.append({
      type: "request",
      path: new URL(request.url).pathname,
      timestamp: Date.now(),
    })
    return new Response("Event logged")
  },
}
