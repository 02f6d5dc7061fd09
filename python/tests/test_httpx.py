"""An injected httpx client is what the requests go through."""

import json

import anyio
import httpx
import pytest

import durable_streams as ds

STREAM = {"Content-Type": "application/json", "Stream-Next-Offset": "b", "Stream-Up-To-Date": "true"}


class Recorded:
    """An httpx transport without a network: answers as a stream of two messages."""

    def __init__(self):
        self.requests = []

    def __call__(self, request):
        self.requests.append((request.method, str(request.url), request.headers, request.read()))
        if request.method == "POST":
            return httpx.Response(204, headers={"Stream-Next-Offset": "c"})
        if request.method == "PUT":
            return httpx.Response(201, headers=STREAM)
        if "live" in request.url.params:
            return httpx.Response(204, headers={**STREAM, "Stream-Closed": "true"})
        return httpx.Response(200, headers=STREAM, content=b"" if request.method == "HEAD" else b'[{"n":1},{"n":2}]')


def test_a_sync_client_carries_everything():
    recorded = Recorded()
    with httpx.Client(transport=httpx.MockTransport(recorded)) as client:
        handle = ds.DurableStream.create("http://mock.test/s", content_type="application/json", client=client)
        handle.append({"n": 3})
        assert handle.head().offset == "b"
        with handle.stream(live=False) as res:
            assert res.read_json() == [{"n": 1}, {"n": 2}]
        handle.close()
        assert not client.is_closed, "an injected client is its owner's"
    assert [request[0] for request in recorded.requests] == ["PUT", "POST", "HEAD", "GET"]
    assert json.loads(recorded.requests[1][3]) == [{"n": 3}]


def test_an_async_client_carries_everything(run):
    recorded = Recorded()

    async def main():
        async with httpx.AsyncClient(transport=httpx.MockTransport(recorded)) as client:
            handle = await ds.AsyncDurableStream.create(
                "http://mock.test/s", content_type="application/json", client=client
            )
            await handle.append({"n": 3})
            async with handle.stream(live="long-poll") as res:
                assert [item async for item in res.iter_json()] == [{"n": 1}, {"n": 2}]
            await handle.aclose()
            assert not client.is_closed

    run(main)
    assert [request[0] for request in recorded.requests][:3] == ["PUT", "POST", "GET"]


def test_headers_auth_cookies_and_params_of_the_client_are_sent():
    recorded = Recorded()
    with httpx.Client(
        transport=httpx.MockTransport(recorded),
        headers={"X-Client": "yes"},
        auth=("user", "secret"),
        cookies={"session": "c"},
        params={"tenant": "t"},
    ) as client:
        ds.stream("http://mock.test/s", live=False, client=client, headers={"X-Own": "too"}).read_json()
    _, url, headers, _ = recorded.requests[0]
    assert headers["x-client"] == "yes"
    assert headers["x-own"] == "too"
    assert headers["authorization"].startswith("Basic ")
    assert headers["cookie"] == "session=c"
    assert httpx.URL(url).params["tenant"] == "t"
    assert httpx.URL(url).params["offset"] == "-1"


def test_the_base_url_of_the_client_applies_to_relative_urls():
    recorded = Recorded()
    with httpx.Client(transport=httpx.MockTransport(recorded), base_url="http://mock.test/v1/stream") as client:
        ds.stream("meters/a", live=False, client=client).read_json()
    assert httpx.URL(recorded.requests[0][1]).path == "/v1/stream/meters/a"


def test_event_hooks_of_the_client_run():
    seen = []
    recorded = Recorded()
    with httpx.Client(
        transport=httpx.MockTransport(recorded), event_hooks={"request": [lambda request: seen.append(request.method)]}
    ) as client:
        ds.DurableStream("http://mock.test/s", client=client).head()
    assert seen == ["HEAD"]


def test_an_exception_of_the_client_is_the_cause():
    def refuse(request):
        raise httpx.ConnectError("no route", request=request)

    with httpx.Client(transport=httpx.MockTransport(refuse)) as client:
        with pytest.raises(ds.FetchError) as caught:
            ds.DurableStream("http://mock.test/s", client=client, retry=ds.RetryOptions(max_retries=0)).head()
    assert isinstance(caught.value.__cause__, httpx.ConnectError)


def test_retries_go_through_the_client_too():
    answers = [httpx.Response(503), httpx.Response(204, headers={"Stream-Next-Offset": "c"})]
    with httpx.Client(transport=httpx.MockTransport(lambda request: answers.pop(0))) as client:
        handle = ds.DurableStream("http://mock.test/s", client=client, content_type="text/plain")
        assert handle.append("x").next_offset == "c"
    assert answers == []


def test_a_real_server_through_httpx(json_url):
    with httpx.Client() as client, ds.DurableStream(json_url, client=client) as handle:
        handle.append({"n": 3})
        with handle.stream(live="sse") as res:
            items = res.iter_json()
            assert [next(items)["n"] for _ in range(4)] == [0, 1, 2, 3]
            handle.close_stream(data={"n": 4})
            assert list(items) == [{"n": 4}]


def test_a_real_server_through_async_httpx(run, json_url):
    async def main():
        async with httpx.AsyncClient() as client:
            handle = ds.AsyncDurableStream(json_url, client=client)
            async with handle.stream(live="sse") as res:
                items = res.iter_json()
                assert [(await items.__anext__())["n"] for _ in range(3)] == [0, 1, 2]
                await handle.close_stream(data={"n": 3})
                assert [item async for item in items] == [{"n": 3}]

    run(main)


def test_cancelling_ends_a_request_of_an_injected_client(run, wire):
    async def main():
        async with httpx.AsyncClient() as client:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(ds.AsyncDurableStream(wire.url, client=client).head)
                await anyio.to_thread.run_sync(wire.arrived)
                tasks.cancel_scope.cancel()
            await anyio.to_thread.run_sync(wire.left)

    run(main)


def test_a_producer_through_an_injected_client(run, url):
    async def main():
        async with httpx.AsyncClient(headers={"X-Client": "yes"}) as client:
            handle = await ds.AsyncDurableStream.create(url, content_type="application/json", client=client)
            async with ds.IdempotentProducer(handle, "p") as producer:
                for n in range(100):
                    producer.append({"n": n})
            async with handle.stream(live=False) as res:
                assert len(await res.read_json()) == 100

    run(main)


def test_the_wrong_kind_of_client_is_refused():
    with httpx.Client() as client:
        with pytest.raises(TypeError, match="client"):
            ds.AsyncDurableStream("http://mock.test/s", client=client)
        with pytest.raises(TypeError, match="client"):
            ds.DurableStream("http://mock.test/s", client=object())
    with pytest.raises(TypeError, match="client"):
        ds.DurableStream("http://mock.test/s", client=httpx.AsyncClient())


def test_a_timeout_of_httpx_is_understood(wire):
    with pytest.raises(ds.FetchError) as caught:
        ds.DurableStream(
            wire.url, timeout=httpx.Timeout(0.2), retry=ds.RetryOptions(max_retries=0)
        ).head()
    assert caught.value.code == "TIMEOUT"
