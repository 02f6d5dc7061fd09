"""The blocking response."""

from __future__ import annotations

import threading
from typing import Any, Callable, Iterator, List, Literal, Optional, TypeVar, overload

from . import _durable_streams as _native
from ._reading import Response, Settings, Shape
from ._typed import Decode
from ._types import StreamEvent

T = TypeVar("T")


class StreamResponse(Response):
    """A read of a stream, for ``with`` and ``for``. It can be consumed once, in one of its shapes.

    Iteration ends when the read is over: without ``live`` when everything there is has been
    read, otherwise when the stream is closed, or :meth:`close` is called from anywhere. An
    interrupted iteration (Ctrl-C, an exception of a signal handler) can go on.
    """

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self._left = _native.Left()
        while True:
            try:
                first = self._opening().wait()
                break
            except Exception as error:
                self._recover(error)
        self._opened(first)

    def __enter__(self) -> "StreamResponse":
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends the read and aborts its connection, from any thread. The stream stays as it is."""
        self._is_closed = True
        self._reader.close()

    # Iterating

    def __iter__(self) -> Iterator[bytes]:
        """The data as bytes, answer by answer; see :meth:`iter_bytes`."""
        return self._iter_bytes("__iter__")

    def iter_bytes(self) -> Iterator[bytes]:
        """The data as bytes, answer by answer.

        Shape: bytes; of a JSON stream the text of one array per answer.
        Errors: ``SSEBytesIterationError`` for text and JSON streams with ``live="sse"``.
        """
        return self._iter_bytes("iter_bytes")

    def iter_text(self, encoding: str = "utf-8") -> Iterator[str]:
        """The data as text, answer by answer, never cutting a character."""
        self._consume("iter_text")
        return self._pieces(Shape(self, "text", encoding))

    @overload
    def iter_json(self, decode: Callable[[Any], T], *, type: None = None) -> Iterator[T]: ...
    @overload
    def iter_json(self, decode: None = None, *, type: None = None) -> Iterator[Any]: ...
    @overload
    def iter_json(self, decode: None = None, *, type: Callable[..., T]) -> Iterator[T]: ...
    def iter_json(self, decode: Decode = None, *, type: Any = None) -> Iterator[Any]:
        """The messages of a JSON stream, one at a time.

        ``decode`` maps each; ``type`` makes each a pydantic model, msgspec struct, dataclass or
        whatever a callable gives, and names the message that does not fit.
        Errors: code ``PARSE_ERROR``; ``InvalidItemError``.
        """
        self._consume("iter_json")
        return self._pieces(Shape(self, "json", decode=decode, type=type))

    @overload
    def iter_json_batches(self, decode: Callable[[Any], T], *, type: None = None) -> Iterator[List[T]]: ...
    @overload
    def iter_json_batches(self, decode: None = None, *, type: None = None) -> Iterator[List[Any]]: ...
    @overload
    def iter_json_batches(self, decode: None = None, *, type: Callable[..., T]) -> Iterator[List[T]]: ...
    def iter_json_batches(self, decode: Decode = None, *, type: Any = None) -> Iterator[List[Any]]:
        """The messages of a JSON stream, as one list per answer."""
        self._consume("iter_json_batches")
        return self._pieces(Shape(self, "json_batches", decode=decode, type=type))

    @overload
    def iter_events(self, mode: Literal["bytes"], *, encoding: str = ...) -> Iterator[StreamEvent[bytes]]: ...
    @overload
    def iter_events(self, mode: Literal["text"], *, encoding: str = ...) -> Iterator[StreamEvent[str]]: ...
    @overload
    def iter_events(
        self, mode: Literal["json"] = "json", *, encoding: str = ..., decode: Decode = ..., type: Any = ...
    ) -> Iterator[StreamEvent[Any]]: ...
    @overload
    def iter_events(
        self, mode: Literal["json_batches"], *, encoding: str = ..., decode: Decode = ..., type: Any = ...
    ) -> Iterator[StreamEvent[List[Any]]]: ...
    @overload
    def iter_events(
        self, mode: str, *, encoding: str = ..., decode: Decode = ..., type: Any = ...
    ) -> Iterator[StreamEvent[Any]]: ...
    def iter_events(
        self, mode: str = "json", *, encoding: str = "utf-8", decode: Decode = None, type: Any = None
    ) -> Iterator[StreamEvent[Any]]:
        """Data with the offset to resume from behind it. Also tells of answers without data.

        ``mode`` is ``"json"`` (one message per event), ``"json_batches"``, ``"text"`` or ``"bytes"``.
        Errors: ``ValueError`` for another mode.
        """
        shape = Shape(self, mode, encoding, decode, type, is_event=True)
        self._consume("iter_events")
        return self._pieces(shape)

    # Everything at once

    def read_bytes(self) -> bytes:
        """All data up to the first point where everything there is has been read."""
        self._consume("read_bytes")
        self._refuse_sse_bytes()
        return b"".join(self._all(Shape(self, "bytes")))

    def read_text(self, encoding: str = "utf-8") -> str:
        """The same as text."""
        self._consume("read_text")
        self._refuse_sse_read_all("read_text")
        return "".join(self._all(Shape(self, "text", encoding)))

    @overload
    def read_json(self, decode: Callable[[Any], T], *, type: None = None) -> List[T]: ...
    @overload
    def read_json(self, decode: None = None, *, type: None = None) -> List[Any]: ...
    @overload
    def read_json(self, decode: None = None, *, type: Callable[..., T]) -> List[T]: ...
    def read_json(self, decode: Decode = None, *, type: Any = None) -> List[Any]:
        """The same as a list of messages."""
        self._consume("read_json")
        self._refuse_sse_read_all("read_json")
        batches = self._all(Shape(self, "json_batches", decode=decode, type=type))
        return batches[0] if len(batches) == 1 else [item for batch in batches for item in batch]

    @overload
    def read_json_batches(self, decode: Callable[[Any], T], *, type: None = None) -> List[List[T]]: ...
    @overload
    def read_json_batches(self, decode: None = None, *, type: None = None) -> List[List[Any]]: ...
    @overload
    def read_json_batches(self, decode: None = None, *, type: Callable[..., T]) -> List[List[T]]: ...
    def read_json_batches(self, decode: Decode = None, *, type: Any = None) -> List[List[Any]]:
        """The same as one list of messages per answer."""
        self._consume("read_json_batches")
        self._refuse_sse_read_all("read_json_batches")
        return self._all(Shape(self, "json_batches", decode=decode, type=type))

    # How it works

    def _iter_bytes(self, method: str) -> Iterator[bytes]:
        self._consume(method)
        self._refuse_sse_bytes()
        return self._pieces(Shape(self, "bytes"))

    def _pieces(self, shape: Shape) -> Iterator[Any]:
        # Threads that share an iterator take turns. A thread may meet itself, in `decode`.
        turn = threading.RLock()
        generation = _native.generation()

        def fill(iterator: _native.Pieces) -> bool:
            if generation != _native.generation():
                # In a forked child the turn may be somebody's who is not there: refused below.
                self._reader.next()
            with turn:
                if self._left.count:
                    # Another thread has just been here.
                    return True
                try:
                    pieces = shape.left()
                    if pieces is None:
                        batch = self._pull()
                        if batch is None:
                            return False
                        pieces = shape.pieces(batch)
                    iterator.put(pieces)
                finally:
                    self._more = shape.has_more
                return True

        return _native.Pieces(fill, self._left)

    def _pieces_left(self) -> int:
        return self._left.count

    def _all(self, shape: Shape) -> List[Any]:
        pieces: List[Any] = []
        while True:
            batch = self._pull()
            if batch is None:
                return pieces
            pieces.extend(shape.data(batch))
            self._more = False
            shape.left()
            if batch.up_to_date or batch.stream_closed:
                return pieces

    def _pull(self) -> Optional[_native.Batch]:
        """The next batch; ``None`` when the read is over or was closed."""
        if self._first is not None:
            return self._take_first()
        while not (self._has_ended or self._is_closed):
            try:
                batch = self._reader.next().wait()
            except Exception as error:
                if self._is_closed:
                    return None
                self._recover(error)
                continue
            return self._took(batch)
        return None

    def _recover(self, error: Exception) -> None:
        """Lets ``on_error`` repair what can be repaired; otherwise raises."""
        on_error = self._can_recover(error)
        if on_error is None or not self._again(on_error(error)):
            raise self._explained(error)
