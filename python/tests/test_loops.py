"""The awaiting client on asyncio, uvloop, trio and anyio over both."""

import anyio
import pytest

import durable_streams as ds
from wire import up_to_date

NUMBERED = [{"n": 0}, {"n": 1}, {"n": 2}]


def test_create_append_read_close_delete(run, url):
    async def main():
        async with await ds.AsyncDurableStream.create(url, content_type="application/json") as handle:
            assert (await handle.append({"n": 0})).next_offset == (await handle.head()).offset
            await handle.append_json({"n": 1})
            async with handle.stream(live=False) as res:
                assert [item async for item in res.iter_json()] == [{"n": 0}, {"n": 1}]
            closed = await handle.close_stream()
            with pytest.raises(ds.StreamClosedError) as caught:
                await handle.append({"n": 2})
            assert caught.value.final_offset == closed.final_offset
            await handle.delete()
            with pytest.raises(ds.StreamNotFoundError):
                await handle.head()

    run(main)


def test_static_functions(run, url):
    async def main():
        await (await ds.AsyncDurableStream.create(url, content_type="text/plain")).aclose()
        assert (await ds.AsyncDurableStream.head_static(url)).content_type == "text/plain"
        assert (await ds.AsyncDurableStream.connect(url)).content_type == "text/plain"
        await ds.AsyncDurableStream.delete_static(url)

    run(main)


def test_a_session_is_awaitable_and_a_context_manager(run, json_url):
    async def main():
        async with ds.astream(json_url, live=False) as res:
            assert await res.read_json() == NUMBERED
        res = await ds.astream(json_url, live=False)
        try:
            assert await res.read_json() == NUMBERED
        finally:
            await res.aclose()
        assert res.closed

    run(main)


def test_every_reader_and_iterator(run, json_url, bytes_url, text_url):
    async def everything(url, method, *arguments, **options):
        async with ds.astream(url, live=False) as res:
            found = getattr(res, method)(*arguments, **options)
            return [item async for item in found] if hasattr(found, "__aiter__") else await found

    async def main():
        assert await everything(json_url, "iter_json") == NUMBERED
        assert await everything(json_url, "iter_json", decode=lambda item: item["n"]) == [0, 1, 2]
        assert sum(await everything(json_url, "iter_json_batches"), []) == NUMBERED
        assert await everything(json_url, "read_json") == NUMBERED
        assert sum(await everything(json_url, "read_json_batches"), []) == NUMBERED
        raw = '[{"n":0},{"n":1},{"n":2}]'
        assert "".join(await everything(json_url, "iter_text")) == raw
        assert b"".join(await everything(json_url, "iter_bytes")) == raw.encode()
        assert await everything(json_url, "read_text") == raw
        assert await everything(json_url, "read_bytes") == raw.encode()
        events = await everything(json_url, "iter_events", "json")
        assert [event.data for event in events] == NUMBERED
        async with ds.astream(json_url, live=False) as res:
            assert b"".join([chunk async for chunk in res]) == raw.encode()

    run(main)


@pytest.mark.parametrize("live", [True, "long-poll", "sse"])
def test_a_live_read_goes_on_until_the_stream_is_closed(run, json_url, live):
    async def main():
        async with ds.AsyncDurableStream(json_url) as handle, handle.stream(live=live) as res:
            items = res.iter_json()
            assert [await items.__anext__() for _ in range(3)] == NUMBERED
            await handle.append({"n": 3})
            assert await items.__anext__() == {"n": 3}
            await handle.close_stream(data={"n": 4})
            assert [item async for item in items] == [{"n": 4}]
            assert res.stream_closed

    run(main)


def test_a_response_is_consumed_once(run, json_url):
    async def main():
        async with ds.astream(json_url, live=False) as res:
            await res.read_json()
            with pytest.raises(ds.StreamConsumedError):
                await res.read_bytes()

    run(main)


def test_concurrent_appends_are_all_stored_once(run, url):
    async def main():
        async with await ds.AsyncDurableStream.create(url, content_type="application/json") as handle:
            async with anyio.create_task_group() as tasks:
                for n in range(200):
                    tasks.start_soon(handle.append, {"n": n})
            async with handle.stream(live=False) as res:
                found = [item["n"] async for item in res.iter_json()]
        assert sorted(found) == list(range(200))

    run(main)


def test_many_waiting_reads_are_served_at_once(run, url):
    """No thread per call: 200 tails in one loop, all woken by one append."""

    async def main():
        async with await ds.AsyncDurableStream.create(url, content_type="application/json") as handle:
            received = []

            async def tail(task_status=anyio.TASK_STATUS_IGNORED):
                async with handle.stream(live="long-poll", offset="now") as res:
                    task_status.started()
                    async for item in res.iter_json():
                        received.append(item)
                        return

            async with anyio.create_task_group() as tasks:
                for _ in range(200):
                    await tasks.start(tail)
                await handle.append({"n": 1})
            assert received == [{"n": 1}] * 200

    run(main)


def test_other_tasks_run_while_one_waits(run, wire):
    async def main():
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ds.AsyncDurableStream(wire.url).head)
            # The request is out, and this task runs all the same.
            await anyio.to_thread.run_sync(wire.arrived)
            tasks.cancel_scope.cancel()

    run(main)


def test_async_callables_for_headers_and_params(run, wire):
    wire.answer = lambda request: up_to_date(b"x")
    counts = {"header": 0}

    async def header():
        await anyio.sleep(0)
        counts["header"] += 1
        return f"h{counts['header']}"

    async def main():
        async with ds.astream(
            wire.url, live=False, headers={"X-Async": header, "X-Sync": lambda: "s"}, params={"p": header, "none": None}
        ) as res:
            await res.read_text()

    run(main)
    request = wire.requests[0]
    assert request.headers["x-sync"] == "s"
    assert {request.headers["x-async"], request.params["p"]} == {"h1", "h2"}
    assert "none" not in request.params


def test_an_exception_of_a_callable_is_raised_as_it_is(run, wire):
    class Own(Exception):
        pass

    async def header():
        raise Own("mine")

    async def main():
        with pytest.raises(Own, match="mine"):
            await ds.AsyncDurableStream(wire.url, headers={"X-Async": header}).head()

    run(main)
    assert wire.requests == []


def test_on_error_may_be_a_coroutine_function(run, wire):
    from wire import Answer

    wire.answer = lambda request: up_to_date(b"x") if request.headers.get("token") == "new" else Answer(401)

    async def on_error(error):
        await anyio.sleep(0)
        return {"headers": {"Token": "new"}} if error.status == 401 else None

    async def main():
        async with ds.astream(wire.url, live=False, on_error=on_error) as res:
            assert await res.read_text() == "x"

    run(main)


def test_one_process_may_run_loop_after_loop(run, json_url):
    async def main():
        async with ds.astream(json_url, live=False) as res:
            assert await res.read_json() == NUMBERED

    for _ in range(3):
        run(main)
