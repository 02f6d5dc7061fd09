"""`durable_streams.testing`: the embedded server and the pytest plugin."""

import socket
import textwrap
from urllib.parse import urlsplit

import pytest

import durable_streams as ds
from durable_streams.testing import TestServer

pytest_plugins = ["pytester"]


def is_listening(url):
    parts = urlsplit(url)
    with socket.socket() as probe:
        return probe.connect_ex((parts.hostname, parts.port)) == 0


def test_a_server_lives_as_long_as_its_block():
    with TestServer() as server:
        assert is_listening(server.url)
        url = server.url
        assert urlsplit(url).hostname == "127.0.0.1"
        handle = ds.DurableStream.create(f"{server.streams_url}/a", content_type="text/plain")
        handle.append("x")
    assert not is_listening(url)


def test_two_servers_know_nothing_of_each_other():
    with TestServer() as one, TestServer() as other:
        ds.DurableStream.create(f"{one.streams_url}/a", content_type="text/plain").close()
        with pytest.raises(ds.StreamNotFoundError):
            ds.DurableStream.head_static(f"{other.streams_url}/a")


def test_stopping_twice_is_fine():
    server = TestServer()
    server.start()
    server.stop()
    server.stop()


def test_clear_forgets_all_streams(server):
    with TestServer() as server:
        url = f"{server.streams_url}/a"
        ds.DurableStream.create(url, content_type="text/plain").close()
        server.clear()
        with pytest.raises(ds.StreamNotFoundError):
            ds.DurableStream.head_static(url)


def test_faults_happen_as_often_as_asked(url, server):
    path = urlsplit(url).path
    with ds.DurableStream.create(url, content_type="text/plain", retry=ds.RetryOptions(max_retries=0)) as handle:
        server.inject_fault(path, status=507, count=2)
        for _ in range(2):
            with pytest.raises(ds.DurableStreamError) as caught:
                handle.append("x")
            assert caught.value.status == 507
        handle.append("x")
        server.inject_fault(path, drop_connection=True, count=99)
        with pytest.raises(ds.FetchError):
            handle.append("x")
        server.clear_faults()
        handle.append("y")
    with ds.stream(url, live=False) as res:
        assert res.read_text() == "xy"


def test_a_truncated_body_is_a_parse_error_and_the_next_read_works(json_url, server):
    server.inject_fault(urlsplit(json_url).path, truncate_body_bytes=9)
    with pytest.raises(ds.DurableStreamError) as caught:
        ds.stream(json_url, live=False).read_json()
    assert caught.value.code == "PARSE_ERROR"
    assert len(ds.stream(json_url, live=False).read_json()) == 3


def test_an_sse_event_of_another_kind_is_ignored(json_url, server):
    with ds.DurableStream(json_url) as handle:
        handle.close_stream()
    server.inject_fault(urlsplit(json_url).path, inject_sse_event=("gossip", "{}"), count=2)
    with ds.stream(json_url, live="sse") as res:
        assert [item["n"] for item in res.iter_json()] == [0, 1, 2]


def test_data_on_disk_survives_a_restart(tmp_path):
    with TestServer(data_dir=tmp_path) as server:
        url = f"{server.streams_url}/a"
        ds.DurableStream.create(url, content_type="text/plain", body="kept").close()
    with TestServer(data_dir=tmp_path) as server:
        with ds.stream(f"{server.streams_url}/a", live=False) as res:
            assert res.read_text() == "kept"


def test_the_plugin_gives_each_test_a_stream_of_its_own(pytester):
    """As a project that depends on the package would use it: no import, no conftest."""
    pytester.makepyfile(
        textwrap.dedent(
            """
            import durable_streams as ds
            import pytest

            @pytest.mark.parametrize("n", range(2))
            def test_empty(durable_streams_server, durable_stream_url, n):
                assert durable_stream_url.startswith(durable_streams_server.streams_url)
                handle = ds.DurableStream(durable_stream_url)
                assert handle.create_stream(content_type="text/plain").created
                durable_streams_server.inject_fault("/v1/stream/elsewhere", status=500)
            """
        )
    )
    pytester.runpytest_subprocess("-W", "error").assert_outcomes(passed=2)
