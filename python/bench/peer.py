"""The official client, PyPI `durable-streams` 0.1.0: `python peer.py WHAT SERVER`."""

import asyncio
import sys
import threading
import time

import work

from durable_streams import AsyncDurableStream, DurableStream, astream, stream

SERVER = sys.argv[2]


def read_json():
    started = time.perf_counter()
    with stream(work.json_url(SERVER), live=False) as res:
        count = 0
        for _ in res.iter_json():
            count += 1
    assert count == work.MESSAGES, count
    work.report(messages_per_second=work.rate(count, started))


async def read_json_async():
    started = time.perf_counter()
    count = 0
    async with astream(work.json_url(SERVER), live=False) as res:
        async for batch in res.iter_json_batches():
            count += len(batch)
    assert count == work.MESSAGES, count
    work.report(messages_per_second=work.rate(count, started))


def read_bytes():
    work.report(mib_per_second=rate_of_bytes())


def read_bytes_again():
    # What a process does once is not counted; one read takes too short a time to go by.
    rate_of_bytes()
    work.report(mib_per_second=work.median([rate_of_bytes() for _ in range(5)]))


def rate_of_bytes():
    started = time.perf_counter()
    with stream(work.bytes_url(SERVER), live=False) as res:
        count = sum(len(chunk) for chunk in res)
    assert count == work.READ_BYTES, count
    return work.rate(count / (1 << 20), started)


def tail_latency():
    url = work.new_url(SERVER, "tail-peer")
    samples = []
    handle = DurableStream.create(url, content_type="application/json")
    received = threading.Semaphore(0)
    ready = threading.Event()

    def tail():
        with stream(url, live="long-poll", offset="now") as res:
            ready.set()
            for item in res.iter_json():
                samples.append(time.perf_counter_ns() - item["sent"])
                received.release()
                if len(samples) == work.LATENCY_SAMPLES:
                    return

    reader = threading.Thread(target=tail)
    reader.start()
    ready.wait()
    for _ in range(work.LATENCY_SAMPLES):
        time.sleep(0.005)
        handle.append({"sent": time.perf_counter_ns()})
        received.acquire()
    reader.join()
    work.report(p50_us=work.median(samples) / 1000)


async def tails():
    import httpx

    url = work.new_url(SERVER, "tails-peer")
    # Its default client gives up beyond 100 connections.
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
    async with httpx.AsyncClient(limits=limits, timeout=None) as client:
        handle = await AsyncDurableStream.create(url, content_type="application/json", client=client)
        before = work.resident_kib()
        waiting = 0
        received = []
        everybody = asyncio.Event()

        async def tail():
            nonlocal waiting
            async with astream(url, live="sse", offset="-1", client=client) as res:
                waiting += 1
                async for item in res.iter_json():
                    received.append(time.perf_counter_ns() - item["sent"])
                    if len(received) == work.TAILS:
                        everybody.set()
                    return

        tasks = [asyncio.create_task(tail()) for _ in range(work.TAILS)]
        while waiting < work.TAILS:
            await asyncio.sleep(0.05)
        await asyncio.sleep(1)
        memory = (work.resident_kib() - before) / work.TAILS
        started = time.perf_counter_ns()
        await handle.append({"sent": started})
        await everybody.wait()
        spread = time.perf_counter_ns() - started
        await asyncio.gather(*tasks)
    work.report(kib_per_tail=memory, all_served_ms=spread / 1e6)


WORK = {
    "read-json": read_json,
    "read-json-async": lambda: asyncio.run(read_json_async()),
    "read-bytes": read_bytes,
    "read-bytes-again": read_bytes_again,
    "tail-latency": tail_latency,
    "tails": lambda: asyncio.run(tails()),
}

if __name__ == "__main__":
    WORK[sys.argv[1]]()
