"""Code of users, as type checkers see it: everything has the type that the documentation says."""

from typing import Any, Optional

import msgspec
from typing_extensions import assert_type

import durable_streams as ds


class Meter(msgspec.Struct):
    kwh: float


def number(item: Any) -> int:
    return int(item)


def read(url: str) -> None:
    with ds.stream(url, live=False, headers={"a": "b", "c": lambda: "d"}, params={"e": None}) as res:
        assert_type(res, ds.StreamResponse)
        assert_type(res.offset, str)
        assert_type(res.cursor, Optional[str])
        assert_type(res.up_to_date, bool)
        assert_type(res.headers, dict[str, str])
        assert_type(res.read_bytes(), bytes)
        assert_type(res.read_text(), str)
        assert_type(res.read_json(), list[Any])
        assert_type(res.read_json(decode=number), list[int])
        for chunk in res:
            assert_type(chunk, bytes)
        for text in res.iter_text():
            assert_type(text, str)
        for meter in res.iter_json(type=Meter):
            assert_type(meter, Meter)
        for value in res.iter_json(decode=number):
            assert_type(value, int)
        for batch in res.iter_json_batches(decode=number):
            assert_type(batch, list[int])
        for event in res.iter_events(mode="text"):
            assert_type(event.next_offset, str)


def write(url: str) -> None:
    with ds.DurableStream.create(url, content_type="application/json", ttl_seconds=60) as handle:
        assert_type(handle, ds.DurableStream)
        assert_type(handle.append({"a": 1}), ds.AppendResult)
        assert_type(handle.append(b"[]").next_offset, str)
        assert_type(handle.head(), ds.HeadResult)
        assert_type(handle.close_stream(), ds.CloseResult)
        assert_type(handle.delete(), None)
    with ds.SyncProducer(handle, "p", epoch=1) as producer:
        assert_type(producer, ds.SyncProducer)
        producer.append({"a": [1, 2.5, None, True, "x"]})
        producer.append_nowait("1")
        assert_type(producer.epoch, int)
        assert_type(producer.close_stream(), ds.IdempotentAppendResult)


def fail(error: ds.DurableStreamError) -> None:
    assert_type(error.status, Optional[int])
    assert_type(error.code, Optional[str])
    if isinstance(error, ds.StaleEpochError):
        assert_type(error.current_epoch, Optional[int])
