"""Headers and parameters that are functions: asked for every HTTP request."""

import itertools
import threading

import pytest

import durable_streams as ds
from wire import Answer, up_to_date


def test_functions_are_asked_for_every_request_retries_included(wire):
    wire.script(Answer(503), Answer(503), Answer(204, {"Stream-Next-Offset": "b"}))
    count = itertools.count(1)
    with ds.DurableStream(
        wire.url,
        content_type="text/plain",
        headers={"X-Count": lambda: f"h{next(count)}", "X-Fixed": "f"},
        params={"key": lambda: "k", "fixed": "p", "left-out": None},
    ) as handle:
        handle.append("x")
    assert [request.headers["x-count"] for request in wire.requests] == ["h1", "h2", "h3"]
    assert {request.headers["x-fixed"] for request in wire.requests} == {"f"}
    assert [request.params for request in wire.requests] == [{"fixed": "p", "key": "k"}] * 3


def test_functions_are_asked_for_every_live_request(wire):
    closed = up_to_date(b"", offset="d", **{"Stream-Closed": "true"})
    wire.script(up_to_date(b"1", "b"), up_to_date(b"2", "c"), closed)
    count = itertools.count(1)
    with ds.stream(wire.url, live="long-poll", headers={"X-Count": lambda: str(next(count))}) as res:
        assert "".join(res.iter_text()) == "12"
    assert [request.headers["x-count"] for request in wire.requests] == ["1", "2", "3"]


@pytest.mark.parametrize("name", ["offset", "live", "cursor"])
def test_parameters_of_the_protocol_cannot_be_overridden(wire, name):
    with pytest.raises(ValueError, match=name):
        ds.stream(wire.url, live=False, params={name: "mine"})
    assert wire.requests == []


def test_parameters_of_the_url_stay(wire):
    wire.answer = lambda request: up_to_date(b"x")
    with ds.stream(wire.url + "?tenant=a%20b", live=False) as res:
        res.read_text()
    assert wire.requests[0].params == {"tenant": "a b", "offset": "-1"}


def test_headers_of_a_read_add_to_those_of_the_handle(wire):
    wire.answer = lambda request: up_to_date(b"x")
    with ds.DurableStream(wire.url, headers={"X-A": "handle", "X-B": "handle"}) as handle:
        with handle.stream(live=False, headers={"x-b": "read"}) as res:
            res.read_text()
    assert (wire.requests[0].headers["x-a"], wire.requests[0].headers["x-b"]) == ("handle", "read")


def test_a_sync_function_may_not_be_asynchronous(wire):
    async def value():
        return "x"

    with pytest.raises(TypeError):
        ds.DurableStream(wire.url, headers={"X-A": value}).head()
    assert wire.requests == []


def test_an_exception_of_a_function_is_raised_as_it_is_and_nothing_is_sent(wire):
    class Own(Exception):
        pass

    def value():
        raise Own("mine")

    with pytest.raises(Own, match="mine"):
        ds.DurableStream(wire.url, headers={"X-A": value}).head()
    assert wire.requests == []


def test_a_value_that_is_no_text_is_refused(wire):
    with pytest.raises(TypeError, match="X-A"):
        ds.DurableStream(wire.url, headers={"X-A": lambda: 3}).head()
    with pytest.raises((ValueError, ds.DurableStreamError), match="X-A"):
        ds.DurableStream(wire.url, headers={"X-A": "line\nbreak"}).head()


def test_a_function_may_use_the_client_itself(wire, text_url):
    """Fetching a token from a stream while a request is being prepared must not lock up."""
    wire.answer = lambda request: up_to_date(b"x")

    def token():
        with ds.stream(text_url, live=False) as res:
            return res.read_text().encode().hex()

    with ds.stream(wire.url, live=False, headers={"X-Token": token}) as res:
        assert res.read_text() == "x"
    assert bytes.fromhex(wire.requests[0].headers["x-token"]).decode() == "grün blau"


def test_functions_of_producers_are_asked_too(wire):
    wire.answer = lambda request: Answer(200, {"Stream-Next-Offset": "b"})
    main = threading.get_ident()
    seen = []

    def value():
        seen.append(threading.get_ident() == main)
        return str(len(seen))

    with ds.DurableStream(wire.url, content_type="text/plain", headers={"X-N": value}) as handle:
        with ds.SyncProducer(handle, "p") as producer:
            producer.append("x")
            producer.flush()
            producer.append("y")
    assert [request.headers["x-n"] for request in wire.requests] == ["1", "2"]
