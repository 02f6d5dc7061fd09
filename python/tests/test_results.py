"""What results and errors say about the answer."""

import pytest

import durable_streams as ds
from wire import Answer

STORED = {"Stream-Next-Offset": "7", "ETag": '"v7"', "Stream-Closed": "true", "X-Own": "kept"}


def test_an_append_tells_of_its_answer(wire):
    wire.script(Answer(503), Answer(204, STORED))
    retry = ds.RetryOptions(initial_delay_ms=1, max_delay_ms=1)
    with ds.DurableStream(wire.url, content_type="text/plain", retry=retry) as handle:
        result = handle.append("a")
    assert (result.next_offset, result.etag, result.stream_closed) == ("7", '"v7"', True)
    assert (result.status, result.headers["x-own"], result.attempts) == (204, "kept", 2)


def test_if_match_is_a_condition_of_the_request(wire, run):
    wire.answer = lambda request: Answer(204, {"Stream-Next-Offset": "7"})
    with ds.DurableStream(wire.url, content_type="application/json") as handle:
        handle.append({"n": 1}, if_match='"v6"')
        handle.append_json("text", if_match='"v7"')

    async def main():
        async with ds.AsyncDurableStream(wire.url, content_type="text/plain") as handle:
            await handle.append("a", if_match='"v8"')

    run(main)
    assert [wire.arrived().headers["if-match"] for _ in range(3)] == ['"v6"', '"v7"', '"v8"']


def test_create_close_and_head_tell_of_their_answers(url):
    handle = ds.DurableStream(url)
    created = handle.create_stream(content_type="text/plain", closed=True)
    assert (created.status, created.stream_closed, created.attempts) == (201, True, 1)
    closed = handle.close_stream()
    assert closed.final_offset == created.next_offset
    assert (closed.status, closed.headers["stream-closed"], closed.attempts) == (204, "true", 1)
    head = handle.head()
    assert (head.status, head.stream_closed, head.attempts) == (200, True, 1)


@pytest.mark.parametrize(
    ("operation", "act"),
    [
        ("create", lambda handle: handle.create_stream(content_type="text/plain")),
        ("append", lambda handle: handle.append("a")),
        ("close", lambda handle: handle.close_stream()),
        ("delete", lambda handle: handle.delete()),
        ("head", lambda handle: handle.head()),
        ("read", lambda handle: handle.stream(live=False)),
    ],
)
def test_errors_name_their_operation(wire, operation, act):
    wire.answer = lambda request: Answer(403)
    with pytest.raises(ds.HTTPStatusError) as caught:
        act(ds.DurableStream(wire.url, content_type="text/plain"))
    assert (caught.value.operation, caught.value.status) == (operation, 403)


def test_network_failures_name_their_operation():
    with pytest.raises(ds.FetchError) as caught:
        ds.DurableStream("http://127.0.0.1:9/nobody", retry=ds.RetryOptions(max_retries=0)).head()
    assert (caught.value.operation, caught.value.status) == ("head", None)
