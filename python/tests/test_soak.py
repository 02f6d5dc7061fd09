"""Long runs: memory and descriptors stay where they are."""

import asyncio
import gc
import os

import anyio
import pytest

import durable_streams as ds
from wire import SILENCE

ROUNDS = 10_000
# A leak of 1 KiB per round would be 10 MiB; allocators and tables may settle within half of it.
MOST_GROWTH_KIB = 5 * 1024

pytestmark = pytest.mark.slow


def resident_kib():
    gc.collect()
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS"))


def descriptors():
    return len(os.listdir("/proc/self/fd"))


def threads():
    return len(os.listdir("/proc/self/task"))


def flat(rounds):
    """Runs `rounds(count)`, first to warm up, then measured."""
    rounds(ROUNDS // 5)
    before = resident_kib(), descriptors(), threads()
    rounds(ROUNDS)
    after = resident_kib(), descriptors(), threads()
    assert after[0] - before[0] < MOST_GROWTH_KIB
    # Connections in the pool and of the embedded server come and go.
    assert after[1] - before[1] < 50
    assert after[2] <= before[2]


def test_opening_and_closing_sync_responses(text_url):
    def rounds(count):
        for _ in range(count):
            with ds.DurableStream(text_url) as handle, handle.stream(live=False) as res:
                assert res.ok

    flat(rounds)


def test_opening_and_closing_async_responses(text_url):
    async def main(count):
        for _ in range(count):
            async with ds.AsyncDurableStream(text_url) as handle, handle.stream(live=False) as res:
                assert res.ok

    flat(lambda count: asyncio.run(main(count)))


def test_opening_and_leaving_to_the_collector(text_url):
    async def main(count):
        for _ in range(count):
            await ds.astream(text_url, live=False)

    def rounds(count):
        for _ in range(count // 2):
            ds.stream(text_url, live=False)
        asyncio.run(main(count // 2))

    flat(rounds)


def test_producers(text_url):
    def rounds(count):
        for n in range(count // 10):
            with ds.SyncProducer(text_url, f"p{n % 7}", content_type="text/plain", auto_claim=True, linger_ms=0) as producer:
                producer.append("x")

    flat(rounds)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_cancelled_reads(text_url, backend):
    """Each waits in a long-poll of the server when it is given up."""

    async def main(count):
        async with ds.AsyncDurableStream(text_url) as handle:

            async def tail():
                async with handle.stream(live="long-poll", offset="now") as res:
                    async for _ in res.iter_text():
                        raise AssertionError("nothing is appended")

            for _ in range(count // 100):
                async with anyio.create_task_group() as tasks:
                    for _ in range(100):
                        tasks.start_soon(tail)
                    await anyio.sleep(0.02)
                    tasks.cancel_scope.cancel()

    flat(lambda count: anyio.run(main, count, backend=backend))


def test_cancelled_before_the_first_answer(wire):
    """Cancelled while the first request waits: nothing of it stays."""
    wire.answer = lambda request: SILENCE

    async def main(count):
        handle = ds.AsyncDurableStream(wire.url)
        for _ in range(count // 10):
            with anyio.move_on_after(0.001):
                await handle.head()
        await handle.aclose()

    flat(lambda count: asyncio.run(main(count)))
