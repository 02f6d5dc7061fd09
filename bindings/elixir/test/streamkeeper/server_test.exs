defmodule DurableStreams.Streamkeeper.ServerTest do
  use ExUnit.Case, async: true

  alias DurableStreams.{Server, Storage}
  alias DurableStreams.Test.Http

  test "by default it serves the streams of the application", %{test: test} do
    id = "server/#{test}"
    server = start_supervised!({Server, port: 0})
    assert Server.url(server) == "http://127.0.0.1:#{Server.port(server)}/v1/stream"
    {:ok, _} = DurableStreams.create(id, content_type: "text/plain")
    {:ok, _} = DurableStreams.append(id, "x")
    assert {200, _, "x"} = Http.request("GET", Server.url(server) <> "/" <> URI.encode(id))
  end

  test "an odd id has the URL of its text", %{test: test} do
    id = "server/#{test}/ü/%2F ?#"
    server = start_supervised!(Server)
    {:ok, _} = DurableStreams.create(id, content_type: "text/plain")

    path =
      Enum.map_join(String.split(id, "/"), "/", &URI.encode(&1, fn char -> URI.char_unreserved?(char) end))

    # A segment cannot hold a slash, not even an encoded one; "%2F" as text can be said.
    assert path =~ "%252F"

    assert {204, _, _} =
             Http.request("POST", Server.url(server) <> "/" <> path, [{"content-type", "text/plain"}], "x")

    assert {:ok, %{data: "x"}} = DurableStreams.read(id, "-1")
  end

  test "with a storage of its own it has streams of its own, and stopping it frees the port" do
    server = start_supervised!({Server, storage: :memory, mount: "/s", name: __MODULE__.Own})
    url = Server.url(__MODULE__.Own)
    assert url == "http://127.0.0.1:#{Server.port(server)}/s"
    {201, _, _} = Http.request("PUT", url <> "/only-here")
    assert {:error, :not_found} = DurableStreams.get_metadata("only-here")
    events = Http.open("GET", url <> "/only-here?offset=now&live=sse")
    {200, _} = Http.head(events)
    port = Server.port(server)
    stop_supervised!(__MODULE__.Own)
    assert Http.ended?(events)
    {:ok, again} = :gen_tcp.listen(port, ip: {127, 0, 0, 1}, reuseaddr: true)
    :gen_tcp.close(again)
  end

  test "stopping one that shares an engine cuts its readers and leaves the streams", %{test: test} do
    id = "server/#{test}"
    {:ok, _} = DurableStreams.create(id)
    {:ok, server} = Server.start_link()
    events = Http.open("GET", Server.url(server) <> "/" <> URI.encode(id) <> "?offset=now&live=sse")
    {200, _} = Http.head(events)
    assert :ok = Server.stop(server)
    assert Http.ended?(events)
    assert {:ok, _} = DurableStreams.append(id, "x")
  end

  @tag :capture_log
  test "one that shares an engine ends with it, for its supervisor to start it on the next", %{test: test} do
    Process.flag(:trap_exit, true)
    start_supervised!({Storage, name: :"#{test}"})
    {:ok, server} = Server.start_link(storage: :"#{test}")
    stop_supervised!(:"#{test}")
    assert_receive {:EXIT, ^server, {:storage, :shutdown}}, 20_000
  end

  test "what cannot be started says why" do
    Process.flag(:trap_exit, true)
    server = start_supervised!(Server)
    port = Server.port(server)
    assert {:error, text} = Server.start_link(port: port)
    assert text =~ "cannot listen on 127.0.0.1:#{port}"
    assert {:error, text} = Server.start_link(long_poll_timeout: 5)
    assert text =~ "storage"
    assert {:error, text} = Server.start_link(storage: :memory, colour: :red)
    assert text =~ "colour"
    assert_raise ArgumentError, ~r/no engine is running/, fn -> Storage.engine(:nobody) end
  end
end
