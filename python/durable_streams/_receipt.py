"""The fate of a single message of a producer."""

from __future__ import annotations

from typing import Any, Generator

from . import _durable_streams as _native
from ._bridge import perform
from ._types import FlushResult


class Receipt:
    """Tells whether a message is stored: ``await`` it, as often as wanted, from any task.

    Gives what the server said to the batch the message travelled in. Forgotten, it changes
    nothing: the message is on its way.
    Errors: why the message was not stored, or why nobody knows.
    """

    def __init__(self, native: _native.Receipt) -> None:
        self._native = native

    def __await__(self) -> Generator[Any, None, FlushResult]:
        return self._stored().__await__()

    async def _stored(self) -> FlushResult:
        return FlushResult(**await perform(self._native.stored()))


class SyncReceipt:
    """Tells whether a message is stored, as often as wanted, to any thread.

    Forgotten, it changes nothing: the message is on its way.
    """

    def __init__(self, native: _native.Receipt) -> None:
        self._native = native

    def result(self) -> FlushResult:
        """Waits until the server has stored the message, and gives what it said to its batch.

        Errors: why the message was not stored, or why nobody knows.
        """
        return FlushResult(**self._native.stored().wait())
