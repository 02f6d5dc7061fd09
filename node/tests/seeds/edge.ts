import { DurableStream } from "@durable-streams/client"
export const config = {
  runtime: "edge",
}
export default async function handler(req: Request) {
  const stream = new DurableStream({
    url: process.env.STREAM_URL!,
    headers: {
      Authorization: `Bearer ${process.env.STREAM_TOKEN}`,
    },
  })
  await stream.append({
    event: "page_view",
    path: new URL(req.url).pathname,
  })
  return new Response("OK")
}
