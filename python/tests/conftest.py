"""Fixtures: a server of the installed wheel, event loops, streams with content."""

import uuid

import pytest

import durable_streams as ds
from durable_streams.testing import TestServer
from loops import LOOPS
from wire import Wire


@pytest.fixture(scope="session")
def server():
    with TestServer() as server:
        yield server


@pytest.fixture
def url(server):
    """The URL of a stream that does not exist yet."""
    return f"{server.streams_url}/test-{uuid.uuid4()}"


@pytest.fixture
def json_url(url):
    """A JSON stream of three messages, open."""
    url += "-json"
    with ds.DurableStream.create(url, content_type="application/json") as handle:
        for n in range(3):
            handle.append({"n": n})
    return url


@pytest.fixture
def text_url(url):
    """A text stream of two appends, open."""
    url += "-text"
    with ds.DurableStream.create(url, content_type="text/plain") as handle:
        handle.append("grün ")
        handle.append("blau")
    return url


@pytest.fixture
def bytes_url(url):
    """A byte stream of all byte values, open."""
    url += "-bytes"
    with ds.DurableStream.create(url, content_type="application/octet-stream") as handle:
        handle.append(bytes(range(256)))
    return url


@pytest.fixture
def wire():
    """A scripted HTTP server that sees when a client goes away."""
    with Wire() as wire:
        yield wire


@pytest.fixture(params=LOOPS)
def run(request):
    """Runs a coroutine function to its end, on every kind of event loop."""
    return LOOPS[request.param]
