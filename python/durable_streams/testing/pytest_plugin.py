"""Fixtures for pytest; loaded by itself when the package is installed."""

from __future__ import annotations

from typing import Iterator

import pytest

from . import TestServer


@pytest.fixture(scope="session")
def durable_streams_server() -> Iterator[TestServer]:
    """A Durable Streams server for the whole session."""
    with TestServer() as server:
        yield server


@pytest.fixture
def durable_stream_url(durable_streams_server: TestServer) -> Iterator[str]:
    """The URL of a stream that does not exist yet; faults injected by the test are cleared behind it."""
    yield durable_streams_server.new_url()
    durable_streams_server.clear_faults()
