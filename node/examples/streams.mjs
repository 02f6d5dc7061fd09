// Where the streams are: `STREAMS`, or a server of this process's own.
export async function streamsUrl() {
  if (process.env.STREAMS !== undefined) return process.env.STREAMS.replace(/\/+$/, "")
  const { DurableStreamTestServer } = await import("@durable-streams/server")
  const server = new DurableStreamTestServer({ port: 0 })
  return `${await server.start()}/v1/stream`
}
