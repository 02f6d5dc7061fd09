"""Reading with the blocking client: iterators, readers, modes, properties."""

import json
import random
import threading

import pytest

import durable_streams as ds
from wire import Answer

NUMBERED = [{"n": 0}, {"n": 1}, {"n": 2}]


def close_stream(url):
    with ds.DurableStream(url) as handle:
        return handle.close_stream()


def test_iter_json_yields_one_item_at_a_time(json_url):
    with ds.stream(json_url, live=False) as res:
        assert list(res.iter_json()) == NUMBERED


def test_iter_json_maps_each_item_through_decode(json_url):
    with ds.stream(json_url, live=False) as res:
        assert list(res.iter_json(decode=lambda item: item["n"])) == [0, 1, 2]


def test_iter_json_batches_yields_lists(json_url):
    with ds.stream(json_url, live=False) as res:
        batches = list(res.iter_json_batches())
    assert [item for batch in batches for item in batch] == NUMBERED
    assert all(isinstance(batch, list) for batch in batches)


def test_iter_text_decodes(text_url):
    with ds.stream(text_url, live=False) as res:
        assert "".join(res.iter_text()) == "grün blau"


def test_iter_text_takes_an_encoding(url):
    with ds.DurableStream.create(url, content_type="text/plain", body="grün".encode("latin-1")):
        pass
    with ds.stream(url, live=False) as res:
        assert "".join(res.iter_text("latin-1")) == "grün"


def test_a_character_cut_by_two_chunks_is_whole(url):
    """Appends are bytes; nothing says that they end with a character."""
    with ds.DurableStream.create(url, content_type="text/plain") as handle:
        handle.append("ü".encode()[:1])
        with ds.stream(url, live="long-poll") as res:
            texts = res.iter_text()
            handle.append("ü".encode()[1:])
            handle.close_stream()
            assert "".join(texts) == "ü"


def test_a_response_is_an_iterator_of_bytes(bytes_url):
    with ds.stream(bytes_url, live=False) as res:
        chunks = list(res)
    assert b"".join(chunks) == bytes(range(256))
    assert all(type(chunk) is bytes for chunk in chunks)


def test_iter_bytes_yields_bytes(bytes_url):
    with ds.stream(bytes_url, live=False) as res:
        assert b"".join(res.iter_bytes()) == bytes(range(256))


def test_read_bytes_returns_everything_to_the_end(bytes_url):
    with ds.stream(bytes_url, live=False) as res:
        assert res.read_bytes() == bytes(range(256))


def test_read_text_and_its_encoding(text_url):
    with ds.stream(text_url, live=False) as res:
        assert res.read_text() == "grün blau"
    with ds.stream(text_url, live=False) as res:
        assert res.read_text(encoding="latin-1") == "grün blau".encode().decode("latin-1")


def test_read_json_returns_all_items(json_url):
    with ds.stream(json_url, live=False) as res:
        assert res.read_json() == NUMBERED
    with ds.stream(json_url, live=False) as res:
        assert res.read_json(decode=lambda item: item["n"]) == [0, 1, 2]


def test_read_json_batches_returns_lists(json_url):
    with ds.stream(json_url, live=False) as res:
        batches = res.read_json_batches()
    assert [item for batch in batches for item in batch] == NUMBERED


@pytest.mark.parametrize("live", [True, "auto", "long-poll"])
def test_readers_stop_at_the_first_up_to_date_point_of_a_live_read(json_url, live):
    with ds.stream(json_url, live=live) as res:
        assert res.read_json() == NUMBERED


def test_read_bytes_stops_at_the_first_up_to_date_point_of_a_live_read(bytes_url):
    with ds.stream(bytes_url, live=True) as res:
        assert res.read_bytes() == bytes(range(256))


def test_json_keeps_what_python_can_hold(url):
    """Every kind of JSON value, from the server's bytes to Python objects."""
    texts = [
        "null", "true", "false", "0", "-0", "-1", "9007199254740993", "1" + "0" * 30, "-" + "9" * 25,
        "1.5", "1e3", "-2.5e-3", '""', '"grün \\u00fc \\ud83d\\ude00 \\n\\t\\"\\\\"', "[]", "{}",
        '[1,[2,[3,[4]]]]', '{"a":{"b":[{"c":null}]}}', '{"k":1,"k":2}',
    ]  # fmt: skip
    values = [
        None, True, False, 0, 0, -1, 9007199254740993, 10**30, -(10**25 - 1),
        1.5, 1000.0, -0.0025, "", 'grün ü 😀 \n\t"\\', [], {},
        [1, [2, [3, [4]]]], {"a": {"b": [{"c": None}]}}, {"k": 2},
    ]  # fmt: skip
    with ds.DurableStream.create(url, content_type="application/json") as handle:
        for text in texts:
            handle.append(text)
    with ds.stream(url, live=False) as res:
        found = res.read_json()
    assert found == values
    assert [type(item) for item in found] == [type(value) for value in values]


@pytest.mark.parametrize("live", [True, "auto", "long-poll", "sse"])
def test_a_live_read_goes_on_until_the_stream_is_closed(json_url, live):
    with ds.DurableStream(json_url) as handle, handle.stream(live=live) as res:
        items = res.iter_json()
        assert [next(items) for _ in range(3)] == NUMBERED
        handle.append({"n": 3})
        assert next(items) == {"n": 3}
        handle.close_stream(data={"n": 4})
        assert list(items) == [{"n": 4}]
        assert res.stream_closed
        assert res.up_to_date


def test_the_default_is_live(json_url):
    with ds.stream(json_url) as res:
        assert res.live is True
        items = res.iter_json()
        assert [next(items) for _ in range(3)] == NUMBERED
        threading.Timer(0.2, close_stream, [json_url]).start()
        assert list(items) == []
        assert res.stream_closed


def test_sse_of_text_and_bytes(text_url, bytes_url):
    for url, mode, data in ((text_url, "text", "grün blau"), (bytes_url, "bytes", bytes(range(256)))):
        close_stream(url)
        with ds.stream(url, live="sse") as res:
            events = [event.data for event in res.iter_events(mode=mode) if event.data]
        assert data[:0].join(events) == data


def test_bytes_of_a_binary_sse_stream_are_decoded(bytes_url):
    close_stream(bytes_url)
    with ds.stream(bytes_url, live="sse") as res:
        assert b"".join(res.iter_bytes()) == bytes(range(256))


@pytest.mark.parametrize("fixture", ["json_url", "text_url"])
def test_bytes_of_json_and_text_over_sse_are_refused(fixture, request):
    with ds.stream(request.getfixturevalue(fixture), live="sse") as res:
        with pytest.raises(ds.SSEBytesIterationError):
            next(iter(res))


@pytest.mark.parametrize("method", ["read_text", "read_json", "read_json_batches"])
def test_readers_of_everything_are_refused_over_sse(json_url, method):
    with ds.stream(json_url, live="sse") as res:
        with pytest.raises(ds.SSEReadAllError) as caught:
            getattr(res, method)()
    assert caught.value.method == method


def test_events_carry_offset_and_flags(json_url):
    with ds.stream(json_url, live=False) as res:
        events = list(res.iter_events())
        assert [event.data for event in events] == NUMBERED
        assert events[-1].up_to_date is True
        assert events[-1].next_offset == res.offset
    with ds.stream(json_url, offset=events[-1].next_offset, live=False) as res:
        assert res.read_json() == []


@pytest.mark.parametrize(
    ("mode", "data"),
    [
        ("json_batches", [NUMBERED]),
        ("text", ['[{"n":0},{"n":1},{"n":2}]']),
        ("bytes", [b'[{"n":0},{"n":1},{"n":2}]']),
    ],
)
def test_modes_of_events(json_url, mode, data):
    with ds.stream(json_url, live=False) as res:
        assert [event.data for event in res.iter_events(mode=mode)] == data


def test_an_unknown_mode_is_refused(json_url):
    with ds.stream(json_url, live=False) as res, pytest.raises(ValueError, match="mode"):
        list(res.iter_events(mode="yaml"))


def test_a_stream_event_is_a_frozen_dataclass():
    event = ds.StreamEvent(data=1, next_offset="b", up_to_date=True)
    assert event == ds.StreamEvent(1, "b", True, None)
    assert event.cursor is None
    with pytest.raises(AttributeError):
        event.data = 2


def test_properties_of_a_response(json_url):
    with ds.stream(json_url, live=False) as res:
        assert res.url == json_url
        assert res.content_type == "application/json"
        assert res.live is False
        assert res.start_offset == "-1"
        assert (res.status, res.ok) == (200, True)
        assert isinstance(res.status_text, str)
        assert res.closed is False
        assert {name.lower() for name in res.headers} >= {"content-type", "stream-next-offset"}
        res.read_json()
        assert res.up_to_date is True
        assert res.stream_closed is False
    assert res.closed is True


def test_offset_moves_with_what_was_taken_not_with_what_was_fetched(url):
    """A saved offset never skips data."""
    with ds.DurableStream.create(url, content_type="application/json") as handle:
        offsets = [handle.append({"n": n}).next_offset for n in range(2)]
        with handle.stream(live="long-poll", offset="-1") as res:
            batches = res.iter_json_batches()
            assert next(batches) == [{"n": 0}, {"n": 1}]
            assert res.offset == offsets[1]
            appended = handle.append({"n": 2})
            assert res.offset == offsets[1]
            assert next(batches) == [{"n": 2}]
            assert res.offset == appended.next_offset


def test_a_read_resumes_where_another_stopped(url):
    with ds.DurableStream.create(url, content_type="application/json") as handle:
        middle = handle.append({"n": 0}).next_offset
        handle.append({"n": 1})
        with handle.stream(offset=middle, live=False) as res:
            assert res.start_offset == middle
            assert res.read_json() == [{"n": 1}]


def test_offset_now_skips_what_is_there(json_url):
    with ds.DurableStream(json_url) as handle, handle.stream(offset="now", live="long-poll") as res:
        handle.append({"n": 3})
        handle.close_stream()
        assert list(res.iter_json()) == [{"n": 3}]


def test_a_response_is_consumed_once(json_url):
    with ds.stream(json_url, live=False) as res:
        list(res.iter_json())
        with pytest.raises(ds.StreamConsumedError) as caught:
            res.read_bytes()
    assert caught.value.attempted_method == "read_bytes"
    assert caught.value.consumed_by == "iter_json"
    assert caught.value.code == "ALREADY_CONSUMED"


def test_closing_twice_is_fine_and_reading_afterwards_is_refused(json_url):
    res = ds.stream(json_url, live=False)
    res.close()
    res.close()
    with pytest.raises(ds.DurableStreamError):
        res.read_json()


def test_an_empty_stream_has_no_items(url):
    with ds.DurableStream.create(url, content_type="application/json"):
        pass
    with ds.stream(url, live=False) as res:
        assert list(res.iter_json()) == []
        assert res.up_to_date is True
    with ds.stream(url, live=False) as res:
        assert res.read_json() == []


def test_a_large_stream_arrives_whole_and_in_order(url):
    with ds.DurableStream.create(url, content_type="application/json") as handle:
        with ds.SyncProducer(handle, "filler") as producer:
            for n in range(50_000):
                producer.append({"n": n, "pad": "x" * 80})
    with ds.stream(url, live=False) as res:
        assert [item["n"] for item in res.iter_json()] == list(range(50_000))


def test_large_answers_of_bytes_arrive_whole_and_in_order(url):
    """Each comes in several pieces."""
    parts = [random.Random(n).randbytes(1 << 20) for n in range(3)]
    with ds.DurableStream.create(url, content_type="application/octet-stream") as handle:
        for part in parts:
            handle.append(part)
    whole = b"".join(parts)
    with ds.stream(url, live=False) as res:
        assert b"".join(res.iter_bytes()) == whole
    with ds.stream(url, live=False) as res:
        assert res.read_bytes() == whole


def test_json_on_a_stream_that_is_not_in_json_mode_is_read_across_pieces(url):
    text = json.dumps([{"n": n, "pad": "x" * 80} for n in range(20_000)])
    with ds.DurableStream.create(url, content_type="text/plain") as handle:
        handle.append(text)
    with ds.stream(url, live=False) as res:
        assert [item["n"] for item in res.iter_json()] == list(range(20_000))


def test_closing_from_another_thread_ends_a_waiting_iteration(json_url):
    with ds.stream(json_url, offset="now", live="long-poll") as res:
        threading.Timer(0.2, res.close).start()
        assert list(res.iter_json()) == []
        assert res.closed


def test_a_bad_url_is_refused_with_its_text():
    with pytest.raises((ValueError, ds.DurableStreamError), match="no url at all"):
        ds.stream("no url at all", live=False)


@pytest.mark.parametrize("live", ["sometimes", 3, None])
def test_an_unknown_live_mode_is_refused(json_url, live):
    with pytest.raises((ValueError, TypeError), match="live"):
        ds.stream(json_url, live=live)


def test_a_response_is_there_with_the_first_answer_not_with_its_data(wire, run):
    """The body never comes; the answer's head has all there is to know."""
    headers = {"Content-Type": "text/plain", "Stream-Next-Offset": "b", "X-Own": "kept"}
    wire.answer = lambda request: Answer(200, headers, hold_body=True)
    with ds.stream(wire.url, live=False) as res:
        assert (res.status, res.content_type, res.headers["x-own"]) == (200, "text/plain", "kept")
        assert (res.offset, res.up_to_date, res.stream_closed) == ("-1", False, False)
    wire.left()

    async def main():
        async with ds.astream(wire.url, live=False) as res:
            assert (res.status, res.content_type, res.offset) == (200, "text/plain", "-1")

    run(main)


def test_max_batch_bytes_cuts_an_answer_and_the_offset_waits_for_its_end(url):
    with ds.DurableStream.create(url, content_type="application/octet-stream") as handle:
        end = handle.append(b"x" * 1_000_000).next_offset
        with handle.stream(live=False, max_batch_bytes=100_000) as res:
            pieces = [(len(chunk), res.offset) for chunk in res]
            assert res.offset == end
    assert sum(length for length, _ in pieces) == 1_000_000
    assert len(pieces) > 1
    assert {offset for _, offset in pieces[:-1]} == {"-1"}
    with pytest.raises(ValueError, match="max_batch_bytes"):
        ds.stream(url, max_batch_bytes=0)
