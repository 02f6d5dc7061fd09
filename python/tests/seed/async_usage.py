import asyncio
from durable_streams import AsyncDurableStream, IdempotentProducer
import json

async def main():
    # Create stream
    stream = await AsyncDurableStream.create(
        "https://your-server.com/v1/stream/events",
        content_type="application/json",
    )

    # Create idempotent producer
    producer = IdempotentProducer(
        stream,
        producer_id="event-processor-1",
        auto_claim=True,
        linger_ms=5,
    )

    # Fire-and-forget writes
    events = [{"type": "click"}, {"type": "scroll"}]
    for event in events:
        producer.append_nowait(json.dumps(event))

    # Ensure delivery
    await producer.flush()
    await producer.close()

asyncio.run(main())
