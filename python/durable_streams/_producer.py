"""Exactly-once writing: the producer for event loops, and the one for threads."""

from __future__ import annotations

import atexit
import time
import warnings
import weakref
from typing import TYPE_CHECKING, Any, Callable, Optional, Union

from . import _durable_streams as _native
from ._bridge import bind_to_running_loop, perform
from ._config import Config, Timeout, callbacks_only
from ._errors import DurableStreamError
from ._handle import Handle
from ._receipt import Receipt, SyncReceipt
from ._types import FlushResult, IdempotentAppendResult, Offset, RetryOptions

if TYPE_CHECKING:
    import httpx

    from ._async_stream import AsyncDurableStream
    from ._stream import DurableStream

# What is left when the interpreter ends is sent, for at most this long. Units: seconds.
_LAST_FLUSH = 5.0

_OPEN: "weakref.WeakSet[_Producer]" = weakref.WeakSet()


class _Producer:
    """What both producers share."""

    _is_async: bool

    def __init__(
        self,
        stream: Any,
        producer_id: str,
        *,
        client: Any = None,
        epoch: int = 0,
        auto_claim: bool = False,
        max_batch_bytes: int = 1_048_576,
        max_batch_items: Optional[int] = None,
        linger_ms: float = 5,
        max_in_flight: int = 5,
        max_queued_bytes: Optional[int] = None,
        max_queued_messages: Optional[int] = None,
        content_type: Optional[str] = None,
        on_error: Optional[Callable[[Exception], Any]] = None,
        headers: Any = None,
        params: Any = None,
        timeout: Timeout = None,
        retry: Optional[RetryOptions] = None,
    ) -> None:
        self._is_closed = True  # Until the end of this function.
        if isinstance(stream, Handle):
            config = stream._config.merged(headers, params)
            known = content_type or stream.content_type
            if config.is_async != self._is_async and config.client is None:
                config = _moved(config, self._is_async)
        else:
            config, known = Config(stream, self._is_async, headers=headers or {}, params=params or {}), content_type
        changes = {"client": client, "timeout": timeout}
        config = _changed(config, {name: value for name, value in changes.items() if value is not None})
        if config.is_async != self._is_async:
            raise TypeError(f"stream: a handle with a client of its own does not fit {type(self).__name__}")
        for name, limit in (("max_queued_bytes", max_queued_bytes), ("max_queued_messages", max_queued_messages)):
            if limit is not None and limit <= 0:
                raise ValueError(f"{name}: must be more than 0, got {limit}")
        native, host = _changed(config, {"content_type": known}).open()
        reporter = None
        if on_error is not None:
            reporter = callbacks_only(on_error, self._is_async)
        self._hosts = [one for one in (host, reporter) if one is not None]
        if self._is_async:
            for one in self._hosts:
                bind_to_running_loop(one)
        self._on_error = on_error
        self._waits_for_loop = self._is_async and bool(self._hosts)
        self._generation = _native.generation()
        self._native = _native.Producer(
            native,
            producer_id,
            epoch=epoch,
            auto_claim=auto_claim,
            max_batch_bytes=max_batch_bytes,
            max_batch_items=max_batch_items,
            linger_ms=linger_ms,
            max_in_flight=max_in_flight,
            max_queued_bytes=max_queued_bytes,
            max_queued_messages=max_queued_messages,
            content_type=content_type,
            retry=retry,
            reporter=reporter,
        )
        self.producer_id = producer_id
        self._is_closed = False
        _OPEN.add(self)

    @property
    def url(self) -> str:
        """The stream's URL."""
        return self._native.url

    @property
    def epoch(self) -> int:
        """The epoch in use."""
        return self._native.epoch

    @property
    def next_seq(self) -> int:
        """The sequence number the next batch will get."""
        return self._native.next_seq

    @property
    def pending_count(self) -> int:
        """Messages taken that are neither acknowledged nor given up."""
        return self._native.pending_count

    @property
    def pending_bytes(self) -> int:
        """The same in bytes."""
        return self._native.pending_bytes

    @property
    def in_flight_count(self) -> int:
        """Batches sent and not yet answered for good."""
        return self._native.in_flight_count

    @property
    def acknowledged_offset(self) -> Optional[Offset]:
        """The tail after the latest acknowledged batch; never goes back."""
        return self._native.acknowledged_offset

    @property
    def closed(self) -> bool:
        """Whether the producer was closed. Says nothing about the stream."""
        return self._is_closed

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.producer_id!r} on {self._native.url}>"

    def __del__(self) -> None:
        if self._is_closed or self._generation != _native.generation():
            return
        lost = self._native.pending_count
        if lost:
            warnings.warn(
                f"{self!r} was forgotten with {lost} messages not delivered; close() it", ResourceWarning, stacklevel=2
            )

    def _check_open(self) -> None:
        if self._is_closed:
            raise DurableStreamError(f"{self._native.url}: the producer is closed", None, "ALREADY_CLOSED")


def _changed(config: Config, changes: Any) -> Config:
    from dataclasses import replace

    return replace(config, **changes) if changes else config


def _moved(config: Config, is_async: bool) -> Config:
    return _changed(config, {"is_async": is_async})


def _flushed(facts: Any) -> Optional[FlushResult]:
    return None if facts is None else FlushResult(**facts)


class IdempotentProducer(_Producer):
    """Writes to a stream exactly once, in the order of the ``append`` calls, for event loops.

    Messages are collected into batches; several batches are under way at once. Every batch
    carries the producer's id, an epoch and a number, so a repeat is never stored twice.

    ``stream`` is a handle, which gives URL, headers, params, content type and client, or a URL.
    ``auto_claim`` takes over from an earlier writer with the same id. ``on_error(error)`` hears of
    each batch that is given up; it may be a coroutine function. The queue holds
    ``max_queued_bytes`` (64 MiB) and ``max_queued_messages`` (1,000,000) at ease.

    Units: ``linger_ms`` in ms, ``max_batch_bytes`` in bytes. Errors: ``ValueError`` naming the
    argument. Source: protocol.md §19, §20.
    """

    _is_async = True

    def __init__(
        self,
        stream: Union["AsyncDurableStream", "DurableStream", str],
        producer_id: str,
        *,
        client: Optional["httpx.AsyncClient"] = None,
        epoch: int = 0,
        auto_claim: bool = False,
        max_batch_bytes: int = 1_048_576,
        max_batch_items: Optional[int] = None,
        linger_ms: float = 5,
        max_in_flight: int = 5,
        max_queued_bytes: Optional[int] = None,
        max_queued_messages: Optional[int] = None,
        content_type: Optional[str] = None,
        on_error: Optional[Callable[[Exception], Any]] = None,
        headers: Any = None,
        params: Any = None,
        timeout: Timeout = None,
        retry: Optional[RetryOptions] = None,
    ) -> None:
        super().__init__(
            stream,
            producer_id,
            client=client,
            epoch=epoch,
            auto_claim=auto_claim,
            max_batch_bytes=max_batch_bytes,
            max_batch_items=max_batch_items,
            linger_ms=linger_ms,
            max_in_flight=max_in_flight,
            max_queued_bytes=max_queued_bytes,
            max_queued_messages=max_queued_messages,
            content_type=content_type,
            on_error=on_error,
            headers=headers,
            params=params,
            timeout=timeout,
            retry=retry,
        )

    def append(self, body: Any) -> None:
        """Takes a message, without waiting. :meth:`flush` tells whether it was stored.

        Who appends much in one go awaits :meth:`drain` now and then: the queue's limits are kept at
        ease, and four times as much at most.
        Shape: bytes or str as they are, on JSON streams the JSON text of one message; dict, list,
        number, bool or None become one JSON message.
        Errors: code ``BUSY`` when too much is kept, ``ALREADY_CLOSED``; ``TypeError``, ``ValueError``.
        """
        if self._is_closed:
            self._check_open()
        self._native.append(body)

    append_nowait = append

    def append_with_receipt(self, body: Any) -> Receipt:
        """Takes a message, without waiting. Awaiting the receipt tells that this very message is stored.

        Errors: as :meth:`append`; awaiting raises why the message was not stored, or may not be.
        """
        if self._is_closed:
            self._check_open()
        return Receipt(self._native.append_with_receipt(body))

    async def drain(self) -> None:
        """Waits until there is room for more, as ``StreamWriter.drain`` of asyncio does."""
        await perform(self._native.room())

    async def flush(self) -> Optional[FlushResult]:
        """Sends what is collected and waits until every message taken so far is acknowledged.

        Returns what the server said to the last batch. Errors: the first failure since the last
        flush that reported one.
        """
        return _flushed(await perform(self._native.flush()))

    async def close(self) -> None:
        """Flushes and stops. The stream stays open; :meth:`close_stream` ends it.

        Errors: those of :meth:`flush`, unless ``on_error`` is set, which has heard of them.
        """
        if self._is_closed:
            return
        self._is_closed = True
        try:
            await perform(self._native.detach())
        except Exception:
            if self._on_error is None:
                raise

    async def detach(self) -> None:
        """The same as :meth:`close`."""
        await self.close()

    async def close_stream(self, data: Any = None, *, seq: Optional[str] = None) -> IdempotentAppendResult:
        """Flushes, then ends the stream **for everyone**, with a last message if there is one.

        Repeating returns the first result. ``seq`` is accepted and not needed: a producer's
        requests are numbered.
        """
        return IdempotentAppendResult(await perform(self._native.close_stream(data)))

    async def restart(self) -> None:
        """Flushes and goes on in the next epoch, from number 0. Errors: those of :meth:`flush`."""
        await perform(self._native.restart())

    async def __aenter__(self) -> "IdempotentProducer":
        return self

    async def __aexit__(self, *_exception: object) -> None:
        await self.close()


class SyncProducer(_Producer):
    """Writes to a stream exactly once, in the order of the ``append`` calls, for threads.

    The same as ``IdempotentProducer``, with methods that wait without holding up other threads.
    Sending happens in the background; ``append`` waits only while the queue is full. What is
    left when the interpreter ends is sent then, for five seconds at most.
    """

    _is_async = False

    def __init__(
        self,
        stream: Union["DurableStream", "AsyncDurableStream", str],
        producer_id: str,
        *,
        client: Optional["httpx.Client"] = None,
        epoch: int = 0,
        auto_claim: bool = False,
        max_batch_bytes: int = 1_048_576,
        max_batch_items: Optional[int] = None,
        linger_ms: float = 5,
        max_in_flight: int = 5,
        max_queued_bytes: Optional[int] = None,
        max_queued_messages: Optional[int] = None,
        content_type: Optional[str] = None,
        on_error: Optional[Callable[[Exception], Any]] = None,
        headers: Any = None,
        params: Any = None,
        timeout: Timeout = None,
        retry: Optional[RetryOptions] = None,
    ) -> None:
        super().__init__(
            stream,
            producer_id,
            client=client,
            epoch=epoch,
            auto_claim=auto_claim,
            max_batch_bytes=max_batch_bytes,
            max_batch_items=max_batch_items,
            linger_ms=linger_ms,
            max_in_flight=max_in_flight,
            max_queued_bytes=max_queued_bytes,
            max_queued_messages=max_queued_messages,
            content_type=content_type,
            on_error=on_error,
            headers=headers,
            params=params,
            timeout=timeout,
            retry=retry,
        )

    def append(self, body: Any) -> None:
        """Takes a message; waits while the queue is full. :meth:`flush` tells whether it was stored.

        Shape: bytes or str as they are, on JSON streams the JSON text of one message; dict, list,
        number, bool or None become one JSON message.
        Errors: code ``ALREADY_CLOSED``; ``BUSY`` when threads that wait have filled the queue four times
        over; ``TypeError``, ``ValueError``.
        """
        if self._is_closed:
            self._check_open()
        no_room = self._native.append_in_turn(body)
        if no_room is not None:
            no_room.wait()

    def append_nowait(self, body: Any) -> None:
        """Takes a message without waiting. Errors: code ``BUSY`` when far too much is queued."""
        if self._is_closed:
            self._check_open()
        self._native.append(body)

    def append_with_receipt(self, body: Any) -> SyncReceipt:
        """Takes a message without waiting. The receipt's ``result()`` waits until this very message is stored.

        Errors: as :meth:`append_nowait`.
        """
        if self._is_closed:
            self._check_open()
        return SyncReceipt(self._native.append_with_receipt(body))

    def flush(self) -> Optional[FlushResult]:
        """Sends what is collected and waits until every message taken so far is acknowledged.

        Returns what the server said to the last batch. Errors: the first failure since the last
        flush that reported one.
        """
        return _flushed(self._native.flush().wait())

    def close(self) -> None:
        """Flushes and stops. The stream stays open; :meth:`close_stream` ends it.

        Errors: those of :meth:`flush`, unless ``on_error`` is set, which has heard of them.
        """
        if self._is_closed:
            return
        self._is_closed = True
        try:
            self._native.detach().wait()
        except Exception:
            if self._on_error is None:
                raise

    def detach(self) -> None:
        """The same as :meth:`close`."""
        self.close()

    def close_stream(self, data: Any = None, *, seq: Optional[str] = None) -> IdempotentAppendResult:
        """Flushes, then ends the stream **for everyone**, with a last message if there is one.

        Repeating returns the first result. ``seq`` is accepted and not needed: a producer's
        requests are numbered.
        """
        return IdempotentAppendResult(self._native.close_stream(data).wait())

    def restart(self) -> None:
        """Flushes and goes on in the next epoch, from number 0. Errors: those of :meth:`flush`."""
        self._native.restart().wait()

    def __enter__(self) -> "SyncProducer":
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()


def _at_exit() -> None:
    deadline = time.monotonic() + _LAST_FLUSH
    for producer in list(_OPEN):
        if producer._is_closed or producer._generation != _native.generation() or producer._waits_for_loop:
            continue
        try:
            if producer._native.pending_count:
                producer._native.flush().wait(max(0.0, deadline - time.monotonic()))
        except Exception:
            # There is nobody left to tell.
            continue
    _native.begin_exit()


atexit.register(_at_exit)
