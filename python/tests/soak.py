"""Programs of `test_soak.py`: `python soak.py NAME URL` repeats one thing in lots and prints what the
process holds before the first and after each, as JSON. A process of its own: nothing but the client is
measured."""

import asyncio
import gc
import json
import os
import sys
import time

import anyio

import durable_streams as ds

ROUNDS = 10_000
# A leak of 1 KiB per round would be 10 MiB; allocators and tables may settle within half of it.
MOST_GROWTH_KIB = 5 * 1024
# A leak grows with every lot of rounds; what the interpreter and the allocator take for themselves now
# and then does not: one lot that leaves nothing behind is enough.
LOTS = 4


def sync_responses(url, rounds):
    for _ in range(rounds):
        with ds.DurableStream(url) as handle, handle.stream(live=False) as res:
            assert res.ok


def async_responses(url, rounds):
    async def main():
        for _ in range(rounds):
            async with ds.AsyncDurableStream(url) as handle, handle.stream(live=False) as res:
                assert res.ok

    asyncio.run(main())


def left_to_the_collector(url, rounds):
    async def main():
        for _ in range(rounds // 2):
            await ds.astream(url, live=False)

    for _ in range(rounds // 2):
        ds.stream(url, live=False)
    asyncio.run(main())


def producers(url, rounds):
    for n in range(rounds // 10):
        with ds.SyncProducer(
            url, f"p{n % 7}", content_type="text/plain", auto_claim=True, linger_ms=0
        ) as producer:
            producer.append("x")


def cancelled_reads(backend):
    """Each waits in a long-poll of the server when it is given up."""

    def repeat(url, rounds):
        async def tail(handle):
            async with handle.stream(live="long-poll", offset="now") as res:
                async for _ in res.iter_text():
                    raise AssertionError("nothing is appended")

        async def main():
            async with ds.AsyncDurableStream(url) as handle:
                for _ in range(rounds // 100):
                    async with anyio.create_task_group() as tasks:
                        for _ in range(100):
                            tasks.start_soon(tail, handle)
                        await anyio.sleep(0.02)
                        tasks.cancel_scope.cancel()

        anyio.run(main, backend=backend)

    return repeat


def cancelled_at_once(url, rounds):
    """At any point from before the request to after the answer."""

    async def main():
        async with ds.AsyncDurableStream(url) as handle:
            for n in range(rounds):
                with anyio.move_on_after(n % 10 / 10_000):
                    await handle.head()

    asyncio.run(main())


WORK = {
    "sync-responses": sync_responses,
    "async-responses": async_responses,
    "left-to-the-collector": left_to_the_collector,
    "producers": producers,
    "cancelled-reads-asyncio": cancelled_reads("asyncio"),
    "cancelled-reads-trio": cancelled_reads("trio"),
    "cancelled-at-once": cancelled_at_once,
}


def held(settle_below=None):
    """Resident memory, descriptors, threads; connections that are being closed get time to go."""
    deadline = time.monotonic() + 10
    while True:
        gc.collect()
        descriptors, threads = len(os.listdir("/proc/self/fd")), len(os.listdir("/proc/self/task"))
        if settle_below is None or descriptors <= settle_below or time.monotonic() > deadline:
            break
        time.sleep(0.05)
    with open("/proc/self/status") as status:
        resident = next(int(line.split()[1]) for line in status if line.startswith("VmRSS"))
    return {"resident_kib": resident, "descriptors": descriptors, "threads": threads}


def main():
    name, url = sys.argv[1:]
    idle = held()["descriptors"]
    WORK[name](url, ROUNDS // 5)
    before = held(settle_below=idle + 20)
    lots = [before]
    for _ in range(LOTS):
        WORK[name](url, ROUNDS)
        lots.append(held(settle_below=before["descriptors"]))
        if lots[-1]["resident_kib"] - lots[-2]["resident_kib"] < MOST_GROWTH_KIB:
            break
    print(json.dumps(lots))


if __name__ == "__main__":
    main()
