// Idempotent producers: one is kept per path, id and epoch, so that its numbers go on.
import { IdempotentProducer } from "@durable-streams/client"
import { success } from "./outcome.mjs"
import { BACKOFF } from "./session.mjs"

/** A producer repeats more often than a single request: nothing it sends can be stored twice. */
const PRODUCER_BACKOFF = { ...BACKOFF, maxRetries: 10 }
/** Longer than any batch takes to fill: only the flush sends it. */
const LONG_LINGER_MS = 60_000

export async function append(session, command) {
  const producer = kept(session, command)
  producer.append(command.data)
  await producer.flush()
  const { offset, duplicate, epoch, seq } = producer.lastAcknowledged
  return success("idempotent-append", { status: 200, offset, duplicate, producerEpoch: epoch, producerSeq: seq })
}

export async function appendBatch(session, command) {
  const isPipelined = command.maxInFlight > 1
  const producer = build(session, command, {
    maxInFlight: isPipelined ? command.maxInFlight : 1,
    maxBatchItems: isPipelined ? 1 : undefined,
    lingerMs: isPipelined ? 0 : LONG_LINGER_MS,
  })
  try {
    for (const item of command.items) producer.append(item)
    await producer.flush()
  } finally {
    await producer.detach()
  }
  const last = producer.lastAcknowledged
  return success("idempotent-append-batch", {
    status: 200,
    duplicate: last?.duplicate,
    producerEpoch: last?.epoch,
    producerSeq: last?.seq,
  })
}

export async function close(session, command) {
  const { finalOffset } = await kept(session, command).close(command.data)
  return success("idempotent-close", { status: 200, finalOffset })
}

export async function detach(session, command) {
  const producer = session.producers.get(key(command))
  session.producers.delete(key(command))
  await producer?.detach()
  return success("idempotent-detach", { status: 200 })
}

/** Starts the producer's next epoch; it stays under the epoch it was named with. */
export async function restart(session, command) {
  const producer = kept(session, command)
  await producer.restart()
  return success("idempotent-restart", { status: 200, producerEpoch: producer.epoch })
}

function kept(session, command) {
  const known = session.producers.get(key(command))
  if (known !== undefined) return known
  const producer = build(session, command, { maxInFlight: 1, lingerMs: 0 })
  session.producers.set(key(command), producer)
  return producer
}

function build(session, command, numbers) {
  const stream = session.stream(command, { backoffOptions: PRODUCER_BACKOFF })
  const { epoch, autoClaim } = command
  return new IdempotentProducer(stream, command.producerId, { epoch, autoClaim, ...numbers })
}

const key = ({ path, producerId, epoch }) => JSON.stringify([path, producerId, epoch])
