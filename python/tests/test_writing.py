"""Handles of the blocking client: create, append, head, close, delete, forks."""

import datetime
import threading

import pytest

import durable_streams as ds


def read(url):
    with ds.stream(url, live=False) as res:
        return res.read_json()


def test_create_connect_head_delete(url):
    with ds.DurableStream.create(url, content_type="application/json", ttl_seconds=600) as handle:
        assert handle.url == url
        assert handle.content_type == "application/json"
    connected = ds.DurableStream.connect(url)
    assert connected.content_type == "application/json"
    head = connected.head()
    assert head.exists is True
    assert head.content_type == "application/json"
    assert head.stream_closed is False
    assert head.ttl_seconds == 600
    assert isinstance(head.offset, str)
    assert head.cache_control == "no-store"
    connected.delete()
    with pytest.raises(ds.StreamNotFoundError):
        connected.head()


def test_static_functions(url):
    ds.DurableStream.create(url, content_type="text/plain").close()
    head = ds.DurableStream.head_static(url)
    assert (head.exists, head.content_type) == (True, "text/plain")
    assert ds.DurableStream.delete_static(url) is None
    with pytest.raises(ds.StreamNotFoundError):
        ds.DurableStream.head_static(url)
    with pytest.raises(ds.StreamNotFoundError):
        ds.DurableStream.delete_static(url)


def test_a_constructed_handle_does_no_io():
    handle = ds.DurableStream("http://127.0.0.1:9/nobody-listens", content_type="text/plain")
    assert handle.content_type == "text/plain"
    handle.close()


def test_create_tells_new_from_existing(url):
    handle = ds.DurableStream(url)
    first = handle.create_stream(content_type="text/plain")
    second = handle.create_stream(content_type="text/plain")
    assert (first.created, first.status) == (True, 201)
    assert (second.created, second.status) == (False, 200)
    assert first.next_offset == second.next_offset


def test_create_with_another_configuration_is_a_conflict(url):
    ds.DurableStream.create(url, content_type="text/plain")
    with pytest.raises(ds.StreamExistsError) as caught:
        ds.DurableStream.create(url, content_type="application/json")
    assert (caught.value.status, caught.value.code) == (409, "CONFLICT_EXISTS")
    assert caught.value.url == url


def test_create_with_body_and_closed(url):
    with ds.DurableStream.create(url, content_type="application/json", body=[{"n": 1}], closed=True) as handle:
        assert handle.head().stream_closed is True
    with ds.stream(url) as res:
        assert list(res.iter_json()) == [{"n": 1}]


def test_expires_at_takes_text_and_datetime(server, url):
    instant = datetime.datetime(2035, 1, 1, tzinfo=datetime.timezone.utc)
    for suffix, value in (("-text", "2035-01-01T00:00:00Z"), ("-datetime", instant)):
        with ds.DurableStream.create(url + suffix, content_type="text/plain", expires_at=value) as handle:
            found = datetime.datetime.fromisoformat(handle.head().expires_at.replace("Z", "+00:00"))
            assert found == instant


@pytest.mark.parametrize(
    "value", [{"a": 1}, [1, [2]], [], 0, -1.5, True, False, None, 10**30, {"deep": {"er": [None]}}]
)
def test_values_become_one_json_message_each(url, value):
    with ds.DurableStream.create(url, content_type="application/json") as handle:
        handle.append(value)
    assert read(url) == [value]


def test_text_on_a_json_stream_is_serialised_json(url):
    with ds.DurableStream.create(url, content_type="application/json") as handle:
        handle.append('{"a":1}')
        handle.append("[1,2]")
        handle.append(b'"text"')
    assert read(url) == [{"a": 1}, [1, 2], "text"]


def test_text_that_is_no_json_is_refused_before_sending(url):
    with ds.DurableStream.create(url, content_type="application/json") as handle:
        with pytest.raises(ValueError):
            handle.append("hello")
    assert read(url) == []


def test_append_json_always_encodes(url):
    with ds.DurableStream.create(url, content_type="application/json") as handle:
        handle.append_json("hello")
        handle.append_json({"a": (1, 2)})
    assert read(url) == ["hello", {"a": [1, 2]}]


def test_what_json_cannot_say_is_refused(url):
    with ds.DurableStream.create(url, content_type="application/json") as handle:
        for value in (object(), {"a": {1, 2}}, {("tuple",): 1}):
            with pytest.raises(TypeError):
                handle.append(value)
        for value in (float("nan"), float("inf"), {"a": -float("inf")}):
            with pytest.raises(ValueError):
                handle.append(value)
        circle = []
        circle.append(circle)
        with pytest.raises((ValueError, RecursionError)):
            handle.append(circle)
    assert read(url) == []


def test_text_survives_the_way_there_and_back(url):
    texts = ["", "grün", "\x00\x1f\x7f", '"\\/', "\u2028\u2029", "😀", "a" * 100_000]
    with ds.DurableStream.create(url, content_type="application/json") as handle:
        for text in texts:
            handle.append({text: text})
    assert read(url) == [{text: text} for text in texts]


def test_a_lone_surrogate_is_refused_or_kept(url):
    """It is no Unicode text; whatever happens, it is not changed in silence."""
    with ds.DurableStream.create(url, content_type="application/json") as handle:
        try:
            handle.append({"a": "\ud800"})
        except ValueError:
            assert read(url) == []
        else:
            assert read(url) == [{"a": "\ud800"}]


@pytest.mark.parametrize("make", [bytes, bytearray, memoryview])
def test_everything_with_bytes_in_it_is_appended(url, make):
    with ds.DurableStream.create(url, content_type="application/octet-stream") as handle:
        handle.append(make(bytes(range(256))))
    with ds.stream(url, live=False) as res:
        assert res.read_bytes() == bytes(range(256))


def test_a_dict_on_a_text_stream_is_refused(text_url):
    with ds.DurableStream.connect(text_url) as handle, pytest.raises(TypeError):
        handle.append({"a": 1})


@pytest.mark.parametrize("nothing", ["", b""])
def test_an_empty_append_is_refused_before_sending(text_url, nothing):
    with ds.DurableStream.connect(text_url) as handle:
        before = handle.head().offset
        with pytest.raises((ValueError, ds.DurableStreamError)):
            handle.append(nothing)
        assert handle.head().offset == before


def test_append_tells_the_new_tail(text_url):
    with ds.DurableStream.connect(text_url) as handle:
        appended = handle.append("x")
        assert appended.next_offset == handle.head().offset
        assert appended.duplicate is False


def test_the_content_type_is_asked_for_once(wire):
    """Text says nothing about the stream; one request finds out."""
    from wire import Answer

    def answer(request):
        if request.method == "HEAD":
            return Answer(200, {"Content-Type": "application/json", "Stream-Next-Offset": "a"})
        return Answer(204, {"Stream-Next-Offset": "b"})

    wire.answer = answer
    with ds.DurableStream(wire.url) as handle:
        handle.append("1")
        handle.append("2")
    assert [(request.method, request.body) for request in wire.requests] == [
        ("HEAD", b""), ("POST", b"[1]"), ("POST", b"[2]"),
    ]  # fmt: skip


def test_append_to_a_stream_that_is_not_there(url):
    with ds.DurableStream(url) as handle, pytest.raises(ds.StreamNotFoundError):
        handle.append("x")


def test_stream_seq_must_rise(text_url):
    with ds.DurableStream.connect(text_url) as handle:
        handle.append("a", seq="2")
        with pytest.raises(ds.SeqConflictError) as caught:
            handle.append("b", seq="1")
    assert (caught.value.status, caught.value.code) == (409, "CONFLICT_SEQ")


def test_a_single_append_can_carry_a_producers_claim(text_url):
    with ds.DurableStream.connect(text_url) as handle:
        claim = {"producer_id": "p", "producer_epoch": 0, "producer_seq": 0}
        assert handle.append("x", **claim).duplicate is False
        assert handle.append("x", **claim).duplicate is True
    with ds.stream(text_url, live=False) as res:
        assert res.read_text() == "grün blaux"


def test_close_stream_is_the_end_for_everyone(json_url):
    with ds.DurableStream.connect(json_url) as handle:
        closed = handle.close_stream(data={"n": 3})
        assert closed.final_offset == handle.head().offset
        assert handle.close_stream().final_offset == closed.final_offset
        with pytest.raises(ds.StreamClosedError) as caught:
            handle.append({"n": 4})
        assert caught.value.final_offset == closed.final_offset
        assert (caught.value.status, caught.value.code, caught.value.url) == (409, "STREAM_CLOSED", json_url)
        with pytest.raises(ds.StreamClosedError):
            handle.close_stream(data={"n": 4})
    assert read(json_url) == [{"n": n} for n in range(4)]


def test_close_and_the_context_manager_never_end_the_stream(json_url):
    with ds.DurableStream.connect(json_url) as handle:
        pass
    handle.close()
    assert ds.DurableStream.head_static(json_url).stream_closed is False


def test_a_closed_handle_refuses(json_url):
    handle = ds.DurableStream.connect(json_url)
    handle.close()
    with pytest.raises(ds.DurableStreamError) as caught:
        handle.append({"n": 3})
    assert caught.value.code == "ALREADY_CLOSED"


def test_fork_begins_with_the_sources_data(server, json_url):
    fork = json_url + "-fork"
    with ds.DurableStream.create(fork, fork_from=json_url) as handle:
        handle.append({"n": "own"})
    assert read(fork) == [{"n": 0}, {"n": 1}, {"n": 2}, {"n": "own"}]
    assert read(json_url) == [{"n": n} for n in range(3)]


def test_fork_at_an_offset(json_url):
    with ds.stream(json_url, offset="now", live=False) as res:
        tail = res.offset
    with ds.DurableStream.connect(json_url) as source:
        source.append({"n": 3})
        ds.DurableStream.create(json_url + "-fork", fork_from=source, fork_offset=tail).close()
    assert read(json_url + "-fork") == [{"n": n} for n in range(3)]


def test_appends_of_many_threads_on_one_handle_are_all_stored_once(url):
    """Ten threads, one handle: batched or not, every message is there, each thread's in order."""
    for batching in (True, False):
        target = f"{url}-{batching}"
        with ds.DurableStream.create(target, content_type="application/json", batching=batching) as handle:
            start = threading.Barrier(10)
            failures = []

            def work(thread):
                start.wait()
                try:
                    for n in range(100):
                        handle.append({"thread": thread, "n": n})
                except BaseException as problem:
                    failures.append(problem)

            threads = [threading.Thread(target=work, args=(thread,)) for thread in range(10)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        assert failures == []
        found = read(target)
        assert len(found) == 1000
        for thread in range(10):
            assert [item["n"] for item in found if item["thread"] == thread] == list(range(100))


def test_appends_that_wait_share_a_request(wire):
    """While one POST is under way, later appends gather for the next."""
    from wire import Answer

    first_may_end = threading.Event()

    def answer(request):
        if len(wire.requests) == 1:
            first_may_end.wait(10)
        return Answer(204, {"Stream-Next-Offset": "b"})

    wire.answer = answer
    with ds.DurableStream(wire.url, content_type="application/json") as handle:
        threads = [threading.Thread(target=handle.append, args=({"n": n},)) for n in range(5)]
        threads[0].start()
        wire.arrived()
        for thread in threads[1:]:
            thread.start()
        # They wait inside the client, where nothing shows; the batch is bounded by the release.
        for thread in threads[1:]:
            thread.join(0.3)
        first_may_end.set()
        for thread in threads:
            thread.join(10)
    assert len(wire.requests) == 2
    assert wire.requests[0].body == b'[{"n":0}]'
    assert sorted(wire.requests[1].body.decode().strip("[]").split(",")) == [f'{{"n":{n}}}' for n in range(1, 5)]
