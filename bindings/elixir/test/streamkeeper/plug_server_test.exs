defmodule DurableStreams.Streamkeeper.PlugServerTest do
  @moduledoc "The plug behind a web server on a real socket."
  use ExUnit.Case, async: true

  alias DurableStreams.{Client, Native, Storage}
  alias DurableStreams.Protocol.Plug, as: Streams
  alias DurableStreams.Stream, as: Handle
  alias DurableStreams.Test.{Http, PlugServer}

  setup %{test: test} do
    storage = :"#{test}"
    start_supervised!({Storage, name: storage})
    plug = &PlugServer.forward(&1, "/api", Streams, storage: storage)
    server = start_supervised!({PlugServer, plug: plug})
    {:ok, url: PlugServer.url(server) <> "/api", engine: Storage.engine(storage)}
  end

  defp wait_for_readers(engine, number) do
    unless Native.keeper_live_readers(engine) == number do
      Process.sleep(1)
      wait_for_readers(engine, number)
    end
  end

  test "a client that hangs up ends its live reads", %{url: url, engine: engine} do
    {201, _, _} = Http.request("PUT", url <> "/a", [{"content-type", "text/plain"}], "x")
    events = Http.open("GET", url <> "/a?offset=-1&live=sse")
    {200, %{"transfer-encoding" => "chunked", "cache-control" => "no-cache"}} = Http.head(events)
    Http.chunks_until(events, "data:x")
    poll = Http.open("GET", url <> "/a?offset=now&live=long-poll")
    wait_for_readers(engine, 2)
    Http.close(poll)
    wait_for_readers(engine, 1)
    Http.close(events)
    wait_for_readers(engine, 0)
  end

  test "this package's client reads and writes through it", %{url: url} do
    {:ok, stream} = DurableStreams.create(url <> "/orders", content_type: "application/json")
    {:ok, %{next_offset: _}} = DurableStreams.append(stream, %{event: "user.created"})
    {:ok, _} = DurableStreams.append(url <> "/orders", ~s([{"event":"b"},{"event":"c"}]))
    {:ok, _} = DurableStreams.close(stream)

    for mode <- [:off, :long_poll, :sse] do
      {:ok, batches} = url |> Client.new() |> Client.stream("/orders") |> Handle.consumer(live: mode)
      items = for {:ok, %{items: items}} <- batches, item <- items, do: item["event"]
      assert items == ["user.created", "b", "c"]
    end

    assert {:ok, %{stream_closed: true}} = DurableStreams.get_metadata(stream)
    assert :ok = DurableStreams.delete(url <> "/orders")
    assert {:error, :stream_not_found} = DurableStreams.get_metadata(url <> "/orders")
  end
end
