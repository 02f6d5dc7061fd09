// The one-shot operations.
import { Problem, headersOf, success } from "./outcome.mjs"

export async function create(session, command) {
  const stream = session.stream(command)
  await stream.create({
    contentType: command.contentType,
    ttlSeconds: command.ttlSeconds,
    expiresAt: command.expiresAt,
    closed: command.closed,
    body: command.data,
    forkFrom: command.forkFrom,
    forkOffset: command.forkOffset,
    forkSubOffset: command.forkSubOffset,
  })
  const answer = stream.lastResponse
  session.learn(command.path, stream.contentType)
  return success("create", { status: answer.status, offset: answer.offset, headers: headersOf(answer.headers) })
}

export async function connect(session, command) {
  return { ...(await head(session, command)), type: "connect" }
}

export async function head(session, command) {
  const result = await session.stream(command).head()
  // This client tells it as a result, where the kit wants the error.
  if (!result.exists) throw new Problem("NOT_FOUND", `there is no stream ${command.path}`, 404)
  session.learn(command.path, result.contentType)
  return success("head", {
    status: result.status,
    offset: result.offset,
    contentType: result.contentType,
    streamClosed: result.streamClosed,
    ttlSeconds: result.ttlSeconds,
    expiresAt: result.expiresAt,
    etag: result.etag,
    headers: headersOf(result.headers),
  })
}

export async function append(session, command) {
  const body = command.binary ? Buffer.from(command.data, "base64") : command.data
  const { stream, tell } = session.dynamicStream(command)
  try {
    await stream.append(body, {
      seq: command.seq === undefined ? undefined : String(command.seq),
      producerId: command.producerId,
      producerEpoch: command.producerEpoch,
      producerSeq: command.producerSeq,
    })
  } catch (error) {
    // The client refuses locally what the server would refuse with 400.
    if (body.length === 0) error.status ??= 400
    throw error
  }
  const answer = stream.lastResponse
  return success("append", {
    status: 200,
    offset: answer.offset,
    headers: headersOf(answer.headers),
    duplicate: command.producerId === undefined ? undefined : answer.duplicate,
    producerEpoch: answer.producerEpoch,
    producerSeq: answer.producerSeq,
    ...tell(),
  })
}

export async function remove(session, command) {
  const stream = session.stream(command)
  await stream.delete()
  session.learn(command.path, undefined)
  return success("delete", { status: 200, headers: headersOf(stream.lastResponse.headers) })
}

export async function close(session, command) {
  const stream = session.stream(command)
  const { finalOffset } = await stream.close({ body: command.data, contentType: command.contentType })
  return success("close", { status: 200, finalOffset })
}
