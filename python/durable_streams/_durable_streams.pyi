"""The native core. Private: the package around it is the API."""

import builtins
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, final

from ._types import RetryOptions

__all__ = [
    "Batch",
    "Call",
    "Host",
    "Job",
    "Left",
    "Pieces",
    "Port",
    "Producer",
    "Reader",
    "Receipt",
    "Server",
    "Stream",
    "__version__",
    "begin_exit",
    "generation",
    "json_dumps",
    "json_loads",
]

__version__: str

def json_loads(data: bytes) -> Any: ...
def json_dumps(value: Any) -> bytes: ...
def begin_exit() -> None: ...
def generation() -> int: ...
@final
class Call:
    def wait(self, seconds: float | None = None) -> Any: ...
    def start(self, port: Port, key: int) -> None: ...
    def result(self) -> Any: ...
    def cancel(self) -> None: ...

@final
class Port:
    def __new__(cls) -> Port: ...
    def fileno(self) -> int: ...
    def drain(self) -> tuple[list[Job], list[int], list[int]]: ...

@final
class Job:
    @property
    def key(self) -> int: ...
    def call(self) -> Any | Awaitable[Any]: ...
    def done(self, value: Any) -> None: ...
    def fail(self, error: BaseException) -> None: ...

@final
class Host:
    def __new__(cls, handler: Any, is_async: bool) -> Host: ...
    def bind(self, port: Port) -> None: ...

@final
class Left:
    def __new__(cls) -> Left: ...
    @property
    def count(self) -> int: ...

@final
class Pieces(Iterator[Any]):
    def __new__(cls, fill: Callable[[Pieces], bool], left: Left) -> Pieces: ...
    def put(self, pieces: list[Any]) -> None: ...
    def __iter__(self) -> Pieces: ...
    def __next__(self) -> Any: ...

@final
class Stream:
    def __new__(
        cls,
        url: str,
        *,
        headers: list[tuple[str, str]],
        params: list[tuple[str, str]],
        content_type: str | None = None,
        host: Host | None = None,
        is_dynamic: bool = False,
        is_transport: bool = False,
        timeout: float | None = None,
        long_poll_timeout: float | None = None,
        sse_idle_timeout: float | None = None,
        retry: RetryOptions | None = None,
        batching: bool = False,
    ) -> Stream: ...
    @property
    def url(self) -> str: ...
    @property
    def content_type(self) -> str | None: ...
    def create(
        self,
        *,
        content_type: str | None = None,
        ttl_seconds: float | None = None,
        expires_at: str | None = None,
        body: Any = None,
        closed: bool = False,
        fork_from: str | None = None,
        fork_offset: str | None = None,
        fork_sub_offset: int | None = None,
        headers: list[tuple[str, str]] = ...,
    ) -> Call: ...
    def append(
        self,
        data: Any,
        *,
        encode: bool = False,
        seq: str | None = None,
        content_type: str | None = None,
        if_match: str | None = None,
        producer: tuple[str, int, int] | None = None,
        headers: list[tuple[str, str]] = ...,
    ) -> Call: ...
    def append_stream(
        self,
        source: Host,
        *,
        seq: str | None = None,
        content_type: str | None = None,
        if_match: str | None = None,
        headers: list[tuple[str, str]] = ...,
    ) -> Call: ...
    def close_stream(
        self, *, data: Any = None, content_type: str | None = None, headers: list[tuple[str, str]] = ...
    ) -> Call: ...
    def delete(self, *, headers: list[tuple[str, str]] = ...) -> Call: ...
    def head(self, *, headers: list[tuple[str, str]] = ...) -> Call: ...

@final
class Reader:
    def __new__(
        cls,
        stream: Stream,
        *,
        offset: str | None = None,
        live: str = "off",
        cursor: str | None = None,
        if_none_match: str | None = None,
        content_type: str | None = None,
        headers: list[tuple[str, str]] = ...,
        params: list[tuple[str, str]] = ...,
        timeout: float | None = None,
        max_batch_bytes: int | None = None,
        retry: RetryOptions | None = None,
    ) -> Reader: ...
    @property
    def content_type(self) -> str | None: ...
    @property
    def status(self) -> int: ...
    def next(self) -> Call: ...
    def opened(self) -> Call: ...
    def close(self) -> None: ...
    def headers(self) -> dict[str, str]: ...

@final
class Batch:
    @property
    def next_offset(self) -> str: ...
    @property
    def up_to_date(self) -> bool: ...
    @property
    def stream_closed(self) -> bool: ...
    @property
    def cursor(self) -> str | None: ...
    @property
    def status(self) -> int: ...
    @property
    def is_json(self) -> bool: ...
    @property
    def is_empty(self) -> bool: ...
    def bytes(self) -> builtins.bytes: ...
    def json(self) -> Any: ...
    def messages(self, at: int, most: int) -> tuple[list[Any], int | None]: ...

@final
class Producer:
    def __new__(
        cls,
        stream: Stream,
        producer_id: str,
        *,
        epoch: float | None = None,
        auto_claim: bool = False,
        max_batch_bytes: float | None = None,
        max_batch_items: float | None = None,
        linger_ms: float | None = None,
        max_in_flight: float | None = None,
        max_queued_bytes: int | None = None,
        max_queued_messages: int | None = None,
        content_type: str | None = None,
        retry: RetryOptions | None = None,
        reporter: Host | None = None,
    ) -> Producer: ...
    @property
    def url(self) -> str: ...
    @property
    def epoch(self) -> int: ...
    @property
    def next_seq(self) -> int: ...
    @property
    def pending_count(self) -> int: ...
    @property
    def pending_bytes(self) -> int: ...
    @property
    def in_flight_count(self) -> int: ...
    @property
    def acknowledged_offset(self) -> str | None: ...
    @property
    def has_closed_stream(self) -> bool: ...
    def append(self, data: Any) -> bool: ...
    def append_in_turn(self, data: Any) -> Call | None: ...
    def append_with_receipt(self, data: Any) -> Receipt: ...
    def room(self) -> Call: ...
    def flush(self) -> Call: ...
    def close_stream(self, data: Any = None) -> Call: ...
    def detach(self) -> Call: ...
    def restart(self) -> Call: ...

@final
class Receipt:
    def stored(self) -> Call: ...

@final
class Server:
    def __new__(
        cls,
        *,
        host: str | None = None,
        port: int | None = None,
        data_dir: str | None = None,
        prefix: str | None = None,
        long_poll_timeout_ms: int | None = None,
    ) -> Server: ...
    @property
    def url(self) -> str: ...
    @property
    def streams_url(self) -> str: ...
    @property
    def port(self) -> int: ...
    def start(self) -> Call: ...
    def stop(self) -> Call: ...
    def inject_fault(
        self,
        path: str,
        *,
        status: int | None = None,
        delay_ms: int | None = None,
        jitter_ms: int = 0,
        drop_connection: bool = False,
        truncate_body_bytes: int | None = None,
        corrupt_body: bool = False,
        inject_sse_event: tuple[str, str] | None = None,
        count: int | None = None,
        retry_after: int | None = None,
        probability: float | None = None,
        method: str | None = None,
    ) -> Call: ...
    def clear_faults(self) -> Call: ...
    def clear(self) -> Call: ...
    def live_readers(self) -> Call: ...
