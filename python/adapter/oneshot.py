"""The operations of one request."""

import base64

import durable_streams as ds
from outcome import success
from session import OCTETS


async def create(session, command):
    stream = session.stream(command)
    options = {
        "content_type": command.get("contentType"),
        "ttl_seconds": command.get("ttlSeconds"),
        "expires_at": command.get("expiresAt"),
        "body": command.get("data"),
        "closed": command.get("closed", False),
        "fork_offset": command.get("forkOffset"),
        "fork_sub_offset": command.get("forkSubOffset"),
    }
    if "forkFrom" in command:
        options["fork_from"] = command["forkFrom"]
    created = await session.mode.settle(stream.create_stream(**options))
    session.learn(command, stream.content_type or command.get("contentType") or OCTETS)
    return success("create", status=created.status, offset=created.next_offset, headers=dict(created.headers))


async def connect(session, command):
    return {**await head(session, command), "type": "connect"}


async def head(session, command):
    found = await session.mode.settle(session.stream(command).head())
    session.learn(command, found.content_type)
    return success(
        "head",
        status=found.status,
        offset=found.offset,
        contentType=found.content_type,
        ttlSeconds=found.ttl_seconds,
        expiresAt=found.expires_at,
        streamClosed=found.stream_closed,
        headers=dict(found.headers),
    )


async def append(session, command):
    sent = session.sent(command)
    stream = session.stream(command, sent)
    claim = {
        "producer_id": command.get("producerId"),
        "producer_epoch": command.get("producerEpoch"),
        "producer_seq": command.get("producerSeq"),
    }
    try:
        appended = await session.mode.settle(stream.append(body(command), seq=command.get("seq"), **claim))
    except (ds.DurableStreamError, ValueError) as problem:
        # What the client refuses itself the server would refuse with 400.
        if getattr(problem, "status", None) is None and getattr(problem, "code", None) == "INVALID_ARGUMENT":
            problem.status = 400
        raise
    claimed = command.get("producerId") is not None
    return success(
        "append",
        status=200,
        offset=appended.next_offset,
        headers=dict(appended.headers),
        duplicate=appended.duplicate if claimed else None,
        producerEpoch=appended.producer_epoch,
        producerSeq=appended.producer_seq,
        **sent.fields(),
    )


async def delete(session, command):
    await session.mode.settle(session.stream(command).delete())
    session.learn(command, None)
    return success("delete", status=200)


async def close(session, command):
    data = body(command) if "data" in command else None
    closing = session.stream(command).close_stream(data=data, content_type=command.get("contentType"))
    closed = await session.mode.settle(closing)
    return success("close", status=200, finalOffset=closed.final_offset or "")


def body(command):
    """The payload: bytes, or text; JSON text stays one message."""
    data = command.get("data", "")
    return base64.b64decode(data) if command.get("binary") else data
