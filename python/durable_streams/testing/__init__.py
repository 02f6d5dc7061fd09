"""A server inside the test process, for programs that use Durable Streams.

    from durable_streams.testing import TestServer

    with TestServer() as server:
        handle = DurableStream.create(f"{server.streams_url}/meters")

With pytest, the fixtures ``durable_streams_server`` (one for the session) and
``durable_stream_url`` (a fresh URL for the test) are there without an import.
"""

from __future__ import annotations

import itertools
import os
from typing import Optional, Tuple, Union

from .. import _durable_streams as _native

__all__ = ["TestServer"]


class TestServer:
    """The real server on a free loopback port, in memory unless ``data_dir`` says where.

    Starts with ``with`` or :meth:`start`. ``prefix`` is the path below which streams live.
    Units: ``long_poll_timeout`` in seconds.
    """

    __test__ = False  # Not a test, whatever pytest thinks of its name.

    def __init__(
        self,
        *,
        host: Optional[str] = None,
        port: Optional[int] = None,
        data_dir: Union[str, "os.PathLike[str]", None] = None,
        prefix: Optional[str] = "/v1/stream/",
        long_poll_timeout: Optional[float] = None,
    ) -> None:
        limit = None if long_poll_timeout is None else int(long_poll_timeout * 1000)
        self._native = _native.Server(
            host=host, port=port, data_dir=None if data_dir is None else os.fspath(data_dir), prefix=prefix, long_poll_timeout_ms=limit
        )
        self._numbers = itertools.count(1)

    def start(self) -> "TestServer":
        """Listens and serves."""
        self._native.start().wait()
        return self

    def stop(self) -> None:
        """Stops in order: live readers end, what is under way finishes. Repeating does nothing."""
        self._native.stop().wait()

    def __enter__(self) -> "TestServer":
        return self.start()

    def __exit__(self, *_exception: object) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """The origin, such as ``http://127.0.0.1:4437``."""
        return self._native.url

    @property
    def streams_url(self) -> str:
        """The URL below which streams live, without a slash at its end."""
        return self._native.streams_url

    @property
    def port(self) -> int:
        """The port listened on."""
        return self._native.port

    def new_url(self, name: str = "test") -> str:
        """A URL that no stream of this server has yet."""
        return f"{self.streams_url}/{name}-{next(self._numbers)}"

    def inject_fault(
        self,
        path: str,
        *,
        status: Optional[int] = None,
        delay_ms: Optional[int] = None,
        jitter_ms: int = 0,
        drop_connection: bool = False,
        truncate_body_bytes: Optional[int] = None,
        corrupt_body: bool = False,
        inject_sse_event: Optional[Tuple[str, str]] = None,
        count: Optional[int] = None,
        retry_after: Optional[int] = None,
        probability: Optional[float] = None,
        method: Optional[str] = None,
    ) -> None:
        """Lets the next request to this URL path fail, or as many as ``count`` says.

        Units: ``delay_ms`` and ``jitter_ms`` in ms, ``retry_after`` in seconds.
        """
        self._native.inject_fault(
            path,
            status=status,
            delay_ms=delay_ms,
            jitter_ms=jitter_ms,
            drop_connection=drop_connection,
            truncate_body_bytes=truncate_body_bytes,
            corrupt_body=corrupt_body,
            inject_sse_event=inject_sse_event,
            count=count,
            retry_after=retry_after,
            probability=probability,
            method=method,
        ).wait()

    def clear_faults(self) -> None:
        """Forgets all faults."""
        self._native.clear_faults().wait()

    def clear(self) -> None:
        """Deletes every stream."""
        self._native.clear().wait()

    def live_readers(self) -> int:
        """How many long-polls and server-sent-events answers are under way."""
        count: int = self._native.live_readers().wait()
        return count
