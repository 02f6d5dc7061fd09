"""Idempotent producers: one is kept per path, id and epoch, so that its numbers go on."""

from outcome import success

# Longer than any batch takes to fill: only the flush sends it.
LONG_LINGER_MS = 60_000


async def append(session, command):
    producer = kept(session, command)
    producer.append(command["data"])
    acknowledged = await session.mode.settle(producer.flush())
    return success(
        "idempotent-append",
        status=200,
        offset=acknowledged.offset,
        duplicate=acknowledged.duplicate,
        producerEpoch=acknowledged.epoch,
        producerSeq=acknowledged.seq,
    )


async def append_batch(session, command):
    most = command.get("maxInFlight", 1)
    if most > 1:
        options = {"max_in_flight": most, "max_batch_items": 1, "linger_ms": 0}
    else:
        options = {"max_in_flight": 1, "linger_ms": LONG_LINGER_MS}
    producer = opened(session, command, **options)
    try:
        for item in command["items"]:
            producer.append(item)
        last = await session.mode.settle(producer.flush())
    finally:
        await session.mode.settle(producer.detach())
    return success(
        "idempotent-append-batch",
        status=200,
        duplicate=last.duplicate,
        producerEpoch=last.epoch,
        producerSeq=last.seq,
    )


async def close(session, command):
    producer = kept(session, command)
    closed = await session.mode.settle(producer.close_stream(command.get("data")))
    return success("idempotent-close", status=200, finalOffset=closed.offset)


async def detach(session, command):
    producer = session.producers.pop(key(command), None)
    if producer is not None:
        await session.mode.settle(producer.detach())
    return success("idempotent-detach", status=200)


async def restart(session, command):
    """Starts the producer's next epoch; it stays under the epoch it was named with."""
    producer = kept(session, command)
    await session.mode.settle(producer.restart())
    return success("idempotent-restart", status=200, producerEpoch=producer.epoch)


def kept(session, command):
    if key(command) not in session.producers:
        session.producers[key(command)] = opened(session, command, max_in_flight=1, linger_ms=0)
    return session.producers[key(command)]


def opened(session, command, **options):
    return session.mode.producer_class(
        session.stream(command),
        command["producerId"],
        epoch=command.get("epoch", 0),
        auto_claim=command.get("autoClaim", False),
        **options,
    )


def key(command):
    return command["path"], command["producerId"], command.get("epoch", 0)
