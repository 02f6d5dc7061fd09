"""Reads: events until one of the rules of the adapter protocol, section 2.4, says stop."""

import base64
import contextlib

from outcome import success

MAX_CHUNKS = 100
TIMEOUT_MS = 5000


class Collected:
    """What a read has collected."""

    def __init__(self, command):
        self.chunks = []
        self.status = 200
        self.offset = command.get("offset", "-1")
        # If nothing ever arrives, there is nothing the reader is behind of.
        self.up_to_date = True
        self.stream_closed = False
        self.cursor = None


async def read(session, command):
    """One read, or `readers` of the same at once."""
    if "readers" not in command:
        return await one_read(session, command)
    results = await session.mode.together(command["readers"], lambda: one_read(session, command))
    return success("read", results=results)


async def one_read(session, command):
    sent = session.sent(command)
    stream = session.stream(command, sent)
    collected = Collected(command)
    opened = []
    try:
        with session.mode.at_most(command.get("timeoutMs", TIMEOUT_MS) / 1000, opened):
            await collect(session, stream, command, collected, opened)
    finally:
        # Ends what is still open before the answer is written.
        for response in opened:
            await session.mode.release(response)
    return success(
        "read",
        status=collected.status,
        chunks=collected.chunks,
        offset=collected.offset,
        upToDate=collected.up_to_date,
        streamClosed=collected.stream_closed,
        cursor=collected.cursor,
        **sent.fields(),
    )


async def collect(session, stream, command, collected, opened):
    opening = stream.stream(
        offset=command.get("offset"),
        live=command.get("live", False),
        cursor=command.get("cursor"),
        if_none_match=command.get("ifNoneMatch"),
    )
    response = await session.mode.settle(opening)
    opened.append(response)
    max_chunks = command.get("maxChunks", MAX_CHUNKS)
    events = session.mode.items(response.iter_events(mode=mode_of(response)))
    async with contextlib.aclosing(events):
        async for event in events:
            if event.data and event.data != "[]":
                collected.chunks.append(chunk(event))
            collected.status = response.status
            collected.offset = event.next_offset
            collected.up_to_date = event.up_to_date
            collected.stream_closed = response.stream_closed
            collected.cursor = event.cursor
            is_caught_up = command.get("waitForUpToDate") and event.up_to_date
            if len(collected.chunks) >= max_chunks or is_caught_up or response.stream_closed:
                break


def mode_of(response):
    """JSON as text, verbatim; everything else may be any bytes, whatever its type says."""
    media_type = (response.content_type or "").split(";")[0].strip().lower()
    return "text" if media_type == "application/json" else "bytes"


def chunk(event):
    data = event.data
    if isinstance(data, str):
        return {"data": data, "offset": event.next_offset}
    try:
        return {"data": data.decode(), "offset": event.next_offset}
    except UnicodeDecodeError:
        return {"data": base64.b64encode(data).decode(), "offset": event.next_offset, "binary": True}
