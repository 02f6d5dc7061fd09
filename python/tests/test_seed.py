"""The published installation page: its Python runs as printed, only the server is ours."""

import pathlib
import subprocess
import sys

import durable_streams as ds

SEED = pathlib.Path(__file__).parent / "seed"
PRINTED_SERVER = "https://your-server.com"


def printed(name, server):
    """The program as printed, with the server's address in place of the page's."""
    text = (SEED / name).read_text()
    assert PRINTED_SERVER in text
    return text.replace(PRINTED_SERVER, server.url)


def test_basic_usage_runs_as_printed(server):
    program = printed("basic_usage.py", server)
    with subprocess.Popen(
        [sys.executable, "-u", "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as child:
        lines = [child.stdout.readline().strip() for _ in range(2)]
        # It reads live, as the page has it; only the end of the stream ends it.
        with ds.DurableStream(f"{server.streams_url}/my-stream") as handle:
            handle.close_stream()
        rest, errors = child.communicate(timeout=20)
    assert lines == ["{'message': 'hello'}", "{'message': 'world'}"]
    assert (child.returncode, rest, errors) == (0, "", "")


def test_async_usage_runs_as_printed(server):
    program = printed("async_usage.py", server)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    with ds.stream(f"{server.streams_url}/events", live=False) as res:
        assert res.read_json() == [{"type": "click"}, {"type": "scroll"}]
