"""Mistakes that type checkers find; each line is followed by nothing they accept."""

import durable_streams as ds


def mistakes(url: str) -> None:
    ds.stream(url, live="sometimes")  # expect: error
    ds.stream(url, offset=3)  # expect: error
    ds.stream(url, headers={"a": 1})  # expect: error
    ds.DurableStream(url).appendd("x")  # expect: error
    ds.SyncProducer(url)  # expect: error
    ds.SyncProducer(url, "p", epoch="1")  # expect: error
    ds.IdempotentProducer(url, "p").append(b"x", 1)  # expect: error
