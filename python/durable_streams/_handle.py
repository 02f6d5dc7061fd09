"""What blocking and asynchronous handles share."""

from __future__ import annotations

import datetime
from dataclasses import replace
from typing import Any, Callable, Dict, List, Mapping, Optional, Tuple, Union

from . import _durable_streams as _native
from ._config import Config, duration, overrides, split, timestamp
from ._errors import DurableStreamError, FetchError
from ._reading import Settings
from ._types import AppendResult, CloseResult, CreateResult, HeadResult, LiveMode

Start = Callable[[_native.Stream], _native.Call]


class Handle:
    """A stream's URL and how to talk to it."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._is_closed = False
        self._native, self._host = config.open()

    @property
    def url(self) -> str:
        """The stream's URL."""
        return self._config.url

    @property
    def content_type(self) -> Optional[str]:
        """The content type: as given, else as the last create, connect or head learned it."""
        return self._native.content_type

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.url}>"

    def _open_native(self) -> _native.Stream:
        if self._is_closed:
            raise DurableStreamError(f"{self.url}: the handle is closed", None, "ALREADY_CLOSED")
        return self._native

    def _can_recover(self, error: Exception) -> Optional[Callable[[Exception], Any]]:
        return self._config.on_error if isinstance(error, FetchError) else None

    def _again(self, answer: Any) -> bool:
        """Goes on with what ``on_error`` answered; false if it wants the error raised."""
        changes = overrides(answer)
        if changes is None:
            return False
        if changes != ({}, {}):
            known = self.content_type
            self._config = self._config.merged(*changes)
            self._native, self._host = self._with_type(known).open()
        return True

    def _created(self, facts: Dict[str, Any], asked: Optional[str]) -> CreateResult:
        """What was created, with its content type remembered in place of another one."""
        result = CreateResult(**facts)
        known = result.content_type or asked
        if known is not None and self._config.content_type not in (None, known):
            self._config = self._with_type(known)
            self._native, self._host = self._config.open()
        return result

    def _with_type(self, content_type: Optional[str]) -> Config:
        return replace(self._config, content_type=content_type)

    def _reading(
        self,
        offset: Optional[str],
        live: LiveMode,
        cursor: Optional[str],
        if_none_match: Optional[str],
        headers: Optional[Mapping[str, Any]],
        params: Optional[Mapping[str, Any]],
        timeout: Any,
        on_error: Optional[Callable[[Exception], Any]],
        max_batch_bytes: Optional[int],
    ) -> Settings:
        self._open_native()
        config = self._with_type(self.content_type)
        if on_error is not None:
            config = replace(config, on_error=on_error)
        return Settings(
            config,
            offset=offset,
            live=live,
            cursor=cursor,
            if_none_match=if_none_match,
            headers=headers,
            params=params,
            timeout=timeout,
            max_batch_bytes=max_batch_bytes,
        )


def create_call(
    content_type: Optional[str],
    ttl_seconds: Union[float, datetime.timedelta, None],
    expires_at: Union[str, datetime.datetime, None],
    body: Any,
    closed: bool,
    fork_from: Any,
    fork_offset: Optional[str],
    fork_sub_offset: Optional[int],
) -> Start:
    """A create with these settings."""
    options: Dict[str, Any] = {
        "content_type": content_type,
        "ttl_seconds": duration(ttl_seconds),
        "expires_at": timestamp(expires_at),
        "body": body,
        "closed": closed,
        "fork_from": fork_from.url if isinstance(fork_from, Handle) else fork_from,
        "fork_offset": fork_offset,
        "fork_sub_offset": fork_sub_offset,
    }
    return lambda native: native.create(**options)


def append_call(
    data: Any,
    encode: bool,
    seq: Optional[str],
    content_type: Optional[str],
    if_match: Optional[str],
    headers: Optional[Mapping[str, str]],
    producer_id: Optional[str],
    producer_epoch: Optional[int],
    producer_seq: Optional[int],
) -> Start:
    """An append with these conditions."""
    producer: Optional[Tuple[str, int, int]] = None
    if producer_id is not None:
        producer = (producer_id, producer_epoch or 0, producer_seq or 0)
    elif producer_epoch is not None or producer_seq is not None:
        raise ValueError("producer_id: is missing; producer_epoch and producer_seq belong to it")
    conditions = append_conditions(seq, content_type, if_match, headers)
    return lambda native: native.append(data, encode=encode, producer=producer, **conditions)


def append_conditions(
    seq: Optional[str],
    content_type: Optional[str],
    if_match: Optional[str],
    headers: Optional[Mapping[str, str]],
) -> Dict[str, Any]:
    """What every kind of append may say."""
    if seq is not None and not isinstance(seq, str):
        seq = str(seq)
    return {"seq": seq, "content_type": content_type, "if_match": if_match, "headers": static_headers(headers)}


def close_call(data: Any, content_type: Optional[str]) -> Start:
    """The end of a stream."""
    return lambda native: native.close_stream(data=data, content_type=content_type)


def static_headers(headers: Optional[Mapping[str, str]]) -> List[Tuple[str, str]]:
    """Headers of one call."""
    static, dynamic = split("headers", headers)
    if dynamic:
        raise TypeError("headers: of a single call must be str; functions belong to the handle")
    return static


def head_result(facts: Dict[str, Any]) -> HeadResult:
    return HeadResult(**facts)


def append_result(facts: Dict[str, Any]) -> AppendResult:
    if facts["next_offset"] is None:
        # Answers to duplicates may lack it.
        facts["next_offset"] = ""
    return AppendResult(**facts)


def close_result(facts: Dict[str, Any]) -> CloseResult:
    facts["final_offset"] = facts["final_offset"] or ""
    return CloseResult(**facts)
