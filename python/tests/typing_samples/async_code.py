"""The same for awaiting code."""

from typing import Any, Optional

from typing_extensions import assert_type

import durable_streams as ds


async def token() -> str:
    return "t"


async def refresh(error: Exception) -> Optional[dict[str, Any]]:
    return {"headers": {"Authorization": "new"}}


async def read(url: str) -> None:
    async with ds.astream(url, live="sse", headers={"Authorization": token}, on_error=refresh) as res:
        assert_type(res, ds.AsyncStreamResponse)
        assert_type(await res.read_bytes(), bytes)
        assert_type(await res.read_json(), list[Any])
        async for text in res.iter_text():
            assert_type(text, str)
        async for chunk in res:
            assert_type(chunk, bytes)
    res = await ds.astream(url)
    await res.aclose()


async def write(url: str) -> None:
    async with await ds.AsyncDurableStream.create(url, content_type="application/json") as handle:
        assert_type(handle, ds.AsyncDurableStream)
        assert_type(await handle.append({"a": 1}), ds.AppendResult)
        assert_type(await handle.close_stream(), ds.CloseResult)
        async with handle.stream(live=False) as res:
            assert_type(res, ds.AsyncStreamResponse)
        async with ds.IdempotentProducer(handle, producer_id="p", auto_claim=True) as producer:
            producer.append_nowait("{}")
            await producer.flush()
            assert_type(await producer.close_stream(), ds.IdempotentAppendResult)
