"""Reading without a handle."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Callable, Optional

from ._async_response import AsyncStreamSession
from ._config import Config, Timeout
from ._reading import Settings
from ._response import StreamResponse
from ._types import AsyncHeadersLike, AsyncParamsLike, HeadersLike, LiveMode, Offset, ParamsLike, RetryOptions

if TYPE_CHECKING:
    import httpx


def stream(
    url: str,
    *,
    offset: Optional[Offset] = None,
    live: LiveMode = True,
    cursor: Optional[str] = None,
    headers: Optional[HeadersLike] = None,
    params: Optional[ParamsLike] = None,
    on_error: Optional[Callable[[Exception], Any]] = None,
    client: Optional["httpx.Client"] = None,
    timeout: Timeout = None,
    if_none_match: Optional[str] = None,
    content_type: Optional[str] = None,
    long_poll_timeout: Timeout = None,
    sse_idle_timeout: Timeout = None,
    retry: Optional[RetryOptions] = None,
    max_batch_bytes: Optional[int] = None,
) -> StreamResponse:
    """Reads a stream from an offset on; the first request is made here.

    ``offset`` is ``"-1"`` or ``None`` for the beginning, ``"now"`` for the tail, or one that was
    handed out. ``live=False`` stops where everything there is has been read; ``True`` goes on
    until the stream is closed. ``on_error(error)`` hears of what retries could not repair and may
    answer ``{"headers": ..., "params": ...}`` to try again, or ``None``. An answer larger than
    ``max_batch_bytes`` comes in pieces, if the stream is not JSON; until the last of them the
    offset stays in front of it.
    Units: time limits in seconds.
    Errors: ``StreamNotFoundError``, ``RetentionGoneError``, code ``BAD_REQUEST`` for an offset the
    server never gave out, ``FetchError``. Source: protocol.md §10 to §13.
    """
    config = Config(
        url,
        False,
        headers=headers or {},
        params=params or {},
        content_type=content_type,
        client=client,
        timeout=timeout,
        long_poll_timeout=long_poll_timeout,
        sse_idle_timeout=sse_idle_timeout,
        retry=retry,
        on_error=on_error,
    )
    settings = Settings(
        config,
        offset=offset,
        live=live,
        cursor=cursor,
        if_none_match=if_none_match,
        max_batch_bytes=max_batch_bytes,
    )
    return StreamResponse(settings)


def astream(
    url: str,
    *,
    offset: Optional[Offset] = None,
    live: LiveMode = True,
    cursor: Optional[str] = None,
    headers: Optional[AsyncHeadersLike] = None,
    params: Optional[AsyncParamsLike] = None,
    on_error: Optional[Callable[[Exception], Any]] = None,
    client: Optional["httpx.AsyncClient"] = None,
    timeout: Timeout = None,
    if_none_match: Optional[str] = None,
    content_type: Optional[str] = None,
    long_poll_timeout: Timeout = None,
    sse_idle_timeout: Timeout = None,
    retry: Optional[RetryOptions] = None,
    max_batch_bytes: Optional[int] = None,
) -> AsyncStreamSession:
    """Reads a stream from an offset on: ``await`` it, or enter it with ``async with``.

    The same as :func:`stream`; functions for headers and params, and ``on_error``, may be
    coroutine functions.
    """

    def settings() -> Settings:
        config = Config(
            url,
            True,
            headers=headers or {},
            params=params or {},
            content_type=content_type,
            client=client,
            timeout=timeout,
            long_poll_timeout=long_poll_timeout,
            sse_idle_timeout=sse_idle_timeout,
            retry=retry,
            on_error=on_error,
        )
        return Settings(
            config,
            offset=offset,
            live=live,
            cursor=cursor,
            if_none_match=if_none_match,
            max_batch_bytes=max_batch_bytes,
        )

    return AsyncStreamSession(settings)
