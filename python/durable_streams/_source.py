"""Data that is still being made, as the core asks for it: piece by piece."""

from __future__ import annotations

import inspect
from typing import IO, Any, AsyncIterable, Callable, Iterable, Iterator, Optional, Union

from ._config import settled
from ._transport import Handler

Piece = Union[bytes, bytearray, memoryview, str]

Source = Union[IO[bytes], IO[str], Iterable[Piece]]
"""A file open for reading, or an iterable of bytes or str."""

AsyncSource = Union[Source, AsyncIterable[Piece]]
"""The same, or an asynchronous iterable. A file may be one whose ``read`` is awaited."""

# What is read of a file at once. Units: bytes, or characters of a text file.
_FILE_PIECE = 64 * 1024


_END: Any = object()


class Pieces(Handler):
    """Gives what a source has, on a thread that may wait for it."""

    def __init__(self, source: Source) -> None:
        self._step = _steps(source)
        # What the source raised: on its way through the HTTP client it is wrapped up.
        self.raised: Optional[BaseException] = None

    def piece(self) -> Optional[bytes]:
        try:
            while True:
                piece = self._step()
                if piece is _END:
                    return None
                data = _bytes(piece)
                # An empty piece would end a request's body.
                if data:
                    return data
        except BaseException as error:
            self.raised = error
            raise


class AsyncPieces(Handler):
    """Gives what a source has, on the event loop."""

    def __init__(self, source: AsyncSource) -> None:
        is_async = hasattr(source, "__aiter__") and not hasattr(source, "read")
        self._step: Callable[[], Any] = _async_steps(source) if is_async else _steps(source)
        self.raised: Optional[BaseException] = None

    async def piece(self) -> Optional[bytes]:
        try:
            while True:
                piece = await settled(self._step())
                if piece is _END:
                    return None
                data = _bytes(piece)
                if data:
                    return data
        except BaseException as error:
            self.raised = error
            raise


def _steps(source: Any) -> Callable[[], Any]:
    """How to get on with a file or an iterable. A file's ``read`` may answer with an awaitable."""
    read = getattr(source, "read", None)
    if callable(read):
        return lambda: _read(read(_FILE_PIECE))
    if isinstance(source, (bytes, bytearray, memoryview, str)):
        # Iterating would give numbers or single characters.
        source = (source,)
    try:
        steps: Iterator[Any] = iter(source)
    except TypeError:
        raise TypeError(
            f"source: expected a file or an iterable of bytes or str, got {type(source).__name__}"
        ) from None
    return lambda: next(steps, _END)


def _read(piece: Any) -> Any:
    async def later() -> Any:
        return await piece or _END

    return later() if inspect.isawaitable(piece) else piece or _END


def _async_steps(source: Any) -> Callable[[], Any]:
    steps = source.__aiter__()

    async def step() -> Any:
        try:
            return await steps.__anext__()
        except StopAsyncIteration:
            return _END

    return step


def _bytes(piece: Any) -> bytes:
    if isinstance(piece, bytes):
        return piece
    if isinstance(piece, str):
        return piece.encode()
    if isinstance(piece, (bytearray, memoryview)):
        return bytes(piece)
    raise TypeError(f"source: expected pieces of bytes or str, got {type(piece).__name__}")
