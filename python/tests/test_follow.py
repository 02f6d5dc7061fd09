"""`follow`: reading on from where an earlier run stopped."""

import os

import pytest

import durable_streams as ds


def append(url, *numbers):
    with ds.DurableStream.connect(url) as handle:
        for n in numbers:
            handle.append({"n": n})


def numbers(follow):
    return [item["n"] for item in follow]


def test_a_second_run_gets_the_rest(json_url, tmp_path):
    checkpoint = tmp_path / "position"
    with ds.DurableStream(json_url) as handle:
        with handle.follow(checkpoint, live=False) as messages:
            assert numbers(messages) == [0, 1, 2]
        append(json_url, 3)
        with handle.follow(checkpoint, live=False) as messages:
            assert numbers(messages) == [3]
        with handle.follow(str(checkpoint), live=False) as messages:
            assert numbers(messages) == []


def test_what_was_being_processed_comes_again(json_url, tmp_path):
    """A program that dies at a message must see it again, however far the answer reached."""
    checkpoint = tmp_path / "position"
    with ds.DurableStream(json_url) as handle:
        for _ in range(2):
            with handle.follow(checkpoint, live=False) as messages:
                assert next(messages) == {"n": 0}
                assert next(messages) == {"n": 1}
        assert not checkpoint.exists()


def test_an_exception_in_the_loop_keeps_the_position_before_the_batch(json_url, tmp_path):
    checkpoint = tmp_path / "position"
    with ds.DurableStream(json_url) as handle:
        with pytest.raises(ZeroDivisionError):
            with handle.follow(checkpoint, live=False) as messages:
                for _ in messages:
                    raise ZeroDivisionError
        with handle.follow(checkpoint, live=False) as messages:
            assert numbers(messages) == [0, 1, 2]


def test_a_function_hears_of_each_position(json_url):
    offsets = []
    with ds.DurableStream(json_url) as handle, handle.stream(live=False) as res:
        res.read_json()
        tail = res.offset
        with handle.follow(offsets.append, live=False) as messages:
            assert numbers(messages) == [0, 1, 2]
        assert offsets[-1] == tail
        with handle.follow(offsets.append, offset=offsets[-1], live=False) as messages:
            assert numbers(messages) == []


def test_a_checkpoint_is_replaced_whole(json_url, tmp_path):
    checkpoint = tmp_path / "position"
    with ds.DurableStream(json_url) as handle:
        list(handle.follow(checkpoint, live=False))
        first = checkpoint.read_text()
        append(json_url, 3)
        list(handle.follow(checkpoint, live=False))
    assert checkpoint.read_text() > first
    assert os.listdir(tmp_path) == ["position"], "nothing is left beside it"


def test_following_goes_on_live_until_the_stream_is_closed(json_url, tmp_path):
    with ds.DurableStream(json_url) as handle, handle.follow(tmp_path / "position") as messages:
        assert [next(messages)["n"] for _ in range(3)] == [0, 1, 2]
        handle.close_stream(data={"n": 3})
        assert numbers(messages) == [3]


def test_a_byte_stream_is_followed_in_bytes(bytes_url, tmp_path):
    with ds.DurableStream(bytes_url) as handle:
        assert b"".join(handle.follow(tmp_path / "position", live=False)) == bytes(range(256))


def test_following_in_async_code(run, json_url, tmp_path):
    kept = []

    async def keep(offset):
        kept.append(offset)

    async def main():
        async with ds.AsyncDurableStream(json_url) as handle:
            async with handle.follow(tmp_path / "position", live=False) as messages:
                assert [item["n"] async for item in messages] == [0, 1, 2]
            async with handle.follow(keep, live=False) as messages:
                assert [item["n"] async for item in messages] == [0, 1, 2]

    run(main)
    assert kept[-1] == (tmp_path / "position").read_text()
