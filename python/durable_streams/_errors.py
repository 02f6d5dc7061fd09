"""Every error of the package.

``DurableStreamError`` is the base. Answers with an error status are also a ``FetchError``,
and so is a network failure, which is nothing but that.
"""

from __future__ import annotations

import re
from typing import Any, Dict, Mapping, Optional, Type

__all__ = [
    "DurableStreamError",
    "FetchError",
    "HTTPStatusError",
    "InvalidArgumentError",
    "RetentionGoneError",
    "SSEBytesIterationError",
    "SSEEncodingError",
    "SSENotSupportedError",
    "SSEReadAllError",
    "SeqConflictError",
    "SequenceGapError",
    "StaleEpochError",
    "StreamClosedError",
    "StreamConsumedError",
    "StreamExistsError",
    "StreamNotFoundError",
]


class DurableStreamError(Exception):
    """Something went wrong with a stream. ``code`` says what; the text is for people."""

    message: str
    status: Optional[int]
    """HTTP status, if an answer arrived."""
    code: Optional[str]
    """What happened, to branch on."""
    details: Optional[Any]
    """What the server said, if anything."""
    url: Optional[str]
    """The stream, without credentials."""
    headers: Dict[str, str]
    """Headers of the answer."""
    reason: Optional[str]
    """The code in the spelling all languages share, which tells a few more cases apart."""
    may_be_applied: bool
    """Whether the server may have carried the request out all the same."""
    attempts: int
    """How many times the request was sent."""
    retry_after: Optional[float]
    """How long the server asked to wait. Units: seconds."""
    operation: Optional[str]
    """What was being done: ``create``, ``append``, ``close``, ``delete``, ``head`` or ``read``."""

    def __init__(
        self,
        message: str = "",
        status: Optional[int] = None,
        code: Optional[str] = None,
        details: Optional[Any] = None,
    ) -> None:
        Exception.__init__(self, message)
        self.message = message
        self.status = status
        self.code = code
        self.details = details
        self.url = None
        self.headers = {}
        self.reason = None
        self.may_be_applied = False
        self.attempts = 0
        self.retry_after = None
        self.operation = None

    def __str__(self) -> str:
        return self.message

    def __reduce__(self) -> Any:
        return (_restore, (type(self), self.__dict__.copy()))


class FetchError(Exception):
    """An HTTP exchange failed: no whole answer arrived (``status`` is ``None``), or one that says no.

    After a network failure ``__cause__`` tells how it failed.
    """

    message: str
    status: Optional[int]
    url: Optional[str]
    headers: Dict[str, str]
    body: Optional[str]
    code: Optional[str]
    """``NETWORK_ERROR`` or ``TIMEOUT`` when no whole answer arrived."""
    reason: Optional[str]
    may_be_applied: bool
    """Whether the server may have carried the request out all the same."""
    attempts: int
    """How many times the request was sent."""
    retry_after: Optional[float]
    """How long the server asked to wait. Units: seconds."""
    operation: Optional[str]
    """What was being done: ``create``, ``append``, ``close``, ``delete``, ``head`` or ``read``."""

    def __init__(
        self,
        message: str = "",
        status: Optional[int] = None,
        url: Optional[str] = None,
        headers: Optional[Mapping[str, str]] = None,
        body: Optional[str] = None,
    ) -> None:
        Exception.__init__(self, message)
        self.message = message
        self.status = status
        self.url = url
        self.headers = dict(headers or {})
        self.body = body
        self.code = None
        self.reason = None
        self.may_be_applied = False
        self.attempts = 0
        self.retry_after = None
        self.operation = None

    def __str__(self) -> str:
        return self.message

    def __reduce__(self) -> Any:
        return (_restore, (type(self), self.__dict__.copy()))


class HTTPStatusError(DurableStreamError, FetchError):
    """The server said no, and no other class says it better; see ``status`` and ``code``."""

    body: Optional[str] = None


class InvalidArgumentError(DurableStreamError, ValueError):
    """An argument cannot be used; nothing was sent. The text names it."""


class StreamNotFoundError(HTTPStatusError):
    """There is no such stream."""

    def __init__(self, url: str = "", message: Optional[str] = None) -> None:
        super().__init__(message or f"Stream not found: {url}", 404, "NOT_FOUND")
        self.url: Optional[str] = url


class StreamExistsError(HTTPStatusError):
    """The stream exists with other settings."""

    def __init__(self, url: str = "", message: Optional[str] = None) -> None:
        super().__init__(message or f"Stream already exists: {url}", 409, "CONFLICT_EXISTS")
        self.url: Optional[str] = url


class SeqConflictError(HTTPStatusError):
    """``seq`` is not above the last accepted one."""

    def __init__(self, message: str = "Sequence conflict") -> None:
        super().__init__(message, 409, "CONFLICT_SEQ")


class StreamClosedError(HTTPStatusError):
    """The stream is closed: nothing may follow its final message."""

    final_offset: Optional[str]
    """The tail, which no longer moves."""

    def __init__(
        self, message: str = "Stream is closed", url: Optional[str] = None, final_offset: Optional[str] = None
    ) -> None:
        super().__init__(message, 409, "STREAM_CLOSED")
        self.url = url
        self.final_offset = final_offset


class RetentionGoneError(HTTPStatusError):
    """The data asked for, or the stream, is gone: dropped by retention or deleted."""

    def __init__(self, message: str = "The data is gone") -> None:
        super().__init__(message, 410, "RETENTION_GONE")


class StaleEpochError(HTTPStatusError):
    """A newer writer holds this producer id."""

    current_epoch: Optional[int]
    """The epoch in force."""

    def __init__(self, message: str = "Stale epoch", current_epoch: Optional[int] = None) -> None:
        super().__init__(message, 403, "STALE_EPOCH")
        self.current_epoch = current_epoch


class SequenceGapError(HTTPStatusError):
    """The server misses an earlier batch of this producer."""

    expected_seq: Optional[int]
    received_seq: Optional[int]

    def __init__(
        self,
        message: str = "Sequence gap",
        expected_seq: Optional[int] = None,
        received_seq: Optional[int] = None,
    ) -> None:
        super().__init__(message, 409, "SEQUENCE_GAP")
        self.expected_seq = expected_seq
        self.received_seq = received_seq


class StreamConsumedError(DurableStreamError):
    """A response can be consumed once."""

    def __init__(self, attempted_method: str = "", consumed_by: str = "") -> None:
        super().__init__(
            f"Cannot call {attempted_method}(): the response was already consumed by {consumed_by}()",
            None,
            "ALREADY_CONSUMED",
        )
        self.attempted_method = attempted_method
        self.consumed_by = consumed_by


class SSENotSupportedError(HTTPStatusError):
    """The server does not serve this stream as server-sent events."""

    def __init__(self, message: str = "SSE is not supported", content_type: Optional[str] = None) -> None:
        super().__init__(message, 400, "SSE_NOT_SUPPORTED")
        self.content_type = content_type


class SSEBytesIterationError(DurableStreamError):
    """Text and JSON over server-sent events have no byte form; iterate text, JSON or events."""

    def __init__(self, message: str = "") -> None:
        super().__init__(
            message or "bytes cannot be iterated in SSE mode on a text or JSON stream: use iter_text, iter_json or "
            "iter_events",
            None,
            "SSE_BYTES_ITERATION",
        )


class SSEReadAllError(DurableStreamError):
    """``read_*`` has no end to wait for in SSE mode."""

    def __init__(self, method: str = "") -> None:
        super().__init__(
            f'{method}() cannot be used with live="sse": use live=False, or iterate', None, "SSE_READ_ALL"
        )
        self.method = method


class SSEEncodingError(DurableStreamError):
    """Base64 data in a server-sent event is damaged."""

    def __init__(self, message: str = "invalid base64 in a server-sent event") -> None:
        super().__init__(message, None, "SSE_ENCODING_ERROR")


def _restore(cls: Type[BaseException], state: Dict[str, Any]) -> BaseException:
    error = cls.__new__(cls, state.get("message", ""))
    error.__dict__.update(state)
    return error


# What the shared list of codes is called in this package, where the names differ.
_CODES = {
    "ALREADY_EXISTS": "CONFLICT_EXISTS",
    "CONFLICT": "CONFLICT_SEQ",
    "SEQUENCE_CONFLICT": "CONFLICT_SEQ",
    "GONE": "RETENTION_GONE",
    "INVALID_OFFSET": "BAD_REQUEST",
    "UNEXPECTED_STATUS": "HTTP_ERROR",
}


def _named(text: str) -> str:
    """The text with its argument's name, its first word, written as Python writes names."""
    name, colon, rest = text.partition(":")
    if not colon or not name.isidentifier():
        return text
    return re.sub("[A-Z]", lambda found: "_" + found[0].lower(), name) + colon + rest


def _from_native(info: Dict[str, Any]) -> BaseException:
    """Makes the exception of a failed operation."""
    reason, status, text, url = info["code"], info["status"], info["text"], info["url"]
    code = _CODES.get(reason, reason)
    error: Any
    if reason in ("NETWORK_ERROR", "TIMEOUT"):
        error = FetchError(text, status, url)
        cause = info["cause"]
        if isinstance(cause, BaseException):
            error.__cause__ = cause
        elif cause is not None:
            error.__cause__ = (TimeoutError if reason == "TIMEOUT" else ConnectionError)(cause)
    elif reason == "NOT_FOUND":
        error = StreamNotFoundError(url, text)
    elif reason == "ALREADY_EXISTS":
        error = StreamExistsError(url, text)
    elif reason in ("SEQUENCE_CONFLICT", "CONFLICT"):
        error = SeqConflictError(text)
    elif reason == "STREAM_CLOSED":
        error = StreamClosedError(text, url, info["final_offset"])
    elif reason == "GONE":
        error = RetentionGoneError(text)
    elif reason == "STALE_EPOCH":
        error = StaleEpochError(text, info["current_epoch"])
    elif reason == "SEQUENCE_GAP":
        error = SequenceGapError(text, info["expected_seq"], info["received_seq"])
    elif reason == "PARSE_ERROR" and "base64" in text:
        error = SSEEncodingError(text)
        code = error.code
    elif reason == "INVALID_ARGUMENT":
        error = InvalidArgumentError(_named(text), None, code)
    elif status is not None:
        error = HTTPStatusError(text, status, code)
    else:
        error = DurableStreamError(text, None, code)
    error.status = status if status is not None else error.status
    error.code, error.reason, error.url = code, reason, url
    error.headers = info["headers"]
    error.may_be_applied, error.attempts = info["may_be_applied"], info["attempts"]
    error.retry_after, error.operation = info["retry_after"], info["operation"]
    if isinstance(error, FetchError):
        error.body = info["server_text"]
    if isinstance(error, DurableStreamError):
        error.details = info["server_text"]
    made: BaseException = error
    return made
