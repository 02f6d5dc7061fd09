"""The client as a part of a process: Ctrl-C, the interpreter lock, fork, exit."""

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time

import pytest

import durable_streams as ds
from signals import interrupted_after
from wire import SILENCE

PRELUDE = """
import asyncio, multiprocessing, os, signal, sys, threading, time
import durable_streams as ds
URL = sys.argv[1]
"""


def start(program, *arguments):
    source = PRELUDE + textwrap.dedent(program)
    # Later Pythons warn of every fork of a process with threads.
    options = ["-u", "-W", "ignore:This process:DeprecationWarning"]
    return subprocess.Popen(
        [sys.executable, *options, "-c", source, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def finish(child, timeout=30):
    try:
        out, err = child.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        child.kill()
        out, err = child.communicate()
        pytest.fail(f"the program hangs; it wrote {out!r} and {err!r}")
    return child.returncode, out.strip(), err.strip()


BLOCKED = {
    "iter_json of a long-poll": "list(ds.stream(URL, live='long-poll', offset='now').iter_json())",
    "iter_json of SSE": "list(ds.stream(URL, live='sse', offset='now').iter_json())",
    "head": "ds.DurableStream(URL).head()",
    "append": "ds.DurableStream(URL, content_type='text/plain').append('x')",
    "flush": """
        producer = ds.SyncProducer(URL, 'p', content_type='text/plain')
        producer.append('x')
        producer.flush()""",
}


@pytest.mark.parametrize("blocked", BLOCKED)
def test_ctrl_c_interrupts_within_100_ms(wire, blocked):
    wire.answer = lambda request: SILENCE
    code = textwrap.indent(textwrap.dedent(BLOCKED[blocked]).strip(), " " * 8)
    child = start(
        f"""
    try:
{code}
    except KeyboardInterrupt:
        print(time.monotonic())
        os._exit(0)
        """,
        wire.url,
    )
    wire.arrived()
    sent = time.monotonic()
    child.send_signal(signal.SIGINT)
    code, out, err = finish(child)
    assert (code, err) == (0, "")
    # The clock is the system's, so both processes read the same one.
    assert float(out) - sent < 0.1 + SLACK
    wire.left()


# A loaded machine may not run the child at once; the client polls at most 100 ms apart.
SLACK = 0.1 if os.getloadavg()[0] < os.cpu_count() else 1.0


def test_any_exception_of_a_signal_handler_gets_through(wire):
    """Not only KeyboardInterrupt: servers turn SIGTERM into an exception."""
    wire.answer = lambda request: SILENCE
    child = start(
        """
    class Stop(Exception): pass
    def stop(*_): raise Stop
    signal.signal(signal.SIGTERM, stop)
    try:
        ds.DurableStream(URL).head()
    except Stop:
        print("stopped")
        """,
        wire.url,
    )
    wire.arrived()
    child.send_signal(signal.SIGTERM)
    assert finish(child) == (0, "stopped", "")


def test_a_wait_that_was_interrupted_can_go_on(json_url):
    """An interrupted iterator is not at its end: what comes later is not lost."""
    with ds.stream(json_url, live="long-poll", offset="now") as res, ds.DurableStream(json_url) as handle:
        items = res.iter_json()
        for _ in range(3):
            with pytest.raises(TimeoutError), interrupted_after(0.05, TimeoutError):
                next(items)
        handle.append({"n": 3})
        assert next(items) == {"n": 3}


@pytest.mark.parametrize("waiting", ["read", "flush"])
def test_waiting_lets_other_threads_run(wire, waiting):
    wire.answer = lambda request: SILENCE
    blocked = {
        "read": lambda: ds.DurableStream(wire.url).head(),
        "flush": lambda: flush(wire.url),
    }[waiting]
    thread = threading.Thread(target=swallow, args=(blocked,), daemon=True)
    thread.start()
    wire.arrived()
    counted, until = 0, time.monotonic() + 0.5
    while time.monotonic() < until:
        counted += 1
    # With the lock held by the waiting thread this loop would not run at all.
    assert counted > 1000
    assert thread.is_alive()
    wire.__exit__()


def flush(url):
    producer = ds.SyncProducer(url, "p", content_type="text/plain", linger_ms=0)
    producer.append("x")
    producer.flush()


def swallow(function):
    try:
        function()
    except Exception:
        pass


CHILD = """
    def in_child():
        with ds.stream(URL, live=False) as res:
            assert res.read_json() == [{"n": 0}, {"n": 1}, {"n": 2}]

    async def async_in_child():
        async with ds.astream(URL, live=False) as res:
            assert await res.read_json() == [{"n": 0}, {"n": 1}, {"n": 2}]
"""


@pytest.mark.parametrize("before", ["in_child()", "asyncio.run(async_in_child())", "pass"])
def test_a_forked_child_works(json_url, before):
    """gunicorn --preload and multiprocessing: the parent has used the client before it forks."""
    child = start(
        CHILD
        + f"""
    {before}
    pid = os.fork()
    if pid == 0:
        in_child()
        asyncio.run(async_in_child())
        sys.exit(7)
    _, status = os.waitpid(pid, 0)
    in_child()
    print(os.waitstatus_to_exitcode(status))
        """,
        json_url,
    )
    assert finish(child) == (0, "7", "")


def test_multiprocessing_with_fork_works(json_url):
    child = start(
        CHILD
        + """
    in_child()
    pool = multiprocessing.get_context("fork").Pool(2)
    print(pool.map(len, ["a", "bb"]))
    for _ in range(3):
        process = multiprocessing.get_context("fork").Process(target=in_child)
        process.start()
        process.join(20)
        print(process.exitcode)
    pool.terminate()
        """,
        json_url,
    )
    assert finish(child, 60) == (0, "[1, 2]\n0\n0\n0", "")


@pytest.mark.parametrize(
    ("made", "used"),
    [
        ("thing = ds.DurableStream(URL)", "thing.append({'n': 3})"),
        ("thing = ds.stream(URL, live='long-poll')", "thing.read_json()"),
        ("thing = ds.stream(URL, live='long-poll', offset='now')", "thing.close()"),
        ("thing = ds.SyncProducer(URL, 'p'); thing.append({'n': 3})", "thing.flush()"),
        ("thing = ds.SyncProducer(URL, 'p'); thing.append({'n': 3})", "thing.close()"),
        ("thing = ds.SyncProducer(URL, 'p'); thing.append({'n': 3})", "del thing"),
    ],
)
def test_what_was_made_before_a_fork_works_or_says_so(json_url, made, used):
    """Never a hang, never silence about data that is not delivered."""
    child = start(
        f"""
    {made}
    pid = os.fork()
    if pid == 0:
        try:
            {used}
        except ds.DurableStreamError as error:
            assert "fork" in str(error), error
        os._exit(0)
    _, status = os.waitpid(pid, 0)
    print(os.waitstatus_to_exitcode(status))
        """,
        json_url,
    )
    assert finish(child) == (0, "0", "")


LEFT_OPEN = {
    "an idle import": "",
    "a finished read": "ds.stream(URL, live=False).read_json()",
    "a response nobody closed": "res = ds.stream(URL, live='long-poll', offset='now')",
    "a reader parked in a daemon thread": """
        res = ds.stream(URL, live='long-poll', offset='now')
        threading.Thread(target=lambda: list(res.iter_json()), daemon=True).start()
        time.sleep(0.2)""",
    "two hundred parked readers": """
        for _ in range(200):
            res = ds.stream(URL, live='sse', offset='now')
            threading.Thread(target=lambda res=res: list(res.iter_json()), daemon=True).start()
        time.sleep(0.5)""",
    "a task that asyncio.run cancels": """
        async def main():
            async def tail():
                async for _ in (await ds.astream(URL, live='long-poll', offset='now')).iter_json(): pass
            asyncio.get_running_loop().create_task(tail())
            await asyncio.sleep(0.2)
        asyncio.run(main())""",
    "a loop left running in a daemon thread": """
        async def main():
            async for _ in (await ds.astream(URL, live='long-poll', offset='now')).iter_json(): pass
        threading.Thread(target=lambda: asyncio.run(main()), daemon=True).start()
        time.sleep(0.3)""",
    "an unflushed producer": """
        producer = ds.SyncProducer(URL, 'left', linger_ms=60000)
        producer.append({"n": "left"})""",
    "an unflushed producer of a server that is silent": """
        import socket
        listener = socket.create_server(("127.0.0.1", 0))
        producer = ds.SyncProducer(f"http://127.0.0.1:{listener.getsockname()[1]}/x", "p", content_type="text/plain")
        producer.append("x")""",
}


@pytest.mark.parametrize("left", LEFT_OPEN)
def test_the_interpreter_exits_cleanly_and_soon(json_url, left):
    child = start(textwrap.dedent(LEFT_OPEN[left]), json_url)
    started = time.monotonic()
    assert finish(child) == (0, "", "")
    assert time.monotonic() - started < 15


def test_what_is_left_when_the_interpreter_ends_is_sent(json_url):
    child = start(
        """
    producer = ds.SyncProducer(URL, "left", linger_ms=60000)
    for n in range(3, 1000):
        producer.append({"n": n})
        """,
        json_url,
    )
    assert finish(child) == (0, "", "")
    with ds.stream(json_url, live=False) as res:
        assert [item["n"] for item in res.read_json()] == list(range(1000))


def test_an_embedded_server_left_running_does_not_keep_the_interpreter():
    child = start(
        """
    from durable_streams.testing import TestServer
    server = TestServer()
    server.start()
    ds.DurableStream.create(server.streams_url + "/x", content_type="text/plain")
        """,
        "unused",
    )
    assert finish(child) == (0, "", "")


def test_a_subinterpreter_works_or_is_refused(json_url):
    """PyO3 modules refuse a second interpreter with ImportError; a crash would be neither."""
    child = start(
        """
    try:
        import _xxsubinterpreters as interpreters
    except ImportError:
        try:
            import _interpreters as interpreters
        except ImportError:
            print("ok"); sys.exit()
    interpreter = interpreters.create()
    try:
        interpreters.run_string(interpreter, "import durable_streams")
    except Exception as error:
        assert "interpreter" in str(error), error
    print("ok")
        """,
        json_url,
    )
    code, out, _ = finish(child)
    assert (code, out) == (0, "ok")
