"""Objects shared by threads: nothing is lost, doubled or out of order. Meant for interpreters without a
global lock, where threads truly run at once, and true on all."""

import asyncio
import itertools
import subprocess
import sys
import threading

import pytest

import durable_streams as ds
from wire import SILENCE, Answer

THREADS = 8


def at_once(work, threads=THREADS):
    """What `work(thread)` gives on threads that begin together; raises what one of them raised."""
    start = threading.Barrier(threads)
    results, errors = [None] * threads, []

    def run(thread):
        start.wait()
        try:
            results[thread] = work(thread)
        except BaseException as error:
            errors.append(error)

    running = [threading.Thread(target=run, args=(thread,)) for thread in range(threads)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    if errors:
        raise errors[0]
    return results


def read(url):
    with ds.stream(url, live=False) as res:
        return res.read_json()


@pytest.fixture
def empty_url(url):
    ds.DurableStream.create(url, content_type="application/json").close()
    return url


def check_whole(found, count):
    """Every thread's messages are there once, in its order."""
    assert len(found) == THREADS * count
    for thread in range(THREADS):
        assert [item["n"] for item in found if item["thread"] == thread] == list(range(count))


def test_threads_share_a_producer(empty_url):
    def work(thread):
        for n in range(600):
            message = {"thread": thread, "n": n}
            if n % 50 == thread:
                receipts.append(producer.append_with_receipt(message))
            elif n % 3:
                producer.append(message)
            else:
                producer.append_nowait(message)
            if n % 100 == thread:
                producer.flush()
            assert producer.pending_count >= 0
            assert producer.pending_bytes >= 0

    receipts = []
    with ds.SyncProducer(empty_url, "p", linger_ms=0, max_batch_items=7) as producer:
        at_once(work)
        producer.flush()
        assert producer.pending_count == 0
        stored = at_once(lambda _: [receipt.result() for receipt in receipts])
        assert all(told == stored[0] for told in stored)
    check_whole(read(empty_url), 600)


def test_threads_share_a_producer_whose_queue_is_full(empty_url):
    """Each waits for room for its own message: none gets so far ahead that it is refused."""
    # With one batch at a time none is stored before an earlier one, which would make room for its thread.
    with ds.SyncProducer(empty_url, "p", linger_ms=0, max_in_flight=1, max_queued_messages=3) as producer:

        def work(thread):
            for n in range(300):
                producer.append({"thread": thread, "n": n})
                assert producer.pending_count <= 3 + THREADS

        at_once(work)
    check_whole(read(empty_url), 300)


def test_every_thread_waits_while_the_queue_is_full(wire):
    wire.answer = lambda request: SILENCE
    settings = {"max_batch_items": 1, "max_in_flight": 1, "linger_ms": 0, "max_queued_messages": 3}
    producer = ds.SyncProducer(wire.url, "p", content_type="text/plain", on_error=lambda error: None, **settings)
    for _ in range(3):
        producer.append("room")
    wire.arrived()
    returned = threading.Event()

    def append(_):
        producer.append("no room")
        returned.set()

    appending = threading.Thread(target=at_once, args=(append,))
    appending.start()
    assert not returned.wait(0.3)
    assert producer.pending_count == 3 + THREADS
    wire.answer = lambda request: Answer(204, {"Stream-Next-Offset": "b"})
    wire.close_connections()
    appending.join(20)
    assert not appending.is_alive()
    producer.close()


def test_threads_share_a_handle(empty_url):
    with ds.DurableStream(empty_url) as handle:

        def work(thread):
            offsets = []
            for n in range(60):
                offsets.append(handle.append({"thread": thread, "n": n}).next_offset)
                if n % 20 == thread:
                    assert handle.head().content_type == "application/json"
                    assert {"thread": thread, "n": n} in handle.stream(live=False).read_json()
            return offsets

        for offsets in at_once(work):
            assert offsets == sorted(offsets)
    check_whole(read(empty_url), 60)


def test_threads_with_an_event_loop_each_share_a_handle(empty_url):
    handle = ds.AsyncDurableStream(empty_url, headers={"x-asked": lambda: "each time"})

    async def main(thread):
        for n in range(60):
            await handle.append({"thread": thread, "n": n})

    # Headers are asked for on the loop that used the handle last, which must still be there.
    everyone = threading.Barrier(THREADS)

    def work(thread):
        async def until_all_are_done():
            await main(thread)
            await asyncio.to_thread(everyone.wait)

        asyncio.run(until_all_are_done())

    at_once(work)
    check_whole(read(empty_url), 60)


@pytest.mark.parametrize("max_batch_bytes", [None, 700])
def test_threads_share_an_iterator(url, max_batch_bytes):
    """Each message goes to one thread, and no thread sees one that is older than its latest."""
    count = 6000
    lines = [b"%06d\n" % n for n in range(count)]
    with ds.DurableStream.create(url, content_type="text/plain") as handle:
        handle.append(b"".join(lines))
    for _ in range(10):
        with ds.stream(url, live=False, max_batch_bytes=max_batch_bytes) as res:
            texts = res.iter_text()
            taken = at_once(lambda _, texts=texts: list(texts))
        assert sorted(itertools.chain(*taken)) == sorted(set(itertools.chain(*taken)))
        assert "".join(sorted(itertools.chain(*taken))) == "".join(line.decode() for line in lines)
        for own in taken:
            assert own == sorted(own)


def test_threads_share_an_iterator_of_messages(empty_url):
    """More than are made at once, so that threads also meet at the seams; `offset` waits for the last of them."""
    count = 5000
    with ds.SyncProducer(empty_url, "p", max_batch_items=900) as producer:
        for n in range(count):
            producer.append({"n": n})
    for _ in range(20):
        with ds.stream(empty_url, live=False) as res:
            items, start = res.iter_json(), res.offset
            taken = at_once(lambda _, items=items: [(item["n"]) for item in items])
            assert res.offset != start
        assert sorted(itertools.chain(*taken)) == list(range(count))
        for own in taken:
            assert own == sorted(own)


def test_an_offset_that_another_thread_saves_is_never_ahead(empty_url):
    """Whoever starts at it finds all that had not been taken when it was asked for."""
    handle = ds.DurableStream(empty_url)
    # How many messages are in front of an offset.
    places = {"-1": 0}
    numbers = itertools.count()
    taken, seen, has_ended = [], [], threading.Event()

    def write():
        for n in itertools.islice(numbers, 100):
            places[handle.append({"n": n}).next_offset] = n + 1

    def look(item=None):
        # In this order: more may be taken in between, not less.
        offset = res.offset
        seen.append((offset, len(taken)))
        return item

    def work(thread):
        if thread > 0:
            while not has_ended.wait(0.0001):
                look()
            return
        try:
            for item in res.iter_json(look):
                taken.append(item["n"])
                if len(taken) == 1000:
                    break
                if len(taken) % 100 == 0:
                    write()
        finally:
            has_ended.set()

    write()
    with handle.stream(live="long-poll") as res:
        at_once(work, threads=3)
    assert taken == list(range(1000))
    # A message may be on its way to the loop when the offset is asked for.
    assert [(offset, count) for offset, count in seen if places[offset] > count + 1] == []


def test_closing_ends_the_iteration_of_all_threads(json_url):
    for _ in range(20):
        with ds.stream(json_url, live="long-poll") as res:
            items = res.iter_json()
            first = [next(items) for _ in range(3)]
            rest = at_once(lambda thread, res=res, items=items: res.close() if thread == 0 else list(items))
        assert [item["n"] for item in first] == [0, 1, 2]
        assert rest == [None] + [[]] * (THREADS - 1)


def test_threads_close_what_others_use(empty_url):
    counts = []
    for n in range(20):
        producer = ds.SyncProducer(empty_url, f"p{n}")

        def work(thread, n=n, producer=producer):
            try:
                for at in itertools.count():
                    producer.append({"round": n, "thread": thread, "n": at})
                    if thread == 0 and at == 50:
                        producer.close()
            except ds.DurableStreamError as error:
                assert error.code == "ALREADY_CLOSED"
                return at

        counts.append(at_once(work))
    found = [[[] for _ in range(THREADS)] for _ in counts]
    for item in read(empty_url):
        found[item["round"]][item["thread"]].append(item["n"])
    # What was taken before the end is stored.
    assert found == [[list(range(count)) for count in of_round] for of_round in counts]


def test_a_value_that_another_thread_changes(empty_url):
    """Each message is the value as it was at one time."""
    value = {str(n): n for n in range(200)}
    has_ended = threading.Event()

    def work(thread):
        if thread == 0:
            while not has_ended.is_set():
                value["more"] = [[1], {"a": 2}]
                del value["more"]
            return
        try:
            with ds.SyncProducer(empty_url, "p") as producer:
                for _ in range(1000):
                    producer.append(value)
        finally:
            has_ended.set()

    at_once(work, threads=2)
    found = read(empty_url)
    assert len(found) == 1000
    for item in found:
        assert item.pop("more", [[1], {"a": 2}]) == [[1], {"a": 2}]
        assert item == {str(n): n for n in range(200)}


def test_the_first_uses_may_come_at_once():
    """The runtime, the classes of errors and the server start once, whoever comes first."""
    program = """
import threading
import durable_streams as ds
from durable_streams.testing import TestServer

start, outcomes = threading.Barrier(8), []

def work():
    start.wait()
    with TestServer() as server:
        with ds.DurableStream.create(server.new_url(), content_type="text/plain") as handle:
            handle.append("x")
        try:
            ds.DurableStream(server.new_url("missing")).head()
        except ds.StreamNotFoundError:
            outcomes.append("missing")

threads = [threading.Thread(target=work) for _ in range(8)]
for thread in threads: thread.start()
for thread in threads: thread.join()
print(*outcomes)
"""
    for _ in range(3):
        run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
        assert (run.returncode, run.stderr) == (0, "")
        assert run.stdout.split() == ["missing"] * 8
