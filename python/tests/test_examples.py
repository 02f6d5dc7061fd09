"""The examples, run as a reader of them would."""

import contextlib
import json
import os
import pathlib
import re
import subprocess
import sys

import httpx

import durable_streams as ds

EXAMPLES = pathlib.Path(__file__).parents[1] / "examples"


def program(name, *arguments, **options):
    return subprocess.Popen(
        [sys.executable, "-u", EXAMPLES / name, *arguments],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options,
    )  # fmt: skip


@contextlib.contextmanager
def relay(server):
    """The web service on a free port."""
    command = [sys.executable, "-m", "uvicorn", "--app-dir", EXAMPLES, "--port", "0", "fastapi_relay:app"]
    environment = {**os.environ, "DURABLE_STREAMS_URL": server.streams_url}
    with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True, env=environment) as web:
        try:
            for line in web.stderr:
                if found := re.search(r"running on (http://\S+)", line):
                    yield found[1]
                    break
        finally:
            web.terminate()
            web.stderr.read()


def next_event(lines):
    """The id and the data of the next event of an SSE answer."""
    fields = {}
    for line in lines:
        if not line and fields:
            return fields["id"], json.loads(fields["data"])
        name, _, value = line.partition(": ")
        fields[name] = value
    raise AssertionError("the answer ended")


def test_the_relay_goes_on_where_a_browser_was_cut_off(server):
    with relay(server) as url, httpx.Client(base_url=url, timeout=10) as browser:
        assert browser.post("/rooms/lobby/messages", json={"text": "one"}).status_code == 201
        with browser.stream("GET", "/rooms/lobby/events") as answer:
            lines = answer.iter_lines()
            last_id, batch = next_event(lines)
            assert batch == [{"text": "one"}]
            browser.post("/rooms/lobby/messages", json={"text": "two"})
            last_id, batch = next_event(lines)
            assert batch == [{"text": "two"}]
        browser.post("/rooms/lobby/messages", json={"text": "three"})
        with browser.stream("GET", "/rooms/lobby/events", headers={"Last-Event-ID": last_id}) as answer:
            assert next_event(answer.iter_lines())[1] == [{"text": "three"}]


def test_tokens_are_printed_once_by_a_reader_that_is_cut_off(url, tmp_path):
    prompt = "Why is the sky blue?"
    checkpoint = tmp_path / "position"
    ds.DurableStream.create(url, content_type="application/json").close()
    printed = []
    with program("llm_tokens.py", "generate", url, prompt, "--pause", "0.03") as generator:
        while True:
            # Killed again and again: at the latest after every other token.
            with program("llm_tokens.py", "watch", url, "--checkpoint", checkpoint) as reader:
                word = reader.stdout.read(1)
                if len(printed) < 3 and word:
                    reader.terminate()
                printed.append(word + reader.stdout.read())
                errors = reader.stderr.read()
                if reader.wait(30) == 0:
                    assert errors == ""
                    break
        assert generator.wait(30) == 0, generator.stderr.read()
    with ds.stream(url, live=False) as res:
        answer = "".join(item["token"] for item in res.read_json())
    assert answer.startswith(f"You asked: {prompt}")
    assert answer.endswith("The end. ")
    # What a killed reader had printed and not yet noted it prints again, and nothing else.
    assert_covers(printed, answer)


def assert_covers(pieces, whole):
    """Pieces follow one another, each beginning at or before the end of what came before."""
    end = 0
    for piece in pieces:
        start = whole.rfind(piece, 0, end + len(piece))
        assert start != -1, (piece, end)
        assert start <= end, f"something is missing before {piece!r}"
        end = max(end, start + len(piece))
    assert end == len(whole)


def test_generating_twice_changes_nothing(url):
    for _ in range(2):
        with program("llm_tokens.py", "generate", url, "What?", "--pause", "0") as generator:
            _, errors = generator.communicate(timeout=30)
            assert (generator.returncode, errors) == (0, "")
    with ds.stream(url, live=False) as res:
        items = res.read_json()
    assert "".join(item["token"] for item in items).count("You asked") == 1
