"""What differs between the blocking and the awaiting client.

Commands are written once, as coroutines. Without an event loop nothing in them suspends, so
the blocking mode runs them in one step.
"""

import concurrent.futures
import contextlib
import inspect
import signal
import sys
import threading

import durable_streams as ds


class SyncMode:
    """The blocking client, in the main thread."""

    name = "sync"
    stream_class = ds.DurableStream
    producer_class = ds.SyncProducer

    def run(self, serve):
        self._deadline_applies = False
        signal.signal(signal.SIGALRM, self._on_alarm)
        in_one_step(serve(self))

    async def next_line(self):
        return sys.stdin.readline()

    async def together(self, count, work):
        with concurrent.futures.ThreadPoolExecutor(count) as threads:
            return list(threads.map(lambda _: in_one_step(work()), range(count)))

    async def settle(self, value):
        return value

    async def items(self, iterator):
        for item in iterator:
            yield item

    async def release(self, resource):
        resource.close()

    def dynamic(self, function):
        return function

    def at_most(self, seconds, opened):
        """Ends the block after that time, without an error, wherever the client blocks."""
        is_main = threading.current_thread() is threading.main_thread()
        return self._interrupted(seconds) if is_main else self._closed(seconds, opened)

    @contextlib.contextmanager
    def _closed(self, seconds, opened):
        """Other threads get no signals: what they read is closed under them."""
        is_over = threading.Event()

        def close():
            is_over.set()
            for response in opened:
                response.close()

        timer = threading.Timer(seconds, close)
        timer.start()
        try:
            yield
        except ds.DurableStreamError:
            if not is_over.is_set():
                raise
        finally:
            timer.cancel()

    @contextlib.contextmanager
    def _interrupted(self, seconds):
        self._deadline_applies = True
        signal.setitimer(signal.ITIMER_REAL, seconds)
        try:
            yield
        except _DeadlineReached:
            pass
        finally:
            self._deadline_applies = False
            signal.setitimer(signal.ITIMER_REAL, 0)

    def _on_alarm(self, _signal, _frame):
        # An alarm that is delivered after the block has ended concerns nobody.
        if self._deadline_applies:
            self._deadline_applies = False
            raise _DeadlineReached


def in_one_step(coroutine):
    """The result of a coroutine in which nothing suspends."""
    try:
        coroutine.send(None)
    except StopIteration as finished:
        return finished.value
    raise RuntimeError("a command waited for an event loop")


# Not an `Exception`: nothing between the client and the block may take it for a failure.
class _DeadlineReached(BaseException):
    pass


class AsyncMode:
    """The awaiting client, on an event loop of choice."""

    name = "async"
    stream_class = ds.AsyncDurableStream
    producer_class = ds.IdempotentProducer

    def __init__(self, backend):
        self.backend = backend

    def run(self, serve):
        import anyio

        if self.backend == "trio":
            anyio.run(serve, self, backend="trio")
        else:
            anyio.run(serve, self, backend_options={"use_uvloop": self.backend == "uvloop"})

    async def next_line(self):
        import anyio.to_thread

        # The loop keeps running, as it would in a program.
        return await anyio.to_thread.run_sync(sys.stdin.readline)

    async def together(self, count, work):
        import anyio

        results = []

        async def one():
            results.append(await work())

        async with anyio.create_task_group() as tasks:
            for _ in range(count):
                tasks.start_soon(one)
        return results

    async def settle(self, value):
        return await value if inspect.isawaitable(value) else value

    async def items(self, iterator):
        async for item in iterator:
            yield item

    async def release(self, resource):
        await resource.aclose()

    def dynamic(self, function):
        async def asynchronous():
            return function()

        return asynchronous

    def at_most(self, seconds, _opened):
        import anyio

        return anyio.move_on_after(seconds)
