"""Giving up: the server sees the connection end, the position is kept, nothing is left behind."""

import asyncio
import gc
import threading
import time
import warnings

import anyio
import pytest

import durable_streams as ds
from signals import interrupted_after
from wire import OPEN_SSE, SILENCE, Answer, up_to_date

OPERATIONS = {
    "head": lambda handle: handle.head(),
    "append": lambda handle: handle.append("x"),
    "close_stream": lambda handle: handle.close_stream(),
    "create_stream": lambda handle: handle.create_stream(content_type="text/plain"),
    "delete": lambda handle: handle.delete(),
    "read": lambda handle: handle.stream(live=False).__aenter__(),
}


@pytest.mark.parametrize("operation", OPERATIONS)
def test_cancelling_an_operation_ends_its_request(run, wire, operation):
    async def main():
        handle = ds.AsyncDurableStream(wire.url, content_type="text/plain")
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(OPERATIONS[operation], handle)
            await anyio.to_thread.run_sync(wire.arrived)
            assert wire.nobody_left()
            tasks.cancel_scope.cancel()
        # Still inside the loop: nothing but the cancellation can have ended it.
        await anyio.to_thread.run_sync(wire.left)

    run(main)


@pytest.mark.parametrize("waiting", ["long-poll", "sse"])
def test_cancelling_a_live_read_ends_its_request(run, wire, waiting):
    wire.script(up_to_date(b"first"), SILENCE if waiting == "long-poll" else OPEN_SSE)

    async def main():
        received = []

        async def tail():
            async with ds.astream(wire.url, live=waiting) as res:
                async for text in res.iter_text():
                    received.append(text)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(tail)
            for _ in range(2):
                await anyio.to_thread.run_sync(wire.arrived)
            tasks.cancel_scope.cancel()
        await anyio.to_thread.run_sync(wire.left)
        assert received == ["first"]

    run(main)


def test_a_time_limit_keeps_what_has_not_been_taken(run, json_url):
    """A cancelled wait loses nothing: the next wait gets what came in between."""

    async def main():
        async with ds.AsyncDurableStream(json_url) as handle:
            async with handle.stream(live="long-poll", offset="now") as res:
                batches = res.iter_json_batches()
                for _ in range(20):
                    with anyio.move_on_after(0.005):
                        await batches.__anext__()
                        pytest.fail("nothing has been appended")
                await handle.append({"n": 3})
                assert await batches.__anext__() == [{"n": 3}]

    run(main)


def test_a_batch_of_a_cancelled_task_goes_to_the_one_behind_it_in_order(json_url):
    """Both wait on one iterator; the first is cancelled with its batch already there."""

    async def main():
        async with ds.AsyncDurableStream(json_url) as handle:
            async with handle.stream(live="long-poll", offset="now") as res:
                batches = res.iter_json_batches()
                first = asyncio.ensure_future(batches.__anext__())
                second = asyncio.ensure_future(batches.__anext__())
                await asyncio.sleep(0.05)
                with ds.DurableStream(json_url) as writer:
                    # The loop stands still: it does not see what arrives.
                    writer.append({"n": 3})
                    time.sleep(0.1)
                    writer.append({"n": 4})
                    time.sleep(0.1)
                first.cancel()
                assert await asyncio.wait_for(second, 5) == [{"n": 3}]
                assert await asyncio.wait_for(batches.__anext__(), 5) == [{"n": 4}]

    asyncio.run(main())


def test_a_retry_pause_is_cut_short(run, wire):
    wire.answer = lambda request: Answer(503, {"Retry-After": "30"})

    async def main():
        started = time.monotonic()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ds.AsyncDurableStream(wire.url).head)
            await anyio.to_thread.run_sync(wire.arrived)
            tasks.cancel_scope.cancel()
        assert time.monotonic() - started < 10

    run(main)


def test_asyncio_cancelled_error_is_left_alone(wire):
    async def main():
        task = asyncio.create_task(ds.AsyncDurableStream(wire.url).head())
        await asyncio.to_thread(wire.arrived)
        task.cancel("own words")
        with pytest.raises(asyncio.CancelledError):
            await task
        assert task.cancelled()

    asyncio.run(main())
    wire.left()


def test_wait_for_of_asyncio_raises_its_own_error(wire):
    async def main():
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(ds.AsyncDurableStream(wire.url).head(), 0.1)

    asyncio.run(main())
    wire.left()


def test_a_forgotten_awaitable_sends_nothing_or_is_cancelled(wire):
    """A coroutine that is never awaited must not keep a request alive."""

    async def main():
        coroutine = ds.AsyncDurableStream(wire.url).head()
        coroutine.close()
        task = asyncio.create_task(ds.AsyncDurableStream(wire.url).head())
        await asyncio.to_thread(wire.arrived)
        task.cancel()
        del task
        gc.collect()
        await asyncio.to_thread(wire.left)

    asyncio.run(main())
    assert len(wire.requests) == 1


def test_a_loop_that_ends_with_a_request_under_way_is_quiet(wire, recwarn):
    """`asyncio.run` cancels what is left; a completion that comes later finds the loop closed."""

    async def main():
        asyncio.get_running_loop().create_task(ds.AsyncDurableStream(wire.url).head())
        await asyncio.to_thread(wire.arrived)

    asyncio.run(main())
    wire.left()
    gc.collect()
    assert [str(warning.message) for warning in recwarn] == []


def test_a_loop_closed_without_cancelling_ends_the_request_when_collected(wire):
    loop = asyncio.new_event_loop()
    task = loop.create_task(ds.AsyncDurableStream(wire.url).head())
    loop.run_until_complete(asyncio.wait({task}, timeout=0))
    wire_arrived = threading.Thread(target=wire.arrived)
    wire_arrived.start()
    wire_arrived.join(10)
    loop.close()
    # asyncio itself complains about a pending task; that is its right, and not this test's subject.
    task._log_destroy_pending = False
    del task, loop
    gc.collect()
    wire.left()


@pytest.mark.parametrize("waiting", ["long-poll", "sse"])
def test_closing_from_another_thread_ends_the_request(wire, waiting):
    wire.script(up_to_date(b"first"), SILENCE if waiting == "long-poll" else OPEN_SSE)
    res = ds.stream(wire.url, live=waiting)
    texts = res.iter_text()
    assert next(texts) == "first"
    rest = []
    thread = threading.Thread(target=lambda: rest.extend(texts))
    thread.start()
    for _ in range(2):
        wire.arrived()
    res.close()
    thread.join(10)
    assert not thread.is_alive()
    assert rest == []
    wire.left()


def test_a_response_nobody_closed_lets_go_when_it_is_collected(wire):
    wire.script(up_to_date(b"first"), OPEN_SSE)
    res = ds.stream(wire.url, live="sse")
    texts = res.iter_text()
    assert next(texts) == "first"
    with pytest.raises(TimeoutError), interrupted_after(0.2, TimeoutError):
        next(texts)
    for _ in range(2):
        wire.arrived()
    with warnings.catch_warnings():
        # It may say that it was not closed.
        warnings.simplefilter("ignore", ResourceWarning)
        del res, texts
        gc.collect()
    wire.left()


def test_aclose_is_idempotent_and_works_in_a_cancelled_scope(run, wire):
    wire.script(up_to_date(b"first"), OPEN_SSE)

    async def main():
        with anyio.CancelScope() as scope:
            res = await ds.astream(wire.url, live="sse")
            try:
                async for _ in res.iter_text():
                    scope.cancel()
            finally:
                # Cleanup in a cancelled scope cannot wait for anything, and must let go all the same.
                await res.aclose()
        assert res.closed
        await res.aclose()
        assert res.closed

    run(main)


def test_leaving_the_loop_of_an_iterator_early_is_fine(run, json_url):
    async def main():
        async with ds.astream(json_url) as res:
            async for item in res.iter_json():
                assert item == {"n": 0}
                break

    run(main)
