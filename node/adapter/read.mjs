// Reads: batches until one of the kit's rules says stop.
const MAX_CHUNKS = 100
const TIMEOUT_MS = 5000

/** One read, or `readers` of the same at once. */
export async function read(session, command) {
  if (command.readers === undefined) return readOne(session, command)
  const reads = Array.from({ length: command.readers }, () => readOne(session, command))
  const outcomes = await Promise.allSettled(reads)
  const failed = outcomes.find(({ status }) => status === "rejected")
  if (failed !== undefined) throw failed.reason
  return { type: "read", success: true, results: outcomes.map(({ value }) => value) }
}

async function readOne(session, command) {
  const collected = {
    chunks: [],
    status: 200,
    offset: command.offset ?? "-1",
    // If nothing ever arrives, there is nothing the reader is behind of.
    upToDate: true,
    streamClosed: false,
    cursor: undefined,
  }
  const { stream, tell } = session.dynamicStream(command)
  const limit = new AbortController()
  const timer = setTimeout(() => limit.abort(), command.timeoutMs ?? TIMEOUT_MS)
  try {
    await collect(stream, command, collected, limit.signal)
  } catch (error) {
    // Running out of time ends a read; that is no error of the client.
    if (!limit.signal.aborted) throw error
  } finally {
    clearTimeout(timer)
    // Ends what is still open before the answer is written.
    limit.abort()
  }
  return { type: "read", success: true, ...collected, ...tell() }
}

async function collect(stream, command, collected, signal) {
  const response = await stream.stream({
    offset: command.offset,
    live: command.live ?? false,
    cursor: command.cursor,
    ifNoneMatch: command.ifNoneMatch,
    signal,
  })
  const most = command.maxChunks ?? MAX_CHUNKS
  for await (const batch of response.batches()) {
    if (!batch.isEmpty) collected.chunks.push(chunk(batch))
    collected.status = batch.status
    collected.offset = batch.offset
    collected.upToDate = batch.upToDate
    collected.streamClosed = batch.streamClosed
    collected.cursor = batch.cursor
    const isCaughtUp = command.waitForUpToDate === true && batch.upToDate
    if (collected.chunks.length >= most || isCaughtUp || batch.streamClosed) break
  }
}

function chunk({ data, offset }) {
  try {
    return { data: new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(data), offset }
  } catch {
    return { data: Buffer.from(data).toString("base64"), offset, binary: true }
  }
}
