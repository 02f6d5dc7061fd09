"""Our client: `python ours.py WHAT SERVER` measures one thing and prints it as JSON."""

import asyncio
import sys
import threading
import time

import work

import durable_streams as ds

SERVER = sys.argv[2]


def fill():
    """Writes the JSON stream that everybody reads."""
    with ds.DurableStream.create(work.json_url(SERVER), content_type="application/json") as handle:
        with ds.SyncProducer(handle, "fill") as producer:
            for number in range(work.MESSAGES):
                producer.append(work.message_json(number))
    work.report(messages=work.MESSAGES)


def read_json():
    started = time.perf_counter()
    with ds.stream(work.json_url(SERVER), live=False) as res:
        count = 0
        for _ in res.iter_json():
            count += 1
    assert count == work.MESSAGES, count
    work.report(messages_per_second=work.rate(count, started))


def read_json_batches():
    started = time.perf_counter()
    with ds.stream(work.json_url(SERVER), live=False) as res:
        count = sum(len(batch) for batch in res.iter_json_batches())
    assert count == work.MESSAGES, count
    work.report(messages_per_second=work.rate(count, started))


async def read_json_async():
    started = time.perf_counter()
    count = 0
    async with ds.astream(work.json_url(SERVER), live=False) as res:
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
    with ds.stream(work.bytes_url(SERVER), live=False) as res:
        count = sum(len(chunk) for chunk in res.iter_bytes())
    assert count == work.READ_BYTES, count
    return work.rate(count / (1 << 20), started)


def produce_dicts():
    messages = [work.message(number) for number in range(work.MESSAGES // 5)]
    url = work.new_url(SERVER, "dicts")
    with ds.DurableStream.create(url, content_type="application/json") as handle:
        started = time.perf_counter()
        with ds.SyncProducer(handle, "p", max_batch_items=work.BATCH) as producer:
            for message in messages:
                producer.append(message)
        work.report(messages_per_second=work.rate(len(messages), started))


def produce_bytes():
    payload = b"x" * work.MESSAGE_BYTES
    url = work.new_url(SERVER, "bytes")
    with ds.DurableStream.create(url, content_type="application/octet-stream") as handle:
        count = work.MESSAGES // 5
        started = time.perf_counter()
        with ds.SyncProducer(handle, "p") as producer:
            for _ in range(count):
                producer.append(payload)
        work.report(messages_per_second=work.rate(count, started))


def tail_latency():
    """From before the append to the item in the reader's hands, reader and writer in one process."""
    url = work.new_url(SERVER, "tail")
    samples = []
    with ds.DurableStream.create(url, content_type="application/json") as handle:
        received = threading.Semaphore(0)

        def tail():
            with handle.stream(live="long-poll", offset="now") as res:
                ready.set()
                for item in res.iter_json():
                    samples.append(time.perf_counter_ns() - item["sent"])
                    received.release()

        ready = threading.Event()
        reader = threading.Thread(target=tail)
        reader.start()
        ready.wait()
        for _ in range(work.LATENCY_SAMPLES):
            # The reader's next request has to be waiting before the append.
            time.sleep(0.005)
            handle.append({"sent": time.perf_counter_ns()})
            received.acquire()
        handle.close_stream()
        reader.join()
    work.report(p50_us=work.median(samples) / 1000)


async def tails():
    """Many waiting readers in one process: what each costs, and how soon all have a message."""
    url = work.new_url(SERVER, "tails")
    async with await ds.AsyncDurableStream.create(url, content_type="application/json") as handle:
        # The first of everything is not a tail's cost.
        async with handle.stream(live=False) as res:
            await res.read_json()
        before = work.resident_kib()
        waiting = 0
        received = []
        everybody = asyncio.Event()

        async def tail():
            nonlocal waiting
            async with handle.stream(live="sse", offset="-1") as res:
                waiting += 1
                async for item in res.iter_json():
                    received.append(time.perf_counter_ns() - item["sent"])
                    if len(received) == work.TAILS:
                        everybody.set()

        tasks = [asyncio.create_task(tail()) for _ in range(work.TAILS)]
        while waiting < work.TAILS:
            await asyncio.sleep(0.05)
        await asyncio.sleep(1)
        memory = (work.resident_kib() - before) / work.TAILS
        started = time.perf_counter_ns()
        await handle.append({"sent": started})
        await everybody.wait()
        spread = time.perf_counter_ns() - started
        await handle.close_stream()
        await asyncio.gather(*tasks)
    work.report(kib_per_tail=memory, all_served_ms=spread / 1e6)


WORK = {
    "fill": fill,
    "read-json": read_json,
    "read-json-batches": read_json_batches,
    "read-json-async": lambda: asyncio.run(read_json_async()),
    "read-bytes": read_bytes,
    "read-bytes-again": read_bytes_again,
    "produce-dicts": produce_dicts,
    "produce-bytes": produce_bytes,
    "tail-latency": tail_latency,
    "tails": lambda: asyncio.run(tails()),
}

if __name__ == "__main__":
    WORK[sys.argv[1]]()
