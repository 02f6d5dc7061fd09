"""The plain values of the API: aliases, results, options."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Awaitable, Callable, Dict, Generic, Literal, Mapping, Optional, TypeVar, Union

__all__ = [
    "AppendResult",
    "AsyncHeadersLike",
    "AsyncParamsLike",
    "CloseResult",
    "CreateResult",
    "FlushResult",
    "HeadResult",
    "HeadersLike",
    "IdempotentAppendResult",
    "JSONValue",
    "LiveMode",
    "Offset",
    "ParamsLike",
    "RetryOptions",
    "SSEEncoding",
    "StreamEvent",
]

T_co = TypeVar("T_co", covariant=True)

Offset = str
"""Where in a stream: an opaque text. Keep it, send it back, compare it; nothing else."""

LiveMode = Union[Literal["auto", "long-poll", "sse"], bool]
"""How a read goes on at the tail: ``False`` stops there; ``True`` and ``"auto"`` let the client choose."""

SSEEncoding = Literal["base64"]
"""How a server encodes binary data in server-sent events. Decoded without being asked."""

HeadersLike = Mapping[str, Union[str, Callable[[], str]]]
"""Headers: texts, or functions asked before every HTTP request."""

ParamsLike = Mapping[str, Union[str, Callable[[], Optional[str]], None]]
"""Query parameters: texts, functions asked before every HTTP request, or ``None`` to leave out."""

AsyncHeadersLike = Mapping[str, Union[str, Callable[[], Union[str, Awaitable[str]]]]]
"""Headers of the asynchronous classes: functions may also return awaitables."""

AsyncParamsLike = Mapping[str, Union[str, Callable[[], Union[Optional[str], Awaitable[Optional[str]]]], None]]
"""Query parameters of the asynchronous classes: functions may also return awaitables."""

JSONValue = Any
"""What JSON can say: dict, list, str, int, float, bool, None."""


@dataclass(frozen=True)
class StreamEvent(Generic[T_co]):
    """Data of a stream together with the offset to resume from behind it."""

    data: T_co
    """The data in the shape asked for; ``None`` if the event only tells where the read is."""
    next_offset: Offset
    """Where to resume. Within one answer all events have the offset behind that answer's data."""
    up_to_date: bool
    """Everything there is has been read."""
    cursor: Optional[str] = None
    """For a later live read."""
    stream_closed: bool = False
    """The stream is closed and this was its end."""


@dataclass(frozen=True)
class HeadResult:
    """What a server tells about a stream."""

    exists: bool
    """Always true: a stream that does not exist raises ``StreamNotFoundError``."""
    content_type: Optional[str] = None
    offset: Optional[Offset] = None
    """The tail: where a reader of only newer data starts."""
    etag: Optional[str] = None
    cache_control: Optional[str] = None
    stream_closed: bool = False
    ttl_seconds: Optional[int] = None
    """For how long the stream may sit idle. Units: seconds."""
    expires_at: Optional[str] = None
    """When the stream ends, RFC 3339."""
    status: int = 200
    headers: Dict[str, str] = field(default_factory=dict, repr=False)
    """Headers of the answer, names in lower case."""
    attempts: int = 1
    """How many times the request was sent."""


@dataclass(frozen=True)
class CreateResult:
    """A created stream."""

    created: bool
    """False if a stream with the same settings was there before."""
    content_type: Optional[str] = None
    next_offset: Optional[Offset] = None
    """The tail."""
    status: int = 201
    headers: Dict[str, str] = field(default_factory=dict, repr=False)
    """Headers of the answer, names in lower case."""
    stream_closed: bool = False
    attempts: int = 1
    """How many times the request was sent."""


@dataclass(frozen=True)
class AppendResult:
    """A stored append."""

    next_offset: Offset
    """The new tail. Appends that shared one request share the offset behind it."""
    duplicate: bool = False
    """The server had the data already. Only for appends with ``producer_id``."""
    status: int = 204
    headers: Dict[str, str] = field(default_factory=dict, repr=False)
    """Headers of the answer, names in lower case."""
    producer_epoch: Optional[int] = None
    producer_seq: Optional[int] = None
    stream_closed: bool = False
    etag: Optional[str] = None
    """For ``if_match`` of a later append, if the server sends one."""
    attempts: int = 1
    """How many times the request was sent."""


@dataclass(frozen=True)
class CloseResult:
    """A closed stream."""

    final_offset: Offset
    """The tail, which no longer moves."""
    status: int = 204
    headers: Dict[str, str] = field(default_factory=dict, repr=False)
    """Headers of the answer, names in lower case."""
    attempts: int = 1
    """How many times the request was sent."""


@dataclass(frozen=True)
class IdempotentAppendResult:
    """A producer's last message and the end of its stream."""

    offset: Offset
    """The final tail."""
    duplicate: bool = False
    """The stream was closed by an earlier, equal request."""


@dataclass(frozen=True)
class FlushResult:
    """What the server said to the batch of a message, or to the last batch of a flush."""

    offset: Optional[Offset]
    """The tail behind it."""
    duplicate: bool = False
    """The server had it already, from an earlier try or an earlier life of this producer."""
    epoch: Optional[int] = None
    seq: Optional[int] = None


@dataclass(frozen=True)
class RetryOptions:
    """How failed requests are repeated: exponential backoff with full jitter; ``Retry-After`` is a floor.

    429, 5xx and failed connections are repeated; a plain append is not repeated after a
    connection that broke midway, for it may have been stored.
    Errors: ``ValueError`` naming the field.
    """

    max_retries: Optional[float] = 3
    """Repeats after the first try. ``None`` or infinity: without end."""
    initial_delay_ms: float = 100
    """Units: ms."""
    max_delay_ms: float = 30_000
    """Units: ms."""
    multiplier: float = 2.0

    def __post_init__(self) -> None:
        retries = self.max_retries
        if retries is None:
            object.__setattr__(self, "max_retries", float("inf"))
        elif retries < 0 or (retries != float("inf") and retries != int(retries)):
            raise ValueError(f"max_retries: must be a whole number of 0 or more, got {retries}")
        if not self.initial_delay_ms > 0:
            raise ValueError(f"initial_delay_ms: must be more than 0, got {self.initial_delay_ms}")
        if not self.max_delay_ms >= self.initial_delay_ms:
            raise ValueError(f"max_delay_ms: must not be below initial_delay_ms, got {self.max_delay_ms}")
        if not self.multiplier >= 1:
            raise ValueError(f"multiplier: must be at least 1, got {self.multiplier}")
