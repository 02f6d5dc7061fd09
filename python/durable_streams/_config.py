"""Settings of a handle, checked, and in the form the native core takes."""

from __future__ import annotations

import datetime
import inspect
import math
from dataclasses import dataclass, field, replace
from typing import Any, Callable, Dict, List, Mapping, Optional, Tuple, Union

from . import _durable_streams as _native
from ._transport import AsyncClientHandler, ClientHandler, Handler, check_client
from ._types import RetryOptions

Pairs = List[Tuple[str, str]]
Timeout = Union[float, datetime.timedelta, Any, None]
"""Seconds, a ``timedelta``, or an ``httpx.Timeout``."""


def seconds(name: str, value: Timeout) -> Optional[float]:
    """A time limit in seconds; ``None`` keeps the default."""
    if value is None:
        return None
    if isinstance(value, datetime.timedelta):
        return value.total_seconds()
    if isinstance(value, bool):
        raise TypeError(f"{name}: expected seconds, got {value!r}")
    if isinstance(value, (int, float)):
        return float(value)
    if hasattr(value, "read") and hasattr(value, "connect"):  # httpx.Timeout
        return math.inf if value.read is None else float(value.read)
    raise TypeError(f"{name}: expected seconds, a timedelta or an httpx.Timeout, got {type(value).__name__}")


def split(name: str, values: Optional[Mapping[str, Any]]) -> Tuple[Pairs, Dict[str, Callable[[], Any]]]:
    """Parts texts from functions; ``None`` is left out."""
    static: Pairs = []
    dynamic: Dict[str, Callable[[], Any]] = {}
    for key, value in (values or {}).items():
        if value is None and name == "params":
            continue
        if callable(value):
            dynamic[key] = value
        elif isinstance(value, str):
            static.append((key, value))
        elif name == "params" and isinstance(value, (int, float)) and not isinstance(value, bool):
            static.append((key, str(value)))
        else:
            raise TypeError(f"{name}: {key!r} must be str or a function, got {type(value).__name__}")
    return static, dynamic


@dataclass(frozen=True)
class Config:
    """Everything a handle was given."""

    url: str
    is_async: bool
    headers: Mapping[str, Any] = field(default_factory=dict)
    params: Mapping[str, Any] = field(default_factory=dict)
    content_type: Optional[str] = None
    client: Any = None
    timeout: Timeout = None
    long_poll_timeout: Timeout = None
    sse_idle_timeout: Timeout = None
    retry: Optional[RetryOptions] = None
    batching: bool = True
    on_error: Optional[Callable[[Exception], Any]] = None

    def __post_init__(self) -> None:
        if not isinstance(self.url, str):
            raise TypeError(f"url: expected str, got {type(self.url).__name__}")
        if self.client is not None:
            check_client(self.client, self.is_async)
            object.__setattr__(self, "url", below_base(str(self.client.base_url), self.url))

    def merged(self, headers: Optional[Mapping[str, Any]], params: Optional[Mapping[str, Any]]) -> "Config":
        """The same with more headers and parameters, which win over those there are."""
        if not headers and not params:
            return self
        own = {name.lower() for name in headers or {}}
        kept = {name: value for name, value in self.headers.items() if name.lower() not in own}
        return replace(self, headers={**kept, **(headers or {})}, params={**self.params, **(params or {})})

    def open(self) -> Tuple[_native.Stream, Optional[_native.Host]]:
        """The native handle, and whom it asks."""
        headers, dynamic_headers = split("headers", self.headers)
        params, dynamic_params = split("params", self.params)
        is_dynamic = bool(dynamic_headers or dynamic_params)
        host = None
        if is_dynamic or self.client is not None:
            kind = AsyncClientHandler if self.is_async else ClientHandler
            host = _native.Host(kind(self.client, dynamic_headers, dynamic_params), self.is_async)
        stream = _native.Stream(
            self.url,
            headers=headers,
            params=params,
            content_type=self.content_type,
            host=host,
            is_dynamic=is_dynamic,
            is_transport=self.client is not None,
            timeout=seconds("timeout", self.timeout),
            long_poll_timeout=seconds("long_poll_timeout", self.long_poll_timeout),
            sse_idle_timeout=seconds("sse_idle_timeout", self.sse_idle_timeout),
            retry=self.retry,
            batching=self.batching,
        )
        return stream, host


def below_base(base: str, url: str) -> str:
    """A relative URL below the base URL of an HTTP client, as httpx joins them."""
    if not base or "://" in url:
        return url
    return base.rstrip("/") + "/" + url.lstrip("/")


def callbacks_only(report: Callable[[Any], Any], is_async: bool) -> _native.Host:
    """Whom a producer tells of its failures."""
    return _native.Host(_Reporter(report), is_async)


class _Reporter(Handler):
    def __init__(self, report: Callable[[Any], Any]) -> None:
        self._report = report

    def report(self, error: BaseException) -> Any:
        return self._report(error)


def overrides(answer: Any) -> Optional[Tuple[Mapping[str, Any], Mapping[str, Any]]]:
    """What ``on_error`` answered: headers and parameters to try again with; ``None``: do not."""
    if answer is None:
        return None
    if not isinstance(answer, Mapping):
        raise TypeError(f"on_error: must return a dict or None, got {type(answer).__name__}")
    return answer.get("headers") or {}, answer.get("params") or {}


async def settled(value: Any) -> Any:
    """The value, or what an awaitable gives."""
    return await value if inspect.isawaitable(value) else value


LIVE_MODES = {False: "off", True: "auto", "auto": "auto", "long-poll": "long-poll", "sse": "sse"}


def live_mode(live: Any) -> str:
    """A live mode in the core's spelling."""
    if isinstance(live, (bool, str)) and live in LIVE_MODES:
        return LIVE_MODES[live]
    raise ValueError(f'live: expected False, True, "auto", "long-poll" or "sse", got {live!r}')


def timestamp(value: Union[str, datetime.datetime, None]) -> Optional[str]:
    """A deadline as RFC 3339. A ``datetime`` without a time zone means local time, as always in Python."""
    if isinstance(value, datetime.datetime):
        return value.astimezone(datetime.timezone.utc).isoformat().replace("+00:00", "Z")
    return value


def duration(value: Union[float, datetime.timedelta, None]) -> Optional[float]:
    """Seconds, also from a ``timedelta``."""
    return value.total_seconds() if isinstance(value, datetime.timedelta) else value
