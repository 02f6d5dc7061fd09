"""The caller's own httpx client, and functions for headers: what the core asks Python for."""

from __future__ import annotations

import inspect
import socket
import sys
from typing import Any, Callable, Dict, List, Optional, Tuple

def in_trio(trio: Any) -> bool:
    """Whether a task of trio is running."""
    try:
        trio.lowlevel.current_task()
    except RuntimeError:
        return False
    return True


Answer = Tuple[int, List[Tuple[str, str]], Any]

# A client whose own read limit is short must still be able to wait for live data. The core
# has limits of its own; this one only ends threads that nobody can interrupt. Units: seconds.
_LONGEST_SILENCE = 100.0


def check_client(client: Any, is_async: bool) -> None:
    """Refuses what cannot carry the requests, instead of ignoring it."""
    httpx = sys.modules.get("httpx")
    wanted = "httpx.AsyncClient" if is_async else "httpx.Client"
    if httpx is not None and isinstance(client, httpx.AsyncClient if is_async else httpx.Client):
        return
    raise TypeError(f"client: expected {wanted}, got {type(client).__module__}.{type(client).__qualname__}")


class Handler:
    """What is asked of Python: one method per question."""

    def report(self, error: BaseException) -> Any:
        """Hears of a producer's failure."""


class ClientHandler(Handler):
    """Answers of blocking handles. Each question comes on a thread of its own."""

    def __init__(
        self, client: Any, headers: Dict[str, Callable[[], Any]], params: Dict[str, Callable[[], Any]]
    ) -> None:
        self._client = client
        self._headers = headers
        self._params = params

    def resolve(self) -> Tuple[List[Tuple[str, str]], List[Tuple[str, str]]]:
        headers = [(name, _text("headers", name, function())) for name, function in self._headers.items()]
        params = [(name, function()) for name, function in self._params.items()]
        return headers, [(name, _text("params", name, value)) for name, value in params if value is not None]

    def send(self, method: str, url: str, headers: List[Tuple[str, bytes]], body: bytes) -> Answer:
        try:
            request = _request(self._client, method, url, headers, body, _LONGEST_SILENCE)
            response = self._client.send(request, stream=True, follow_redirects=False)
        except Exception as error:
            _mark(error)
            raise
        return response.status_code, _headers(response), _Body(response, response.iter_bytes())

    def chunk(self, body: "_Body") -> Optional[bytes]:
        try:
            piece = next(body.pieces, None)
            if piece is None:
                body.response.close()
        except Exception as error:
            _mark(error)
            raise
        return piece

    def close(self, body: "_Body") -> None:
        # Another thread may be reading: closing alone would not wake it.
        stream = body.response.extensions.get("network_stream")
        connection = stream.get_extra_info("socket") if stream is not None else None
        if connection is not None and not body.response.is_closed:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        body.response.close()


class AsyncClientHandler(Handler):
    """Answers of asynchronous handles, on the loop that uses them."""

    def __init__(
        self, client: Any, headers: Dict[str, Callable[[], Any]], params: Dict[str, Callable[[], Any]]
    ) -> None:
        self._client = client
        self._headers = headers
        self._params = params

    async def resolve(self) -> Tuple[List[Tuple[str, str]], List[Tuple[str, str]]]:
        headers = [(name, _text("headers", name, await _settled(get()))) for name, get in self._headers.items()]
        params = [(name, await _settled(get())) for name, get in self._params.items()]
        return headers, [(name, _text("params", name, value)) for name, value in params if value is not None]

    async def send(self, method: str, url: str, headers: List[Tuple[str, bytes]], body: bytes) -> Answer:
        try:
            request = _request(self._client, method, url, headers, body, None)
            response = await self._client.send(request, stream=True, follow_redirects=False)
        except Exception as error:
            _mark(error)
            raise
        # Undecoded where possible: a generator within a generator cannot be closed from outside.
        is_plain = "content-encoding" not in response.headers and not response.is_stream_consumed
        pieces = response.aiter_raw() if is_plain else response.aiter_bytes()
        return response.status_code, _headers(response), _Body(response, pieces)

    async def chunk(self, body: "_Body") -> Optional[bytes]:
        try:
            piece: bytes = await body.pieces.__anext__()
            return piece
        except StopAsyncIteration:
            await self.close(body)
            return None
        except Exception as error:
            _mark(error)
            raise

    async def close(self, body: "_Body") -> None:
        trio = sys.modules.get("trio")
        if trio is not None and in_trio(trio):
            await _end_generators(trio, body.pieces)
        await body.pieces.aclose()
        await body.response.aclose()


async def _end_generators(trio: Any, pieces: Any) -> None:
    """Ends the generators that httpx nests. Closing the outermost leaves the inner ones to the
    collector, which trio complains about; a cancelled step ends them from the inside."""
    with trio.CancelScope() as scope:
        scope.cancel()
        try:
            await pieces.__anext__()
        except Exception:
            return


class _Body:
    """An answer whose body is still to be read."""

    def __init__(self, response: Any, pieces: Any) -> None:
        self.response = response
        self.pieces = pieces


def _request(
    client: Any, method: str, url: str, headers: List[Tuple[str, bytes]], body: bytes, silence: Optional[float]
) -> Any:
    httpx = sys.modules["httpx"]
    limits = client.timeout
    timeout = httpx.Timeout(connect=limits.connect, write=limits.write, pool=limits.pool, read=silence)
    params = None
    if client.params:
        # httpx replaces a URL's own query when the client has parameters; they belong side by side.
        target = httpx.URL(url)
        url, params = target.copy_with(query=None), target.params
    return client.build_request(method, url, headers=headers, content=body, params=params, timeout=timeout)


def _headers(response: Any) -> List[Tuple[str, str]]:
    pairs: List[Tuple[str, str]] = response.headers.multi_items()
    if "content-encoding" in response.headers:
        # The pieces come decoded, so these two no longer describe them.
        return [(name, value) for name, value in pairs if name not in ("content-encoding", "content-length")]
    return pairs


def _mark(error: Exception) -> None:
    """Says what a failure of the network means; other exceptions are the caller's own."""
    httpx = sys.modules["httpx"]
    kind = None
    if isinstance(error, (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)):
        kind = "connect"
    elif isinstance(error, httpx.TimeoutException):
        kind = "timeout"
    elif isinstance(error, (httpx.TransportError, httpx.StreamError)):
        kind = "broken"
    if kind is not None:
        error.transport_kind = kind  # type: ignore[attr-defined]


def _text(name: str, key: str, value: Any) -> str:
    if not isinstance(value, str):
        if inspect.iscoroutine(value):
            value.close()
        raise TypeError(f"{name}: the function of {key!r} must return str, got {type(value).__name__}")
    return value


async def _settled(value: Any) -> Any:
    return await value if inspect.isawaitable(value) else value
