"""The asynchronous handle."""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING, Any, Callable, Mapping, Optional, Union

from . import _durable_streams as _native
from ._async_response import AsyncStreamSession
from ._bridge import bind_to_running_loop, perform
from ._config import Config, Timeout, settled
from ._errors import FetchError
from ._follow import AsyncFollow, Checkpoint
from ._handle import (
    Handle,
    Start,
    append_call,
    append_conditions,
    append_result,
    close_call,
    close_result,
    create_call,
    head_result,
    static_headers,
)
from ._source import AsyncPieces, AsyncSource
from ._types import (
    AppendResult,
    AsyncHeadersLike,
    AsyncParamsLike,
    CloseResult,
    CreateResult,
    HeadResult,
    LiveMode,
    Offset,
    RetryOptions,
)

if TYPE_CHECKING:
    import httpx


class AsyncDurableStream(Handle):
    """A handle to one stream: create, append, read, close, delete. Cheap, and without I/O until used.

    Usable from many tasks, on asyncio, trio and anyio. Appends that come while one is under way
    share the next request; ``batching=False`` sends each alone. Headers and params may be functions, also
    asynchronous ones, which are asked before every HTTP request. ``on_error(error)`` may answer ``{"headers": ..., "params": ...}``
    to try again. A ``client`` of httpx carries all requests and is never closed.

    Units: ``timeout`` and its kin in seconds.
    """

    def __init__(
        self,
        url: str,
        *,
        headers: Optional[AsyncHeadersLike] = None,
        params: Optional[AsyncParamsLike] = None,
        client: Optional["httpx.AsyncClient"] = None,
        timeout: Timeout = None,
        content_type: Optional[str] = None,
        long_poll_timeout: Timeout = None,
        sse_idle_timeout: Timeout = None,
        batching: bool = True,
        on_error: Optional[Callable[[Exception], Any]] = None,
        retry: Optional[RetryOptions] = None,
    ) -> None:
        config = Config(
            url,
            True,
            headers=headers or {},
            params=params or {},
            client=client,
            timeout=timeout,
            content_type=content_type,
            long_poll_timeout=long_poll_timeout,
            sse_idle_timeout=sse_idle_timeout,
            batching=batching,
            on_error=on_error,
            retry=retry,
        )
        super().__init__(config)

    @classmethod
    async def create(
        cls,
        url: str,
        *,
        content_type: Optional[str] = None,
        ttl_seconds: Union[float, datetime.timedelta, None] = None,
        expires_at: Union[str, datetime.datetime, None] = None,
        body: Any = None,
        closed: bool = False,
        fork_from: Union[str, Handle, None] = None,
        fork_offset: Optional[Offset] = None,
        fork_sub_offset: Optional[int] = None,
        headers: Optional[AsyncHeadersLike] = None,
        params: Optional[AsyncParamsLike] = None,
        client: Optional["httpx.AsyncClient"] = None,
        timeout: Timeout = None,
        long_poll_timeout: Timeout = None,
        sse_idle_timeout: Timeout = None,
        batching: bool = True,
        on_error: Optional[Callable[[Exception], Any]] = None,
        retry: Optional[RetryOptions] = None,
    ) -> "AsyncDurableStream":
        """Creates a stream and returns a handle to it.

        ``fork_from`` begins it with another stream's data, up to ``fork_offset`` or its tail.
        Units: ``ttl_seconds`` in seconds. Errors: ``StreamExistsError`` if it exists with other
        settings; the same settings are success. Source: protocol.md §5, §21.
        """
        handle = cls(
            url,
            headers=headers,
            params=params,
            client=client,
            timeout=timeout,
            long_poll_timeout=long_poll_timeout,
            sse_idle_timeout=sse_idle_timeout,
            batching=batching,
            on_error=on_error,
            retry=retry,
        )
        await handle.create_stream(
            content_type=content_type,
            ttl_seconds=ttl_seconds,
            expires_at=expires_at,
            body=body,
            closed=closed,
            fork_from=fork_from,
            fork_offset=fork_offset,
            fork_sub_offset=fork_sub_offset,
        )
        return handle

    @classmethod
    async def connect(
        cls,
        url: str,
        *,
        headers: Optional[AsyncHeadersLike] = None,
        params: Optional[AsyncParamsLike] = None,
        client: Optional["httpx.AsyncClient"] = None,
        timeout: Timeout = None,
        long_poll_timeout: Timeout = None,
        sse_idle_timeout: Timeout = None,
        batching: bool = True,
        on_error: Optional[Callable[[Exception], Any]] = None,
        retry: Optional[RetryOptions] = None,
    ) -> "AsyncDurableStream":
        """Returns a handle to a stream that exists, with its content type learned.

        Errors: ``StreamNotFoundError``.
        """
        handle = cls(
            url,
            headers=headers,
            params=params,
            client=client,
            timeout=timeout,
            long_poll_timeout=long_poll_timeout,
            sse_idle_timeout=sse_idle_timeout,
            batching=batching,
            on_error=on_error,
            retry=retry,
        )
        await handle.head()
        return handle

    @classmethod
    async def head_static(
        cls,
        url: str,
        *,
        headers: Optional[AsyncHeadersLike] = None,
        params: Optional[AsyncParamsLike] = None,
        client: Optional["httpx.AsyncClient"] = None,
        timeout: Timeout = None,
        long_poll_timeout: Timeout = None,
        sse_idle_timeout: Timeout = None,
        batching: bool = True,
        on_error: Optional[Callable[[Exception], Any]] = None,
        retry: Optional[RetryOptions] = None,
    ) -> HeadResult:
        """Asks for a stream's metadata without keeping a handle."""
        handle = cls(
            url,
            headers=headers,
            params=params,
            client=client,
            timeout=timeout,
            long_poll_timeout=long_poll_timeout,
            sse_idle_timeout=sse_idle_timeout,
            batching=batching,
            on_error=on_error,
            retry=retry,
        )
        return await handle.head()

    @classmethod
    async def delete_static(
        cls,
        url: str,
        *,
        headers: Optional[AsyncHeadersLike] = None,
        params: Optional[AsyncParamsLike] = None,
        client: Optional["httpx.AsyncClient"] = None,
        timeout: Timeout = None,
        long_poll_timeout: Timeout = None,
        sse_idle_timeout: Timeout = None,
        batching: bool = True,
        on_error: Optional[Callable[[Exception], Any]] = None,
        retry: Optional[RetryOptions] = None,
    ) -> None:
        """Deletes a stream without keeping a handle."""
        handle = cls(
            url,
            headers=headers,
            params=params,
            client=client,
            timeout=timeout,
            long_poll_timeout=long_poll_timeout,
            sse_idle_timeout=sse_idle_timeout,
            batching=batching,
            on_error=on_error,
            retry=retry,
        )
        await handle.delete()

    async def __aenter__(self) -> "AsyncDurableStream":
        return self

    async def __aexit__(self, *_exception: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Lets go of the handle. The stream stays open: :meth:`close_stream` ends it."""
        self._is_closed = True

    async def create_stream(
        self,
        *,
        content_type: Optional[str] = None,
        ttl_seconds: Union[float, datetime.timedelta, None] = None,
        expires_at: Union[str, datetime.datetime, None] = None,
        body: Any = None,
        closed: bool = False,
        fork_from: Union[str, Handle, None] = None,
        fork_offset: Optional[Offset] = None,
        fork_sub_offset: Optional[int] = None,
    ) -> CreateResult:
        """Creates the stream of this handle; see :meth:`create`."""
        if content_type is None and fork_from is None:
            content_type = self._config.content_type
        start = create_call(
            content_type, ttl_seconds, expires_at, body, closed, fork_from, fork_offset, fork_sub_offset
        )
        return self._created(await self._perform(start), content_type)

    async def head(self) -> HeadResult:
        """Asks for the stream's metadata; never extends its time to live.

        Errors: ``StreamNotFoundError``. Source: protocol.md §9.
        """
        return head_result(await self._perform(lambda native: native.head()))

    async def append(
        self,
        data: Any,
        *,
        seq: Optional[str] = None,
        content_type: Optional[str] = None,
        if_match: Optional[str] = None,
        headers: Optional[Mapping[str, str]] = None,
        producer_id: Optional[str] = None,
        producer_epoch: Optional[int] = None,
        producer_seq: Optional[int] = None,
    ) -> AppendResult:
        """Appends one message and returns once the server has stored it.

        Not repeated after a connection that broke midway, for it may be stored then: use a
        producer for exactly-once. ``seq`` must rise from append to append. ``if_match`` is an
        ``etag`` the stream must still have, where the server knows such conditions.
        Shape: bytes or str as they are; on JSON streams the JSON text of one message; dict, list,
        number, bool or None become one JSON message.
        Errors: ``StreamNotFoundError``, ``StreamClosedError``, ``SeqConflictError``;
        ``TypeError``, ``ValueError`` before anything is sent. Source: protocol.md §6.
        """
        start = append_call(
            data, False, seq, content_type, if_match, headers, producer_id, producer_epoch, producer_seq
        )
        return append_result(await self._perform(start))

    async def append_json(
        self,
        value: Any,
        *,
        seq: Optional[str] = None,
        if_match: Optional[str] = None,
        headers: Optional[Mapping[str, str]] = None,
    ) -> AppendResult:
        """Appends any value as one JSON message; a str becomes a JSON string."""
        start = append_call(value, True, seq, None, if_match, headers, None, None, None)
        return append_result(await self._perform(start))

    async def append_stream(
        self,
        source: AsyncSource,
        *,
        seq: Optional[str] = None,
        content_type: Optional[str] = None,
        if_match: Optional[str] = None,
        headers: Optional[Mapping[str, str]] = None,
    ) -> AppendResult:
        """Appends data that is still being made, as one append: stored whole or not at all.

        ``source`` is a file open for reading, or an iterable or asynchronous iterable of bytes or str; it is asked for more as
        fast as the network takes it, and is not closed. What it raises breaks the append off
        and is raised here. Sent once, never repeated; ``on_error`` is not asked.
        Shape: the pieces one behind the other; on JSON streams they must make up one JSON text.
        Errors: as :meth:`append`.
        """
        conditions = append_conditions(seq, content_type, if_match, headers)
        native = self._open_native()
        pieces = AsyncPieces(source)
        host = _native.Host(pieces, True)
        bind_to_running_loop(host)
        try:
            return append_result(await perform(native.append_stream(host, **conditions)))
        except FetchError:
            if pieces.raised is not None:
                raise pieces.raised from pieces.raised.__cause__
            raise

    async def close_stream(self, *, data: Any = None, content_type: Optional[str] = None) -> CloseResult:
        """Ends the stream for everyone, with a last message if there is one.

        Closing a closed stream is success. Errors: ``StreamNotFoundError``; ``StreamClosedError``
        if there is ``data``. Source: protocol.md §7.
        """
        return close_result(await self._perform(close_call(data, content_type)))

    async def delete(self, *, headers: Optional[Mapping[str, str]] = None) -> None:
        """Deletes the stream with all its data.

        Errors: ``StreamNotFoundError``. Source: protocol.md §8.
        """
        extra = static_headers(headers)
        await self._perform(lambda native: native.delete(headers=extra))

    def stream(
        self,
        *,
        offset: Optional[Offset] = None,
        live: LiveMode = True,
        cursor: Optional[str] = None,
        headers: Optional[AsyncHeadersLike] = None,
        params: Optional[AsyncParamsLike] = None,
        if_none_match: Optional[str] = None,
        timeout: Timeout = None,
        on_error: Optional[Callable[[Exception], Any]] = None,
        max_batch_bytes: Optional[int] = None,
    ) -> AsyncStreamSession:
        """Reads the stream from an offset on; ``await`` the session or enter it with ``async with``.

        ``offset`` is ``"-1"`` or ``None`` for the beginning, ``"now"`` for the tail, or one that was
        handed out. ``live=False`` stops where everything there is has been read; ``True`` goes on
        until the stream is closed. An answer larger than ``max_batch_bytes`` comes in pieces, if the
        stream is not JSON; until the last of them the offset stays in front of it.
        Units: ``timeout`` in seconds.
        Errors: ``StreamNotFoundError``, ``RetentionGoneError``, code ``BAD_REQUEST`` for an offset
        the server never gave out. Source: protocol.md §10 to §13.
        """

        def settings() -> Any:
            return self._reading(offset, live, cursor, if_none_match, headers, params, timeout, on_error, max_batch_bytes)

        return AsyncStreamSession(settings)

    def follow(
        self,
        checkpoint: Checkpoint,
        *,
        offset: Optional[Offset] = None,
        live: LiveMode = True,
        decode: Optional[Callable[[Any], Any]] = None,
        type: Any = None,
    ) -> AsyncFollow:
        """Iterates from where an earlier run stopped, and keeps the position.

        ``checkpoint`` is a path, or a function that is given each offset; ``offset`` is where to
        begin when there is no checkpoint yet. The position behind an answer's data is kept when
        the data after it is asked for: what was being processed when a program died comes again.
        Shape: messages of a JSON stream, bytes of any other.
        """
        return AsyncFollow(self, checkpoint, offset, live, decode, type)

    async def _perform(self, start: Start) -> Any:
        while True:
            try:
                return await perform(start(self._open_native()))
            except Exception as error:
                on_error = self._can_recover(error)
                if on_error is None or not self._again(await settled(on_error(error))):
                    raise
