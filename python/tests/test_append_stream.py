"""Appending data that is still being made: one append, stored whole or not at all."""

import io

import httpx
import pytest

import durable_streams as ds
from wire import SILENCE, Answer

PIECE = b"x" * 10_000
COUNT = 300


def read(url):
    with ds.stream(url, live=False) as res:
        return res.read_bytes()


@pytest.fixture
def empty_url(url):
    ds.DurableStream.create(url, content_type="application/octet-stream").close()
    return url


def test_pieces_of_a_generator_are_one_append(empty_url):
    with ds.DurableStream(empty_url) as handle:
        result = handle.append_stream(PIECE for _ in range(COUNT))
        assert result.next_offset == handle.head().offset
    assert read(empty_url) == PIECE * COUNT


@pytest.mark.parametrize(
    ("source", "stored"),
    [
        (lambda: io.BytesIO(PIECE * COUNT), PIECE * COUNT),
        (lambda: io.StringIO("grün"), "grün".encode()),
        (lambda: ["a", b"b", b"", bytearray(b"c"), memoryview(b"d")], b"abcd"),
        (lambda: b"whole", b"whole"),
    ],
    ids=["binary-file", "text-file", "pieces-of-all-kinds", "bytes"],
)
def test_files_and_iterables(empty_url, source, stored):
    with ds.DurableStream(empty_url) as handle:
        handle.append_stream(source())
    assert read(empty_url) == stored


def test_on_a_json_stream_the_pieces_make_up_one_text(url):
    with ds.DurableStream.create(url, content_type="application/json") as handle:
        handle.append_stream(['[{"n":', "1},", "2]"])
        with handle.stream(live=False) as res:
            assert res.read_json() == [{"n": 1}, 2]


def test_what_the_source_raises_comes_out_and_nothing_is_stored(empty_url):
    class Broken(Exception):
        pass

    def pieces():
        yield PIECE
        raise Broken("no more")

    with ds.DurableStream(empty_url) as handle:
        before = handle.head().offset
        with pytest.raises(Broken, match="no more"):
            handle.append_stream(pieces())
        assert handle.head().offset == before
    assert read(empty_url) == b""


@pytest.mark.parametrize("source", [7, None, object(), [7], ["a", None]], ids=repr)
def test_what_is_no_source_is_refused(empty_url, source):
    with ds.DurableStream(empty_url) as handle:
        with pytest.raises(TypeError, match="source"):
            handle.append_stream(source)
    assert read(empty_url) == b""


def test_conditions_and_headers_travel(wire):
    wire.script(Answer(204, {"Stream-Next-Offset": "b"}))
    with ds.DurableStream(wire.url, content_type="text/plain") as handle:
        result = handle.append_stream(["a", "b"], seq="7", if_match='"tag"', headers={"X-Own": "yes"})
    request = wire.arrived()
    assert (request.body, request.headers["stream-seq"]) == (b"ab", "7")
    assert (request.headers["if-match"], request.headers["x-own"]) == ('"tag"', "yes")
    assert (result.next_offset, result.attempts) == ("b", 1)


def test_a_refusal_is_not_repeated(wire):
    wire.script(Answer(503), SILENCE)
    asked = []
    with ds.DurableStream(wire.url, content_type="text/plain", on_error=asked.append) as handle:
        with pytest.raises(ds.HTTPStatusError) as caught:
            handle.append_stream(["a"])
    assert (caught.value.status, len(wire.requests), asked) == (503, 1, [])


def test_asynchronous_sources(run, empty_url):
    async def pieces():
        for _ in range(3):
            yield b"async "

    class File:
        """As of anyio: a file whose `read` is awaited."""

        left = [b"fi", b"le", b""]

        async def read(self, _size):
            return self.left.pop(0)

    async def main():
        File.left = [b"fi", b"le", b""]
        async with ds.AsyncDurableStream(empty_url, headers={"X-Now": lambda: "dynamic"}) as handle:
            await handle.append_stream(pieces())
            await handle.append_stream(["iter", "able "])
            await handle.append_stream(File())

    run(main)
    assert read(empty_url) == b"async async async iterable file"


def test_what_an_asynchronous_source_raises_comes_out(run, empty_url):
    async def pieces():
        yield PIECE
        raise LookupError("gone")

    async def main():
        async with ds.AsyncDurableStream(empty_url) as handle:
            with pytest.raises(LookupError, match="gone"):
                await handle.append_stream(pieces())

    run(main)
    assert read(empty_url) == b""


def test_through_a_client_of_httpx(empty_url):
    with httpx.Client() as client, ds.DurableStream(empty_url, client=client) as handle:
        handle.append_stream(["a", "b"])
    assert read(empty_url) == b"ab"
