"""How operations of the native core are waited for: by a thread, or by a task of any event loop.

The core never calls into an event loop. It leaves word at a port, which is a socket the loop
watches, so that a loop wakes once for everything that has ended meanwhile, no thread waits
for the interpreter, and a loop that has closed is simply no longer looking.
"""

from __future__ import annotations

import inspect
import itertools
import sys
import weakref
from typing import TYPE_CHECKING, Any, Awaitable, Callable, Dict, Optional

from . import _durable_streams as _native
from ._transport import in_trio

# Event loops are imported by those who run them, not by blocking programs that import this.
if TYPE_CHECKING:
    import asyncio

_KEYS = itertools.count()


async def perform(call: _native.Call) -> Any:
    """Performs an operation for the current task. Cancelling the task gives the operation up."""
    trio = sys.modules.get("trio")
    if trio is not None and in_trio(trio):
        return await _perform_on_trio(trio, call)
    return await _perform_on_asyncio(call)


def bind_to_running_loop(host: Optional[_native.Host]) -> None:
    """Lets callbacks run on the current loop, if there is one."""
    if host is None:
        return
    trio = sys.modules.get("trio")
    if trio is not None and in_trio(trio):
        host.bind(_trio_port(trio).native)
        return
    loop = sys.modules["asyncio"]._get_running_loop() if "asyncio" in sys.modules else None
    if loop is not None:
        host.bind(_asyncio_port(loop).native)


class _Port:
    """The core's mailbox for one loop, and who waits for what."""

    def __init__(self) -> None:
        self.native = _native.Port()
        self.waiting: Dict[int, Any] = {}
        self.jobs: Dict[int, Any] = {}

    def drain(self) -> None:
        """Wakes everyone whose operation has ended. Runs on the loop's thread."""
        jobs, abandoned, done = self.native.drain()
        for job in jobs:
            self.answer(job)
        for key in abandoned:
            running = self.jobs.pop(key, None)
            if running is not None:
                running.cancel()
        for key in done:
            waiter = self.waiting.pop(key, None)
            if waiter is not None:
                self.wake(waiter)

    def answer(self, job: _native.Job) -> None:
        """Runs a callback; one that is a coroutine goes on in a task of its own."""
        try:
            value = job.call()
        except BaseException as error:  # It belongs to whoever asked.
            job.fail(error)
            return
        if inspect.isawaitable(value):
            self.start(job, value)
        else:
            job.done(value)

    def wake(self, waiter: Any) -> None:
        raise NotImplementedError

    def start(self, job: _native.Job, value: Awaitable[Any]) -> None:
        raise NotImplementedError


async def _finish(job: _native.Job, value: Awaitable[Any]) -> None:
    try:
        job.done(await value)
    except BaseException as error:
        job.fail(error)
        if not isinstance(error, Exception):
            raise


# asyncio, uvloop and other loops of its kind


class _AsyncioPort(_Port):
    def wake(self, waiter: "asyncio.Future[None]") -> None:
        if not waiter.done():
            waiter.set_result(None)

    def start(self, job: _native.Job, value: Awaitable[Any]) -> None:
        import asyncio

        task = asyncio.get_running_loop().create_task(_finish(job, value))
        self.jobs[job.key] = task
        key = job.key
        task.add_done_callback(lambda ended: self._ended(key, ended))

    def _ended(self, key: int, task: "asyncio.Task[None]") -> None:
        self.jobs.pop(key, None)
        if not task.cancelled():
            # Whoever asked has it already.
            task.exception()


# For loops whose objects take no attribute.
_PORTS: "weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, _AsyncioPort]" = weakref.WeakKeyDictionary()


def _asyncio_port(loop: asyncio.AbstractEventLoop) -> _AsyncioPort:
    # On the loop itself: a table would keep loops that ended with tasks under way.
    port: Optional[_AsyncioPort] = getattr(loop, "_durable_streams_port", None) or _PORTS.get(loop)
    if port is not None:
        return port
    port = _AsyncioPort()
    try:
        loop.add_reader(port.native.fileno(), port.drain)
    except NotImplementedError:
        _watch_from_a_thread(loop, port)
    try:
        loop._durable_streams_port = port  # type: ignore[attr-defined]
    except AttributeError:
        _PORTS[loop] = port
    return port


def _watch_from_a_thread(loop: asyncio.AbstractEventLoop, port: _AsyncioPort) -> None:
    """For loops that cannot watch a socket, such as the default one on Windows: one thread per loop."""
    import select
    import threading

    watched = weakref.ref(loop)
    fileno = port.native.fileno()
    looked = threading.Event()

    def look() -> None:
        port.drain()
        looked.set()

    def watch() -> None:
        while True:
            select.select([fileno], [], [])
            current = watched()
            if current is None:
                return
            looked.clear()
            try:
                current.call_soon_threadsafe(look)
            except RuntimeError:  # The loop is closed.
                return
            del current
            looked.wait()

    threading.Thread(target=watch, name="durable-streams-port", daemon=True).start()


async def _perform_on_asyncio(call: _native.Call) -> Any:
    import asyncio

    loop = asyncio.get_running_loop()
    port = _asyncio_port(loop)
    key = next(_KEYS)
    waiter = loop.create_future()
    port.waiting[key] = waiter
    try:
        call.start(port.native, key)
        await waiter
    except BaseException:
        port.waiting.pop(key, None)
        call.cancel()
        raise
    return call.result()


# trio


class _TrioPort(_Port):
    def __init__(self, trio: Any) -> None:
        super().__init__()
        self._trio = trio

    def wake(self, waiter: Any) -> None:
        self._trio.lowlevel.reschedule(waiter)

    def start(self, job: _native.Job, value: Awaitable[Any]) -> None:
        scope = self._trio.CancelScope()
        self.jobs[job.key] = scope
        self._trio.lowlevel.spawn_system_task(self._finish, job, value, scope)

    async def _finish(self, job: _native.Job, value: Awaitable[Any], scope: Any) -> None:
        try:
            with scope:
                await _finish(job, value)
        finally:
            self.jobs.pop(job.key, None)

    async def watch(self) -> None:
        while True:
            await self._trio.lowlevel.wait_readable(self.native.fileno())
            self.drain()


_RUNS: Dict[str, Any] = {}


def _trio_port(trio: Any) -> _TrioPort:
    port_of_run = _RUNS.get("port")
    if port_of_run is None:
        port_of_run = _RUNS["port"] = trio.lowlevel.RunVar("durable_streams_port")
    try:
        port: _TrioPort = port_of_run.get()
    except LookupError:
        port = _TrioPort(trio)
        port_of_run.set(port)
        trio.lowlevel.spawn_system_task(port.watch)
    return port


async def _perform_on_trio(trio: Any, call: _native.Call) -> Any:
    port = _trio_port(trio)
    await trio.lowlevel.checkpoint_if_cancelled()
    key = next(_KEYS)

    def abort(_raise_cancel: Callable[[], Any]) -> Any:
        port.waiting.pop(key, None)
        call.cancel()
        return trio.lowlevel.Abort.SUCCEEDED

    port.waiting[key] = trio.lowlevel.current_task()
    call.start(port.native, key)
    await trio.lowlevel.wait_task_rescheduled(abort)
    return call.result()
