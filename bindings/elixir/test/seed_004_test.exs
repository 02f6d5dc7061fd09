defmodule DurableStreams.Seed004Test do
  # Fixed ids in the application's own engine.
  use ExUnit.Case, async: false

  alias DurableStreams.Test.{Http, PlugServer}

  @ids ~w(events json-events my-stream json-stream closed-stream)

  setup do
    forget = fn -> Enum.each(@ids, &DurableStreams.delete/1) end
    forget.()
    on_exit(forget)
  end

  test "getting started" do
    # Create a stream
    {:ok, "events"} = DurableStreams.create("events", content_type: "text/plain")

    # Append data
    {:ok, offset} = DurableStreams.append("events", "user logged in")

    # Read all data from the beginning
    {:ok, result} = DurableStreams.read("events", "-1")
    assert result.data == "user logged in"

    assert result.offset == offset
  end

  test "Phoenix integration and standalone HTTP server: forward, under a web server" do
    # forward "/v1/stream", to: DurableStreams.Protocol.Plug
    router = &PlugServer.forward(&1, "/v1/stream", DurableStreams.Protocol.Plug)
    server = start_supervised!({PlugServer, plug: router})
    url = PlugServer.url(server) <> "/v1/stream/events"

    # The table of the HTTP API, row by row.
    assert {201, _, _} = Http.request("PUT", url, [{"content-type", "text/plain"}])
    assert {204, _, _} = Http.request("POST", url, [{"content-type", "text/plain"}], "user logged in")
    assert {200, headers, "user logged in"} = Http.request("GET", url <> "?offset=-1")
    tail = headers["stream-next-offset"]

    waiting = Task.async(fn -> Http.request("GET", url <> "?offset=#{tail}&live=true") end)
    {:ok, _} = DurableStreams.append("events", "user logged out")
    assert {200, _, "user logged out"} = Task.await(waiting)

    events = Http.open("GET", url <> "?offset=#{tail}&live=sse")
    assert {200, %{"content-type" => "text/event-stream"}} = Http.head(events)
    assert Http.chunks_until(events, "user logged out") =~ "event: data"
    Http.close(events)

    assert {200, %{"content-type" => "text/plain"}, ""} = Http.request("HEAD", url)
    assert {204, _, _} = Http.request("DELETE", url)
    assert {:error, :not_found} = DurableStreams.get_metadata("events")
  end

  test "JSON mode" do
    {:ok, _} = DurableStreams.create("json-events", content_type: "application/json")
    {:ok, _} = DurableStreams.append("json-events", ~s([{"event": "a"}, {"event": "b"}]))

    # Use read_messages/3 via StreamManager for JSON streams
    {:ok, result} = DurableStreams.StreamManager.read_messages("json-events", "-1")

    assert [%{data: ~s({"event":"a"}), offset: first}, %{data: ~s({"event":"b"}), offset: second}] =
             result.messages

    assert first < second
  end

  test "append" do
    {:ok, "my-stream"} = DurableStreams.create("my-stream")
    {:ok, "closed-stream"} = DurableStreams.create("closed-stream")
    :ok = DurableStreams.close("closed-stream")

    {:ok, offset} = DurableStreams.append("my-stream", "Hello!")
    {:error, :not_found} = DurableStreams.append("nonexistent", "data")
    {:error, :closed} = DurableStreams.append("closed-stream", "data")

    assert is_binary(offset)
  end

  test "close" do
    {:ok, _} = DurableStreams.create("my-stream")
    {:ok, _} = DurableStreams.append("my-stream", "last words")

    :ok = DurableStreams.close("my-stream")

    # Reading from a closed stream will still work, but the response will include closed: true
    assert {:ok, %{data: "last words", closed: true}} = DurableStreams.read("my-stream", "-1")
    assert {:error, :not_found} = DurableStreams.close("nonexistent")
  end

  test "create" do
    {:ok, "my-stream"} = DurableStreams.create("my-stream")
    {:ok, "json-stream"} = DurableStreams.create("json-stream", content_type: "application/json")
    {:error, :already_exists} = DurableStreams.create("my-stream")
  end

  test "delete" do
    {:ok, _} = DurableStreams.create("my-stream")

    :ok = DurableStreams.delete("my-stream")
    {:error, :not_found} = DurableStreams.delete("nonexistent")
  end

  test "get_metadata" do
    {:ok, _} = DurableStreams.create("my-stream", content_type: "text/plain")

    {:ok, meta} = DurableStreams.get_metadata("my-stream")
    assert %DurableStreams.Stream{} = meta
    assert meta.id == "my-stream"
    assert meta.content_type == "text/plain"
    assert %DateTime{} = meta.created_at
    assert meta.closed == false
    assert meta.ttl == nil

    assert {:error, :not_found} = DurableStreams.get_metadata("nonexistent")
  end

  test "read" do
    {:ok, _} = DurableStreams.create("my-stream")
    {:ok, offset} = DurableStreams.append("my-stream", <<1, 2, 3>>)

    {:ok, result} = DurableStreams.read("my-stream", "-1")
    assert result.data == <<1, 2, 3>>
    assert result.offset == offset
    assert result.has_more == false
    assert result.closed == false

    assert {:error, :not_found} = DurableStreams.read("nonexistent", "-1")

    # live: long-polls for new data; timeout: for so long
    assert {:ok, %{data: "", offset: ^offset}} =
             DurableStreams.read("my-stream", offset, live: true, timeout: 1)
  end
end
