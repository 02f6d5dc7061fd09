"""A web service in front of durable streams: browsers post messages and follow rooms over SSE.

The browser's `EventSource` reconnects by itself and sends the id of the last event it got. That
id is the stream's offset, so it goes on exactly where it was, whichever worker answers.
"""

import json
import os
import typing

from fastapi import FastAPI, Request
from fastapi.responses import StreamingResponse

from durable_streams import AsyncDurableStream

STREAMS = os.environ.get("DURABLE_STREAMS_URL", "http://localhost:4437/v1/stream")

app = FastAPI(title="Relay")


def room_stream(room: str) -> AsyncDurableStream:
    return AsyncDurableStream(f"{STREAMS}/rooms/{room}", content_type="application/json")


@app.post("/rooms/{room}/messages", status_code=201)
async def post_message(room: str, request: Request) -> dict[str, str]:
    """Stores a message; the answer comes when it is on the server's disk."""
    stream = room_stream(room)
    # Creating a stream that is there already changes nothing.
    await stream.create_stream(content_type="application/json")
    appended = await stream.append(await request.json())
    return {"id": appended.next_offset}


@app.get("/rooms/{room}/events")
async def events(room: str, request: Request) -> StreamingResponse:
    """Everything in the room from the browser's last event on, then whatever comes."""
    last_event_id = request.headers.get("last-event-id", "-1")
    stream = room_stream(room)
    await stream.create_stream(content_type="application/json")

    async def relay() -> typing.AsyncIterator[str]:
        # When the browser leaves, this task is cancelled, and with it the request to the server.
        async with stream.stream(offset=last_event_id, live=True) as res:
            async for event in res.iter_events(mode="json_batches"):
                # One event per batch: the offset behind it is the id from which to go on.
                if event.data:
                    yield f"id: {event.next_offset}\ndata: {json.dumps(event.data)}\n\n"

    return StreamingResponse(relay(), media_type="text/event-stream", headers={"Cache-Control": "no-store"})
