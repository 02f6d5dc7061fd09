"""The idempotent producer, awaiting and blocking."""

import json
import threading

import pytest

import durable_streams as ds
from wire import SILENCE, Answer


def read(url):
    with ds.stream(url, live=False) as res:
        return res.read_json()


@pytest.fixture
def empty_url(url):
    ds.DurableStream.create(url, content_type="application/json").close()
    return url


def test_fire_and_forget_then_flush(run, empty_url):
    async def main():
        handle = await ds.AsyncDurableStream.connect(empty_url)
        async with handle, ds.IdempotentProducer(handle, "p", linger_ms=60_000) as producer:
            for n in range(100):
                assert producer.append(json.dumps({"n": n})) is None
            assert producer.append_nowait({"n": 100}) is None
            assert producer.pending_count > 0
            await producer.flush()
            assert producer.pending_count == 0
            assert producer.in_flight_count == 0
            assert read(empty_url) == [{"n": n} for n in range(101)]

    run(main)


def test_leaving_the_block_delivers_and_leaves_the_stream_open(run, empty_url):
    async def main():
        async with ds.IdempotentProducer(empty_url, "p") as producer:
            producer.append({"n": 1})
        with pytest.raises(ds.DurableStreamError) as caught:
            producer.append({"n": 2})
        assert caught.value.code == "ALREADY_CLOSED"

    run(main)
    assert read(empty_url) == [{"n": 1}]
    assert ds.DurableStream.head_static(empty_url).stream_closed is False


def test_close_stream_is_idempotent_and_ends_the_stream(run, empty_url):
    async def main():
        producer = ds.IdempotentProducer(empty_url, "p")
        producer.append({"n": 1})
        first = await producer.close_stream({"n": 2})
        again = await producer.close_stream({"n": 2})
        assert first.offset == again.offset
        await producer.close()

    run(main)
    assert read(empty_url) == [{"n": 1}, {"n": 2}]
    assert ds.DurableStream.head_static(empty_url).stream_closed is True


def test_restart_raises_the_epoch(run, empty_url):
    async def main():
        async with ds.IdempotentProducer(empty_url, "p") as producer:
            producer.append({"n": 1})
            await producer.flush()
            assert (producer.epoch, producer.next_seq) == (0, 1)
            await producer.restart()
            assert (producer.epoch, producer.next_seq) == (1, 0)
            producer.append({"n": 2})

    run(main)
    assert read(empty_url) == [{"n": 1}, {"n": 2}]


def test_detach_stops_and_keeps_the_stream(run, empty_url):
    async def main():
        producer = ds.IdempotentProducer(empty_url, "p", linger_ms=60_000)
        producer.append({"n": 1})
        await producer.detach()

    run(main)
    assert read(empty_url) == [{"n": 1}]
    assert ds.DurableStream.head_static(empty_url).stream_closed is False


def test_a_second_incarnation_with_the_same_numbers_stores_nothing_twice(run, empty_url):
    async def main():
        for _ in range(2):
            async with ds.IdempotentProducer(empty_url, "p", linger_ms=60_000) as producer:
                producer.append({"n": 1})
                flushed = await producer.flush()
        assert flushed.duplicate is True

    run(main)
    assert read(empty_url) == [{"n": 1}]


def test_auto_claim_takes_over_and_the_other_is_fenced(run, empty_url):
    async def main():
        old = ds.IdempotentProducer(empty_url, "p", epoch=3)
        old.append({"n": 1})
        await old.flush()
        async with ds.IdempotentProducer(empty_url, "p", auto_claim=True) as new:
            new.append({"n": 2})
            await new.flush()
            assert new.epoch == 4
        old.append({"n": 3})
        with pytest.raises(ds.StaleEpochError) as caught:
            await old.flush()
        assert caught.value.current_epoch == 4
        # What has been reported once is not reported again.
        await old.close()

    run(main)
    assert read(empty_url) == [{"n": 1}, {"n": 2}]


def test_flush_raises_what_was_not_delivered(run, url):
    async def main():
        producer = ds.IdempotentProducer(url, "p", content_type="text/plain")
        producer.append("x")
        with pytest.raises(ds.StreamNotFoundError):
            await producer.flush()
        await producer.close()

    run(main)


def test_close_raises_what_nobody_has_heard_of(run, url):
    async def main():
        with pytest.raises(ds.StreamNotFoundError):
            async with ds.IdempotentProducer(url, "p", content_type="text/plain") as producer:
                producer.append("x")

    run(main)


def test_on_error_hears_of_each_failed_batch_and_close_keeps_quiet(run, url):
    async def main():
        failures = []
        producer = ds.IdempotentProducer(url, "p", content_type="text/plain", on_error=failures.append)
        producer.append("x")
        await producer.close()
        assert [type(failure) for failure in failures] == [ds.StreamNotFoundError]

    run(main)


@pytest.mark.parametrize("producer", [ds.IdempotentProducer, ds.SyncProducer])
@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("epoch", -1),
        ("epoch", 2**53),
        ("max_batch_bytes", 0),
        ("max_in_flight", 0),
        ("max_batch_items", 0),
        ("linger_ms", -1),
        ("producer_id", ""),
    ],
)
def test_options_are_checked_by_name(producer, field, value):
    arguments = {"producer_id": "p", field: value}
    with pytest.raises(ValueError, match=field):
        producer("http://127.0.0.1:9/x", content_type="text/plain", **arguments)


def test_a_producer_asks_for_the_content_type_when_it_is_not_told(run, empty_url):
    async def main():
        async with ds.IdempotentProducer(empty_url, "p") as producer:
            producer.append("1")
            producer.append("[2,3]")

    run(main)
    assert read(empty_url) == [1, [2, 3]]


def test_what_json_cannot_say_is_refused_at_the_call(run, empty_url):
    async def main():
        handle = await ds.AsyncDurableStream.connect(empty_url)
        async with handle, ds.IdempotentProducer(handle, "p") as producer:
            with pytest.raises(TypeError):
                producer.append({"a": object()})
            with pytest.raises(ValueError):
                producer.append(float("nan"))
            with pytest.raises(ValueError):
                producer.append("no json")
            producer.append({"n": 1})

    run(main)
    assert read(empty_url) == [{"n": 1}]


def test_the_handles_headers_go_with_the_producers_requests(run, wire):
    wire.answer = lambda request: Answer(200, {"Stream-Next-Offset": "b"})

    async def main():
        handle = ds.AsyncDurableStream(wire.url, content_type="text/plain", headers={"X-Own": lambda: "1"})
        async with handle, ds.IdempotentProducer(handle, "p") as producer:
            producer.append("x")

    run(main)
    assert [request.headers["x-own"] for request in wire.requests] == ["1"]


def test_dropped_connections_lose_and_double_nothing(run, server, empty_url):
    from urllib.parse import urlsplit

    path = urlsplit(empty_url).path

    async def main():
        async with ds.IdempotentProducer(empty_url, "p", linger_ms=0, max_batch_items=1) as producer:
            for n in range(50):
                if n % 10 == 0:
                    server.inject_fault(path, drop_connection=True, method="POST", count=2)
                producer.append({"n": n})
            await producer.flush()

    run(main)
    server.clear_faults()
    assert read(empty_url) == [{"n": n} for n in range(50)]


def test_sync_producer(empty_url):
    with ds.DurableStream.connect(empty_url) as handle, ds.SyncProducer(handle, "p") as producer:
        for n in range(1000):
            producer.append({"n": n})
        producer.flush()
        assert producer.pending_count == 0
        assert read(empty_url) == [{"n": n} for n in range(1000)]
        producer.restart()
        assert producer.epoch == 1
        closed = producer.close_stream({"n": 1000})
        assert closed.offset == handle.head().offset
    assert len(read(empty_url)) == 1001


def test_sync_producer_leaves_the_stream_open(empty_url):
    with ds.SyncProducer(empty_url, "p", linger_ms=60_000) as producer:
        producer.append_nowait({"n": 1})
    assert read(empty_url) == [{"n": 1}]
    assert ds.DurableStream.head_static(empty_url).stream_closed is False


def test_sync_producer_of_ten_threads(empty_url):
    start = threading.Barrier(10)
    with ds.SyncProducer(empty_url, "p", content_type="application/json") as producer:

        def work(thread):
            start.wait()
            for n in range(500):
                producer.append({"thread": thread, "n": n})

        threads = [threading.Thread(target=work, args=(thread,)) for thread in range(10)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        producer.flush()
    found = read(empty_url)
    assert len(found) == 5000
    for thread in range(10):
        assert [item["n"] for item in found if item["thread"] == thread] == list(range(500))


def test_a_blocking_producer_waits_when_its_buffer_is_full(wire):
    """10,000 messages or 64 MiB are kept; then `append` waits, and goes on when there is room."""
    released = threading.Event()
    wire.answer = lambda request: (released.wait(20), Answer(200, {"Stream-Next-Offset": "b"}))[1]
    appended = []
    with ds.SyncProducer(wire.url, "p", content_type="text/plain") as producer:

        def work():
            for _ in range(80):
                producer.append(b"x" * (1 << 20))
                appended.append(1)

        thread = threading.Thread(target=work)
        thread.start()
        wire.arrived()
        thread.join(1)
        assert thread.is_alive()
        assert len(appended) < 80
        released.set()
        thread.join(20)
        assert not thread.is_alive()
    assert sum(len(request.body) for request in wire.requests) == 80 << 20


def test_a_receipt_tells_of_its_own_message(run, empty_url):
    async def main():
        async with ds.IdempotentProducer(empty_url, "p", max_batch_items=1, linger_ms=0) as producer:
            first = producer.append_with_receipt({"n": 0})
            second = producer.append_with_receipt('{"n":1}')
            stored = await second
            assert (stored.seq, stored.epoch, stored.duplicate) == (1, 0, False)
            assert stored.offset == (await ds.AsyncDurableStream(empty_url).head()).offset
            assert (await first).seq == 0
            assert await second == stored

    run(main)
    assert read(empty_url) == [{"n": 0}, {"n": 1}]


def test_a_receipt_raises_why_its_message_is_not_stored(wire, run):
    wire.answer = lambda request: Answer(403)

    async def main():
        producer = ds.IdempotentProducer(wire.url, "p", content_type="text/plain", on_error=lambda error: None)
        receipt = producer.append_with_receipt("a")
        for _ in range(2):
            with pytest.raises(ds.HTTPStatusError) as caught:
                await receipt
            assert caught.value.status == 403
        await producer.close()

    run(main)


def test_receipts_of_the_blocking_producer(empty_url):
    with ds.SyncProducer(empty_url, "p") as producer:
        receipts = [producer.append_with_receipt({"n": n}) for n in range(10)]
        offsets = {receipt.result().offset for receipt in receipts}
        assert ds.DurableStream.head_static(empty_url).offset in offsets
        assert receipts[3].result() == receipts[3].result()
    assert read(empty_url) == [{"n": n} for n in range(10)]


def test_pending_bytes_are_those_of_pending_messages(wire):
    with ds.SyncProducer(wire.url, "p", content_type="text/plain", on_error=lambda error: None) as producer:
        producer.append("four")
        producer.append("1234567")
        assert (producer.pending_count, producer.pending_bytes) == (2, 11)
        wire.arrived()
        wire.answer = lambda request: Answer(403)
        wire.close_connections()
        with pytest.raises(ds.HTTPStatusError):
            producer.flush()
        assert (producer.pending_count, producer.pending_bytes) == (0, 0)


@pytest.mark.parametrize("limit", ["max_queued_bytes", "max_queued_messages"])
def test_an_append_waits_while_the_queue_is_full(wire, limit):
    """The blocking append returns only when the server has made room."""
    wire.answer = lambda request: SILENCE
    settings = {"max_batch_items": 1, "max_in_flight": 1, "linger_ms": 0, limit: 1}
    producer = ds.SyncProducer(wire.url, "p", content_type="text/plain", on_error=lambda error: None, **settings)
    producer.append("a")
    wire.arrived()
    has_room = threading.Event()

    def append():
        producer.append("b")
        has_room.set()

    waiting = threading.Thread(target=append)
    waiting.start()
    assert not has_room.wait(0.2)
    wire.answer = lambda request: Answer(204, {"Stream-Next-Offset": "b"})
    wire.close_connections()
    assert has_room.wait(10)
    waiting.join()
    producer.close()


@pytest.mark.parametrize("limit", ["max_queued_bytes", "max_queued_messages"])
def test_limits_of_the_queue_are_checked(empty_url, limit):
    for producer in (ds.SyncProducer, ds.IdempotentProducer):
        with pytest.raises(ValueError, match=limit):
            producer(empty_url, "p", **{limit: 0})
