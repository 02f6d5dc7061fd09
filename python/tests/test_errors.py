"""Every error class: when it comes, what it carries, what it is a kind of."""

import json

import pytest

import durable_streams as ds
from wire import Answer, up_to_date

# Class, parents beyond DurableStreamError.
CLASSES = [
    (ds.StreamNotFoundError, ()),
    (ds.StreamExistsError, ()),
    (ds.SeqConflictError, ()),
    (ds.StreamClosedError, ()),
    (ds.RetentionGoneError, ()),
    (ds.StreamConsumedError, ()),
    (ds.SSENotSupportedError, ()),
    (ds.SSEBytesIterationError, ()),
    (ds.SSEReadAllError, ()),
    (ds.SSEEncodingError, ()),
    (ds.StaleEpochError, ()),
    (ds.SequenceGapError, ()),
]
NO_RETRY = ds.RetryOptions(max_retries=0)


@pytest.mark.parametrize(("kind", "parents"), CLASSES)
def test_everything_is_a_durable_stream_error(kind, parents):
    assert issubclass(kind, ds.DurableStreamError)
    assert kind.__name__ in ds.__all__
    assert kind.__doc__


def test_the_base_class_can_be_made_by_hand():
    error = ds.DurableStreamError("text", status=418, code="TEAPOT", details={"a": 1})
    assert (str(error), error.status, error.code, error.details) == ("text", 418, "TEAPOT", {"a": 1})
    fetch = ds.FetchError("text", 500, "http://x", {"a": "b"}, "body")
    assert (fetch.status, fetch.url, fetch.headers, fetch.body) == (500, "http://x", {"a": "b"}, "body")


@pytest.mark.parametrize(
    ("status", "headers", "kind", "code"),
    [
        (400, {}, ds.DurableStreamError, "BAD_REQUEST"),
        (401, {}, ds.DurableStreamError, "UNAUTHORIZED"),
        (403, {}, ds.DurableStreamError, "FORBIDDEN"),
        (404, {}, ds.StreamNotFoundError, "NOT_FOUND"),
        (409, {"Stream-Closed": "true", "Stream-Next-Offset": "z"}, ds.StreamClosedError, "STREAM_CLOSED"),
        (429, {}, ds.DurableStreamError, "RATE_LIMITED"),
        (500, {}, ds.DurableStreamError, "HTTP_ERROR"),
        (503, {}, ds.DurableStreamError, "BUSY"),
    ],
)
def test_statuses_of_an_append(wire, status, headers, kind, code):
    wire.answer = lambda request: Answer(status, headers, b"the server says why")
    with ds.DurableStream(wire.url, content_type="text/plain", retry=NO_RETRY) as handle:
        with pytest.raises(kind) as caught:
            handle.append("x")
    error = caught.value
    assert (error.status, error.code) == (status, code)
    assert isinstance(error, ds.FetchError), "callers may also catch answers as fetch errors"
    assert "/v1/stream/scripted" in str(error)
    assert error.url == wire.url


@pytest.mark.parametrize(
    ("status", "kind"),
    [(404, ds.StreamNotFoundError), (410, ds.RetentionGoneError), (401, ds.DurableStreamError)],
)
def test_statuses_of_a_read(wire, status, kind):
    wire.answer = lambda request: Answer(status)
    with pytest.raises(kind) as caught:
        ds.stream(wire.url, live=False, retry=NO_RETRY).read_bytes()
    assert caught.value.status == status


def test_an_offset_the_server_does_not_know(json_url):
    with pytest.raises(ds.DurableStreamError) as caught:
        ds.stream(json_url, offset="not-an-offset", live=False).read_json()
    assert caught.value.status == 400


def test_a_sequence_gap_tells_both_numbers(text_url):
    with ds.DurableStream.connect(text_url) as handle, pytest.raises(ds.SequenceGapError) as caught:
        handle.append("x", producer_id="p", producer_epoch=0, producer_seq=4)
    assert (caught.value.expected_seq, caught.value.received_seq) == (0, 4)


def test_a_stale_epoch_tells_the_one_in_force(text_url):
    with ds.DurableStream.connect(text_url) as handle:
        handle.append("x", producer_id="p", producer_epoch=7, producer_seq=0)
        with pytest.raises(ds.StaleEpochError) as caught:
            handle.append("y", producer_id="p", producer_epoch=3, producer_seq=0)
    assert (caught.value.current_epoch, caught.value.status) == (7, 403)


def test_nobody_listens():
    with pytest.raises(ds.FetchError) as caught:
        ds.stream("http://127.0.0.1:9/nobody", live=False, retry=NO_RETRY)
    assert caught.value.code == "NETWORK_ERROR"
    assert caught.value.url == "http://127.0.0.1:9/nobody"
    assert caught.value.status is None


def test_a_dropped_connection_is_a_fetch_error(wire):
    wire.answer = lambda request: Answer(drop=True)
    with ds.DurableStream(wire.url, content_type="text/plain", retry=NO_RETRY) as handle:
        with pytest.raises(ds.FetchError) as caught:
            handle.append("x")
    assert caught.value.code == "NETWORK_ERROR"
    assert caught.value.may_be_applied is True


def test_a_request_has_a_time_limit(wire):
    with ds.DurableStream(wire.url, content_type="text/plain", timeout=0.2, retry=NO_RETRY) as handle:
        with pytest.raises(ds.FetchError) as caught:
            handle.append("x")
    assert caught.value.code == "TIMEOUT"
    wire.left()


@pytest.mark.parametrize("body", [b'[{"n":1}', b"[1]x", b'["\xff"]', b"["])
def test_broken_json_is_a_parse_error_and_no_empty_result(wire, body):
    wire.answer = lambda request: up_to_date(body, content_type="application/json")
    with pytest.raises(ds.DurableStreamError) as caught:
        ds.stream(wire.url, live=False, retry=NO_RETRY).read_json()
    assert caught.value.code == "PARSE_ERROR"


def test_broken_base64_is_an_encoding_error(wire):
    def answer(request):
        if "live" not in request.params:
            return up_to_date(b"", content_type="application/octet-stream")
        headers = {"Content-Type": "text/event-stream", "Stream-SSE-Data-Encoding": "base64"}
        control = json.dumps({"streamNextOffset": "c", "upToDate": True})
        body = f"event: data\ndata:a\n\nevent: control\ndata:{control}\n\n"
        return Answer(200, headers, body.encode())

    wire.answer = answer
    with pytest.raises(ds.SSEEncodingError):
        with ds.stream(wire.url, live="sse", retry=NO_RETRY) as res:
            list(res.iter_events(mode="bytes"))


def test_errors_survive_pickling(text_url):
    """They cross process borders in pools."""
    import pickle

    with ds.DurableStream.connect(text_url) as handle:
        handle.close_stream()
        with pytest.raises(ds.StreamClosedError) as caught:
            handle.append("x")
    copied = pickle.loads(pickle.dumps(caught.value))
    assert type(copied) is ds.StreamClosedError
    assert (str(copied), copied.status, copied.code) == (str(caught.value), 409, "STREAM_CLOSED")
    assert copied.final_offset == caught.value.final_offset


def test_on_error_may_repair_and_go_on(wire):
    """The documented use: fetch a new token when the old one has expired."""

    def answer(request):
        if request.headers.get("authorization") != "Bearer new":
            return Answer(401)
        return up_to_date(b"data")

    wire.answer = answer
    seen = []

    def on_error(error):
        seen.append(error)
        return {"headers": {"Authorization": "Bearer new"}}

    with ds.stream(wire.url, live=False, headers={"Authorization": "Bearer old"}, on_error=on_error) as res:
        assert res.read_text() == "data"
    assert [error.status for error in seen] == [401]
    assert isinstance(seen[0], ds.FetchError)
    assert isinstance(seen[0], ds.DurableStreamError)


def test_on_error_may_change_parameters(wire):
    wire.answer = lambda request: up_to_date(b"x") if request.params.get("key") == "2" else Answer(401)
    with ds.stream(
        wire.url, live=False, params={"key": "1"}, on_error=lambda error: {"params": {"key": "2"}}
    ) as res:
        assert res.read_text() == "x"


def test_an_empty_dict_of_on_error_means_again(wire):
    wire.script(Answer(401), up_to_date(b"x"))
    with ds.stream(wire.url, live=False, on_error=lambda error: {}) as res:
        assert res.read_text() == "x"


def test_none_of_on_error_means_raise(wire):
    wire.answer = lambda request: Answer(403)
    with pytest.raises(ds.DurableStreamError) as caught:
        ds.stream(wire.url, live=False, on_error=lambda error: None)
    assert caught.value.status == 403


def test_an_exception_of_on_error_is_raised_as_it_is(wire):
    wire.answer = lambda request: Answer(403)

    class Own(Exception):
        pass

    def on_error(error):
        raise Own("mine")

    with pytest.raises(Own, match="mine"):
        ds.stream(wire.url, live=False, on_error=on_error)


def test_on_error_applies_to_live_reads_too(wire):
    """A token that expires in the middle of a tail."""

    def answer(request):
        if "live" in request.params and request.headers.get("authorization") != "new":
            return Answer(401)
        start = request.params["offset"]
        if start == "-1":
            return up_to_date(b"old", offset="b")
        if start == "b":
            return up_to_date(b"live", offset="c") if "live" in request.params else up_to_date(b"", offset="b")
        return up_to_date(b"", offset="c", **{"Stream-Closed": "true"})

    wire.answer = answer
    with ds.stream(
        wire.url, live="long-poll", on_error=lambda error: {"headers": {"Authorization": "new"}}
    ) as res:
        assert "".join(res.iter_text()) == "oldlive"


def test_on_error_of_a_handle(wire):
    wire.answer = lambda request: Answer(204, {"Stream-Next-Offset": "b"}) if "x-key" in request.headers else Answer(401)
    with ds.DurableStream(
        wire.url, content_type="text/plain", on_error=lambda error: {"headers": {"X-Key": "1"}}
    ) as handle:
        assert handle.append("x").next_offset == "b"


def test_retries_and_the_retry_after_floor(wire):
    wire.script(Answer(503, {"Retry-After": "1"}), Answer(204, {"Stream-Next-Offset": "b"}))
    with ds.DurableStream(wire.url, content_type="text/plain") as handle:
        assert handle.append("x").next_offset == "b"
    assert [request.body for request in wire.requests] == [b"x", b"x"]


@pytest.mark.parametrize(
    ("field", "value"),
    [("max_retries", -1), ("initial_delay_ms", 0), ("max_delay_ms", 1), ("multiplier", 0.5)],
)
def test_retry_options_are_checked(field, value):
    with pytest.raises(ValueError, match=field):
        ds.RetryOptions(**{field: value})
