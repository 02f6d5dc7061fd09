"""What blocking and asynchronous responses share: where a read stands, and what a batch becomes."""

from __future__ import annotations

import codecs
import http
from typing import Any, Callable, Dict, List, Mapping, Optional, Tuple

from . import _durable_streams as _native
from ._config import Config, live_mode, overrides, seconds, split
from ._errors import (
    DurableStreamError,
    FetchError,
    SSEBytesIterationError,
    SSENotSupportedError,
    SSEReadAllError,
    StreamConsumedError,
)
from ._typed import Decode, RefusedItem, decoder
from ._types import LiveMode, StreamEvent

# So many messages are made at once where they are taken one at a time: they are then used
# while they are still in the processor's cache, and their memory is used again.
_PART = 1024

MODES = ("bytes", "text", "json", "json_batches")


class Settings:
    """Settings of one read, before it has begun."""

    def __init__(
        self,
        config: Config,
        *,
        offset: Optional[str],
        live: LiveMode,
        cursor: Optional[str],
        if_none_match: Optional[str],
        headers: Optional[Mapping[str, Any]] = None,
        params: Optional[Mapping[str, Any]] = None,
        timeout: Any = None,
        max_batch_bytes: Optional[int] = None,
    ) -> None:
        self.config: Config = config.merged(headers, params)
        self.offset: Optional[str] = offset
        self.live: LiveMode = live
        self.mode: str = live_mode(live)
        self.cursor: Optional[str] = cursor
        self.if_none_match: Optional[str] = if_none_match
        self.timeout: Optional[float] = seconds("timeout", timeout)
        if max_batch_bytes is not None and max_batch_bytes <= 0:
            raise ValueError(f"max_batch_bytes: must be more than 0, got {max_batch_bytes}")
        self.max_batch_bytes: Optional[int] = max_batch_bytes
        split("headers", self.config.headers)
        split("params", self.config.params)

    def open(self, offset: Optional[str], cursor: Optional[str]) -> _native.Reader:
        """A native reader from this point on."""
        stream, _ = self.config.open()
        return _native.Reader(
            stream,
            offset=offset,
            live=self.mode,
            cursor=cursor,
            if_none_match=self.if_none_match,
            content_type=self.config.content_type,
            timeout=self.timeout,
            max_batch_bytes=self.max_batch_bytes,
        )


class Response:
    """Where a read stands. The blocking and the asynchronous response are built on it."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._start = settings.offset or "-1"
        self._offset = self._start
        self._before = self._start
        self._cursor = settings.cursor
        self._up_to_date = False
        self._stream_closed = False
        self._status = 0
        self._headers: Dict[str, str] = {}
        self._content_type: Optional[str] = None
        self._first: Optional[_native.Batch] = None
        self._has_ended = False
        # Messages of the latest batch are still to be made, or have not reached the iterator.
        self._more = False
        self._is_closed = False
        self._consumed_by: Optional[str] = None
        self._reader = settings.open(self._start, self._cursor)

    # Properties

    @property
    def url(self) -> str:
        """The stream's URL."""
        return self._settings.config.url

    @property
    def content_type(self) -> Optional[str]:
        """The stream's content type."""
        return self._reader.content_type or self._content_type or self._settings.config.content_type

    @property
    def live(self) -> LiveMode:
        """How the read goes on at the tail, as it was asked for."""
        return self._settings.live

    @property
    def start_offset(self) -> str:
        """Where the read began."""
        return self._start

    @property
    def offset(self) -> str:
        """Where to resume. Behind everything taken so far, and never ahead of it: while messages of
        an answer are left to take, this is still the place where that answer began."""
        return self._before if self._more or self._pieces_left() else self._offset

    def _pieces_left(self) -> int:
        """How many pieces of the latest batch have not been taken."""
        raise NotImplementedError

    @property
    def cursor(self) -> Optional[str]:
        """For a later live read."""
        return self._cursor

    @property
    def up_to_date(self) -> bool:
        """Everything there was had been read when the last data was taken."""
        return self._up_to_date

    @property
    def stream_closed(self) -> bool:
        """The end of a closed stream was reached."""
        return self._stream_closed

    @property
    def headers(self) -> Dict[str, str]:
        """Headers of the latest answer, names in lower case."""
        return self._reader.headers() or dict(self._headers)

    @property
    def status(self) -> int:
        """HTTP status of the latest answer."""
        return self._status

    @property
    def status_text(self) -> str:
        """The status in words."""
        try:
            return http.HTTPStatus(self._status).phrase
        except ValueError:
            return ""

    @property
    def ok(self) -> bool:
        """Whether the latest answer was a success."""
        return 200 <= self._status < 300

    @property
    def closed(self) -> bool:
        """Whether the response was closed. Says nothing about the stream."""
        return self._is_closed

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.url} at {self.offset}>"

    # Where the read stands

    def _opening(self) -> _native.Call:
        """What is waited for before the response is there: the first answer, not its data. At the
        tail the data is waited for: there is none, and it tells where the tail is."""
        return self._reader.next() if self._offset == "now" else self._reader.opened()

    def _opened(self, batch: Optional[_native.Batch]) -> None:
        """The first answer is here."""
        self._status = self._reader.status
        if batch is not None:
            if batch.is_empty:
                # Nothing in it can be skipped by whoever saves the offset now.
                self._note(batch)
            self._first = batch

    def _note(self, batch: _native.Batch) -> None:
        """A batch was taken."""
        # First, for another thread may ask for the offset: a place behind is fine, one ahead is not.
        self._more = not batch.is_empty
        self._before = self._offset
        self._offset = batch.next_offset
        self._cursor = batch.cursor
        self._up_to_date = batch.up_to_date
        self._stream_closed = self._stream_closed or batch.stream_closed
        self._status = batch.status

    def _took(self, batch: Optional[_native.Batch]) -> Optional[_native.Batch]:
        if batch is None:
            self._has_ended = self._up_to_date = True
        else:
            self._note(batch)
        return batch

    def _take_first(self) -> Optional[_native.Batch]:
        first, self._first = self._first, None
        if first is not None:
            self._note(first)
        return first

    def _again(self, answer: Any) -> bool:
        """Goes on with what ``on_error`` answered; false if it wants the error raised."""
        changes = overrides(answer)
        if changes is None:
            return False
        self._settings.config = self._settings.config.merged(*changes)
        self._headers, self._content_type = self.headers, self.content_type
        self._reader = self._settings.open(self._offset, self._cursor)
        return True

    def _can_recover(self, error: Exception) -> Optional[Callable[[Exception], Any]]:
        return self._settings.config.on_error if isinstance(error, FetchError) else None

    def _explained(self, error: Exception) -> Exception:
        """The error, in the words of a read over server-sent events."""
        if self._settings.mode != "sse" or not isinstance(error, FetchError):
            return error
        if error.reason in ("NOT_SUPPORTED",) or (error.reason == "BAD_REQUEST" and self._status == 200):
            refused = SSENotSupportedError(str(error), self.content_type)
            refused.url, refused.headers, refused.reason = error.url, error.headers, error.reason
            return refused
        return error

    # Consuming

    def _consume(self, method: str) -> None:
        if self._consumed_by is not None:
            raise StreamConsumedError(method, self._consumed_by)
        if self._is_closed:
            raise DurableStreamError(f"Cannot call {method}(): the response is closed", None, "ALREADY_CLOSED")
        self._consumed_by = method

    def _refuse_sse_bytes(self) -> None:
        if self._settings.mode == "sse" and is_textual(self.content_type):
            raise SSEBytesIterationError()

    def _refuse_sse_read_all(self, method: str) -> None:
        if self._settings.mode == "sse":
            raise SSEReadAllError(method)


class Shape:
    """Turns batches into what a mode promises."""

    def __init__(
        self,
        response: Response,
        mode: str,
        encoding: str = "utf-8",
        decode: Decode = None,
        type: Any = None,
        *,
        is_event: bool = False,
    ) -> None:
        if mode not in MODES:
            raise ValueError(f"mode: expected one of {', '.join(MODES)}, got {mode!r}")
        self._response = response
        self._mode = mode
        self._is_event = is_event
        self._latest: Optional[_native.Batch] = None
        self._decode = decoder(decode, type)
        # Appends are bytes: nothing says that a batch ends with a character.
        self._text = codecs.getincrementaldecoder(encoding)()
        # What is behind a message that is not what was asked for.
        self._behind: Optional[List[Any]] = None
        self._refused: Optional[Exception] = None
        self._refused_at: Optional[int] = None
        self._rest_of: Optional[Tuple[_native.Batch, int]] = None

    @property
    def has_more(self) -> bool:
        """Whether messages of the latest batch are still to be made."""
        return self._rest_of is not None

    def left(self) -> Optional[List[Any]]:
        """What an earlier batch still owes: raises its error, then gives what is behind it."""
        refused, self._refused = self._refused, None
        if refused is not None:
            raise refused
        if self._rest_of is not None:
            return self._part(*self._rest_of)
        behind, self._behind = self._behind, None
        if behind is None or self._refused_at is None:
            return None
        first = self._refused_at + 1
        items = self._accepted(lambda: self._decode.rest(behind, self._response, first))
        pieces = items if self._mode == "json" else [items]
        return self._events(self._latest, pieces) if self._is_event and self._latest is not None else pieces

    def _accepted(self, decode: Callable[[], List[Any]]) -> List[Any]:
        try:
            return decode()
        except RefusedItem as refused:
            self._refused, self._behind = refused.error, refused.behind
            self._refused_at = refused.error.index
            return refused.before

    def pieces(self, batch: _native.Batch) -> List[Any]:
        """What an iterator gives for a batch: its data, or its events."""
        if not self._is_event:
            is_parted = self._mode == "json" and self._decode.in_parts and batch.is_json and not batch.is_empty
            return self._part(batch, 0) if is_parted else self.data(batch)
        self._latest = batch
        return self._events(batch, self.data(batch))

    def _part(self, batch: _native.Batch, at: int) -> List[Any]:
        try:
            items, rest = batch.messages(at, _PART)
        except (ValueError, RecursionError) as error:
            self._rest_of = None
            raise parse_error(self._response, f"the data is not JSON: {error}") from error
        self._rest_of = None if rest is None else (batch, rest)
        return self._decode.rest(items, self._response)

    def data(self, batch: _native.Batch) -> List[Any]:
        """The data of a batch, piece by piece; nothing if it has none."""
        if batch.is_empty:
            return self._rest(batch)
        if self._mode == "bytes":
            return [batch.bytes()]
        if self._mode == "text":
            text = self.text(batch.bytes(), batch.stream_closed)
            return [text] if text else []
        items = self.items(batch)
        return items if self._mode == "json" else [items]

    def items(self, batch: _native.Batch) -> List[Any]:
        """The messages of a batch."""
        if batch.is_empty:
            return []
        return self._accepted(lambda: self._decode.batch(batch, self._response))

    def text(self, data: bytes, is_last: bool) -> str:
        """The characters that are whole."""
        try:
            return self._text.decode(data, is_last)
        except UnicodeDecodeError as error:
            raise parse_error(self._response, f"the text is not {error.encoding}: {error.reason}") from error

    def _events(self, batch: _native.Batch, pieces: List[Any]) -> List[StreamEvent[Any]]:
        """The events of a batch: one per piece, or one without data."""
        offset, cursor = batch.next_offset, batch.cursor
        events = [StreamEvent(piece, offset, False, cursor) for piece in pieces[:-1]]
        last = pieces[-1] if pieces else None
        events.append(StreamEvent(last, offset, batch.up_to_date, cursor, batch.stream_closed))
        return events

    def _rest(self, batch: _native.Batch) -> List[Any]:
        """Half a character at the end of a closed stream is an error, not silence."""
        if self._mode == "text" and batch.stream_closed:
            text = self.text(b"", True)
            return [text] if text else []
        return []


def is_textual(content_type: Optional[str]) -> bool:
    """Whether server-sent events carry the type as text."""
    media_type = (content_type or "").split(";")[0].strip().lower()
    return media_type.startswith("text/") or media_type == "application/json"


def parse_error(response: Response, text: str) -> DurableStreamError:
    """Data that is not what the stream says it is."""
    error = DurableStreamError(f"{response.url}: {text}", None, "PARSE_ERROR")
    error.url = response.url
    error.reason = "PARSE_ERROR"
    return error
