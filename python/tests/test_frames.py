"""Data frames from JSON streams, as the README says. Not on the oldest Python, which polars has left."""

import polars

import durable_streams as ds


def test_answers_of_a_json_stream_are_frames(url):
    rows = [{"n": n, "text": "x" * 100, "none": None} for n in range(100_000)]
    with ds.DurableStream.create(url, content_type="application/json") as handle:
        with ds.SyncProducer(handle, "p") as producer:
            for row in rows:
                producer.append(row)
    with ds.stream(url, live=False) as res:
        frames = [polars.read_json(text) for text in res.iter_bytes()]
    assert len(frames) > 1
    assert polars.concat(frames).to_dicts() == rows
    with ds.stream(url, live=False) as res:
        assert polars.concat(polars.from_dicts(batch) for batch in res.iter_json_batches()).to_dicts() == rows
