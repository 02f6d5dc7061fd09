"""The asynchronous response, and the session that opens it."""

from __future__ import annotations

import operator
from typing import Any, AsyncIterator, Callable, Generator, Iterator, List, Literal, Optional, TypeVar, overload

from . import _durable_streams as _native
from ._bridge import perform
from ._config import settled
from ._reading import Response, Settings, Shape
from ._typed import Decode
from ._types import StreamEvent

T = TypeVar("T")


class AsyncStreamResponse(Response):
    """A read of a stream, for ``async with`` and ``async for``, on asyncio, trio and anyio.

    It can be consumed once, in one of its shapes. Iteration ends when the read is over:
    without ``live`` when everything there is has been read, otherwise when the stream is
    closed or :meth:`aclose` is called. A cancelled iteration can go on: nothing is lost.
    """

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        # The latest batch, as its iterator left it.
        self._current: Iterator[Any] = iter(())

    def _pieces_left(self) -> int:
        return operator.length_hint(self._current)

    async def _open(self) -> "AsyncStreamResponse":
        while True:
            try:
                first = await perform(self._opening())
                break
            except Exception as error:
                await self._recover(error)
            except BaseException:
                self._reader.close()
                raise
        self._opened(first)
        return self

    async def __aenter__(self) -> "AsyncStreamResponse":
        return self

    async def __aexit__(self, *_exception: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Ends the read and aborts its connection. The stream stays as it is. Never waits."""
        self.close()

    def close(self) -> None:
        """The same as :meth:`aclose`, which has nothing to wait for."""
        self._is_closed = True
        self._reader.close()

    # Iterating

    def __aiter__(self) -> AsyncIterator[bytes]:
        """The data as bytes, answer by answer; see :meth:`iter_bytes`."""
        return self._iter_bytes("__aiter__")

    def iter_bytes(self) -> AsyncIterator[bytes]:
        """The data as bytes, answer by answer.

        Shape: bytes; of a JSON stream the text of one array per answer.
        Errors: ``SSEBytesIterationError`` for text and JSON streams with ``live="sse"``.
        """
        return self._iter_bytes("iter_bytes")

    def iter_text(self, encoding: str = "utf-8") -> AsyncIterator[str]:
        """The data as text, answer by answer, never cutting a character."""
        self._consume("iter_text")
        return _Pieces(self, Shape(self, "text", encoding))

    @overload
    def iter_json(self, decode: Callable[[Any], T], *, type: None = None) -> AsyncIterator[T]: ...
    @overload
    def iter_json(self, decode: None = None, *, type: None = None) -> AsyncIterator[Any]: ...
    @overload
    def iter_json(self, decode: None = None, *, type: Callable[..., T]) -> AsyncIterator[T]: ...
    def iter_json(self, decode: Decode = None, *, type: Any = None) -> AsyncIterator[Any]:
        """The messages of a JSON stream, one at a time.

        ``decode`` maps each; ``type`` makes each a pydantic model, msgspec struct, dataclass or
        whatever a callable gives, and names the message that does not fit.
        Errors: code ``PARSE_ERROR``; ``InvalidItemError``.
        """
        self._consume("iter_json")
        return _Pieces(self, Shape(self, "json", decode=decode, type=type))

    @overload
    def iter_json_batches(self, decode: Callable[[Any], T], *, type: None = None) -> AsyncIterator[List[T]]: ...
    @overload
    def iter_json_batches(self, decode: None = None, *, type: None = None) -> AsyncIterator[List[Any]]: ...
    @overload
    def iter_json_batches(self, decode: None = None, *, type: Callable[..., T]) -> AsyncIterator[List[T]]: ...
    def iter_json_batches(self, decode: Decode = None, *, type: Any = None) -> AsyncIterator[List[Any]]:
        """The messages of a JSON stream, as one list per answer."""
        self._consume("iter_json_batches")
        return _Pieces(self, Shape(self, "json_batches", decode=decode, type=type))

    @overload
    def iter_events(self, mode: Literal["bytes"], *, encoding: str = ...) -> AsyncIterator[StreamEvent[bytes]]: ...
    @overload
    def iter_events(self, mode: Literal["text"], *, encoding: str = ...) -> AsyncIterator[StreamEvent[str]]: ...
    @overload
    def iter_events(
        self, mode: Literal["json"] = "json", *, encoding: str = ..., decode: Decode = ..., type: Any = ...
    ) -> AsyncIterator[StreamEvent[Any]]: ...
    @overload
    def iter_events(
        self, mode: Literal["json_batches"], *, encoding: str = ..., decode: Decode = ..., type: Any = ...
    ) -> AsyncIterator[StreamEvent[List[Any]]]: ...
    @overload
    def iter_events(
        self, mode: str, *, encoding: str = ..., decode: Decode = ..., type: Any = ...
    ) -> AsyncIterator[StreamEvent[Any]]: ...
    def iter_events(
        self, mode: str = "json", *, encoding: str = "utf-8", decode: Decode = None, type: Any = None
    ) -> AsyncIterator[StreamEvent[Any]]:
        """Data with the offset to resume from behind it. Also tells of answers without data.

        ``mode`` is ``"json"`` (one message per event), ``"json_batches"``, ``"text"`` or ``"bytes"``.
        Errors: ``ValueError`` for another mode.
        """
        shape = Shape(self, mode, encoding, decode, type, is_event=True)
        self._consume("iter_events")
        return _Pieces(self, shape)

    # Everything at once

    async def read_bytes(self) -> bytes:
        """All data up to the first point where everything there is has been read."""
        self._consume("read_bytes")
        self._refuse_sse_bytes()
        return b"".join(await self._all(Shape(self, "bytes")))

    async def read_text(self, encoding: str = "utf-8") -> str:
        """The same as text."""
        self._consume("read_text")
        self._refuse_sse_read_all("read_text")
        return "".join(await self._all(Shape(self, "text", encoding)))

    @overload
    async def read_json(self, decode: Callable[[Any], T], *, type: None = None) -> List[T]: ...
    @overload
    async def read_json(self, decode: None = None, *, type: None = None) -> List[Any]: ...
    @overload
    async def read_json(self, decode: None = None, *, type: Callable[..., T]) -> List[T]: ...
    async def read_json(self, decode: Decode = None, *, type: Any = None) -> List[Any]:
        """The same as a list of messages."""
        self._consume("read_json")
        self._refuse_sse_read_all("read_json")
        batches = await self._all(Shape(self, "json_batches", decode=decode, type=type))
        return batches[0] if len(batches) == 1 else [item for batch in batches for item in batch]

    @overload
    async def read_json_batches(self, decode: Callable[[Any], T], *, type: None = None) -> List[List[T]]: ...
    @overload
    async def read_json_batches(self, decode: None = None, *, type: None = None) -> List[List[Any]]: ...
    @overload
    async def read_json_batches(self, decode: None = None, *, type: Callable[..., T]) -> List[List[T]]: ...
    async def read_json_batches(self, decode: Decode = None, *, type: Any = None) -> List[List[Any]]:
        """The same as one list of messages per answer."""
        self._consume("read_json_batches")
        self._refuse_sse_read_all("read_json_batches")
        return await self._all(Shape(self, "json_batches", decode=decode, type=type))

    # How it works

    def _iter_bytes(self, method: str) -> AsyncIterator[bytes]:
        self._consume(method)
        self._refuse_sse_bytes()
        return _Pieces(self, Shape(self, "bytes"))

    async def _all(self, shape: Shape) -> List[Any]:
        pieces: List[Any] = []
        while True:
            batch = await self._pull()
            if batch is None:
                return pieces
            pieces.extend(shape.data(batch))
            self._more = False
            shape.left()
            if batch.up_to_date or batch.stream_closed:
                return pieces

    async def _pull(self) -> Optional[_native.Batch]:
        """The next batch; ``None`` when the read is over or was closed."""
        if self._first is not None:
            return self._take_first()
        while not (self._has_ended or self._is_closed):
            try:
                batch = await perform(self._reader.next())
            except Exception as error:
                if self._is_closed:
                    return None
                await self._recover(error)
                continue
            return self._took(batch)
        return None

    async def _recover(self, error: Exception) -> None:
        """Lets ``on_error`` repair what can be repaired; otherwise raises."""
        on_error = self._can_recover(error)
        if on_error is None or not self._again(await settled(on_error(error))):
            raise self._explained(error)


class _Pieces:
    """An asynchronous iterator over the pieces of batches. Not a generator: those end when a
    wait in them is cancelled."""

    __slots__ = ("_pieces", "_response", "_shape")

    def __init__(self, response: AsyncStreamResponse, shape: Shape) -> None:
        self._response = response
        self._shape = shape
        self._pieces: Iterator[Any] = iter(())

    def __aiter__(self) -> "_Pieces":
        return self

    async def __anext__(self) -> Any:
        for piece in self._pieces:
            return piece
        while True:
            try:
                pieces = self._shape.left()
                if pieces is None:
                    batch = await self._response._pull()
                    if batch is None:
                        raise StopAsyncIteration
                    pieces = self._shape.pieces(batch)
                self._pieces = self._response._current = iter(pieces)
            finally:
                self._response._more = self._shape.has_more
            for piece in self._pieces:
                return piece

    async def aclose(self) -> None:
        """Ends the read."""
        self._response.close()


class AsyncStreamSession:
    """A read that has not begun: ``await`` it for the response, or enter it with ``async with``."""

    def __init__(self, settings: Callable[[], Settings]) -> None:
        self._settings = settings
        self._response: Optional[AsyncStreamResponse] = None

    def __await__(self) -> Generator[Any, None, AsyncStreamResponse]:
        return self._open().__await__()

    async def __aenter__(self) -> AsyncStreamResponse:
        self._response = await self._open()
        return self._response

    async def __aexit__(self, *_exception: object) -> None:
        if self._response is not None:
            await self._response.aclose()

    async def _open(self) -> AsyncStreamResponse:
        return await AsyncStreamResponse(self._settings())._open()
