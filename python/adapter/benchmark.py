"""Timed work (adapter protocol, section 6)."""

import time

from outcome import NotSupported, success


async def run(session, command):
    work = command["operation"]
    operation = OPERATIONS.get(work["op"])
    if operation is None:
        raise NotSupported(f"there is no benchmark {work['op']!r}")
    stream = session.stream({"path": work["path"]})
    nanoseconds, metrics = await operation(session.mode, stream, work)
    return success(
        "benchmark", iterationId=command["iterationId"], durationNs=str(nanoseconds), metrics=metrics
    )


async def append(mode, stream, work):
    body = b"x" * work["size"]
    started = time.perf_counter_ns()
    await mode.settle(stream.append(body))
    return time.perf_counter_ns() - started, {"bytesTransferred": len(body)}


async def create(mode, stream, work):
    started = time.perf_counter_ns()
    await mode.settle(stream.create_stream(content_type=work.get("contentType")))
    return time.perf_counter_ns() - started, {}


async def read(mode, stream, work):
    started = time.perf_counter_ns()
    response = await mode.settle(stream.stream(offset=work.get("offset"), live=False))
    data = await mode.settle(response.read_bytes())
    return time.perf_counter_ns() - started, {"bytesTransferred": len(data)}


async def round_trip(mode, stream, work):
    content_type = work.get("contentType")
    await mode.settle(stream.create_stream(content_type=content_type))
    is_json = (content_type or "").startswith("application/json")
    fill = "x" * work["size"]
    body = f'"{fill}"' if is_json else fill
    started = time.perf_counter_ns()
    response = await mode.settle(stream.stream(offset="-1", live=work.get("live", "long-poll")))
    await mode.settle(stream.append(body))
    received = 0
    async for event in mode.items(response.iter_events(mode="text" if is_json else "bytes")):
        if event.data and event.data != "[]":
            received = len(event.data)
            break
    took = time.perf_counter_ns() - started
    await mode.release(response)
    return took, {"bytesTransferred": len(body) + received}


async def throughput_append(mode, stream, work):
    await mode.settle(stream.create_stream())
    body = b"x" * work["size"]
    # The path repeats over iterations; a fixed id would measure deduplication.
    producer = mode.producer_class(stream, f"bench-{time.time_ns()}")
    started = time.perf_counter_ns()
    for _ in range(work["count"]):
        producer.append(body)
    await mode.settle(producer.flush())
    took = time.perf_counter_ns() - started
    await mode.settle(producer.detach())
    return took, {"bytesTransferred": work["count"] * len(body), "messagesProcessed": work["count"]}


async def throughput_read(mode, stream, _work):
    started = time.perf_counter_ns()
    response = await mode.settle(stream.stream(offset="-1", live=False))
    messages = 0
    async for batch in mode.items(response.iter_json_batches()):
        messages += len(batch)
    took = time.perf_counter_ns() - started
    response = await mode.settle(stream.stream(offset="-1", live=False))
    size = len(await mode.settle(response.read_bytes()))
    return took, {"bytesTransferred": size, "messagesProcessed": messages}


OPERATIONS = {
    "append": append,
    "create": create,
    "read": read,
    "roundtrip": round_trip,
    "throughput_append": throughput_append,
    "throughput_read": throughput_read,
}
