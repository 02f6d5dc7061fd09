"""Reading on from where an earlier run stopped."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Callable, Generic, List, Optional, TypeVar, Union

from ._config import settled
from ._types import LiveMode, Offset

if TYPE_CHECKING:
    from ._async_response import AsyncStreamResponse
    from ._async_stream import AsyncDurableStream
    from ._response import StreamResponse
    from ._stream import DurableStream

Checkpoint = Union[str, "os.PathLike[str]", Callable[[Offset], Any]]
"""Where the position is kept: a file, or a function that is given each offset."""

R = TypeVar("R")


def _load(checkpoint: Checkpoint) -> Optional[Offset]:
    if callable(checkpoint):
        return None
    try:
        with open(checkpoint, encoding="utf-8") as file:
            return file.read().strip() or None
    except FileNotFoundError:
        return None


def _save(checkpoint: Checkpoint, offset: Offset) -> Any:
    if callable(checkpoint):
        return checkpoint(offset)
    import tempfile  # Slow to import, and not needed by most programs.

    # Whole or not at all, also when the machine stops in between.
    path = os.fspath(checkpoint)
    handle, temporary = tempfile.mkstemp(prefix=".checkpoint-", dir=os.path.dirname(path) or ".")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(offset)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
    return None


class _Position(Generic[R]):
    def __init__(
        self,
        checkpoint: Checkpoint,
        offset: Optional[Offset],
        live: LiveMode,
        decode: Optional[Callable[[Any], Any]],
        type: Any,
    ) -> None:
        self._checkpoint = checkpoint
        self._begin = _load(checkpoint) or offset
        self._live: LiveMode = live
        self._decode = decode
        self._type = type
        self._response: Optional[R] = None
        self._events: Any = None
        self._items: List[Any] = []
        self._unsaved: Optional[Offset] = None

    @property
    def offset(self) -> Optional[Offset]:
        """The position as it was kept last; ``None`` before the first."""
        return self._begin

    def _iterate(self, response: Any) -> Any:
        media_type = (response.content_type or "").split(";")[0].strip().lower()
        if media_type.endswith("json"):
            return response.iter_events("json_batches", decode=self._decode, type=self._type)
        return response.iter_events("bytes")

    def _fill(self, event: Any) -> None:
        self._unsaved = event.next_offset
        if event.data is not None:
            self._items = list(event.data) if isinstance(event.data, list) else [event.data]
            self._items.reverse()


class Follow(_Position["StreamResponse"]):
    """Messages from a kept position on; see ``DurableStream.follow``."""

    def __init__(self, handle: "DurableStream", *settings: Any) -> None:
        super().__init__(*settings)
        self._handle = handle

    def __iter__(self) -> "Follow":
        return self

    def __next__(self) -> Any:
        while not self._items:
            self._keep()
            if self._response is None:
                self._response = self._handle.stream(offset=self._begin, live=self._live)
                self._events = self._iterate(self._response)
            self._fill(next(self._events))
        return self._items.pop()

    def __enter__(self) -> "Follow":
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends the read. The position stays behind what was processed for certain."""
        if self._response is not None:
            self._response.close()

    def _keep(self) -> None:
        offset, self._unsaved = self._unsaved, None
        if offset is not None and offset != self._begin:
            _save(self._checkpoint, offset)
            self._begin = offset


class AsyncFollow(_Position["AsyncStreamResponse"]):
    """Messages from a kept position on; see ``AsyncDurableStream.follow``."""

    def __init__(self, handle: "AsyncDurableStream", *settings: Any) -> None:
        super().__init__(*settings)
        self._handle = handle

    def __aiter__(self) -> "AsyncFollow":
        return self

    async def __anext__(self) -> Any:
        while not self._items:
            await self._keep()
            if self._response is None:
                self._response = await self._handle.stream(offset=self._begin, live=self._live)
                self._events = self._iterate(self._response)
            self._fill(await self._events.__anext__())
        return self._items.pop()

    async def __aenter__(self) -> "AsyncFollow":
        return self

    async def __aexit__(self, *_exception: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Ends the read. The position stays behind what was processed for certain."""
        if self._response is not None:
            await self._response.aclose()

    async def _keep(self) -> None:
        offset = self._unsaved
        if offset is not None and offset != self._begin:
            await settled(_save(self._checkpoint, offset))
            self._begin = offset
        self._unsaved = None
