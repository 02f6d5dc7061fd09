defmodule DurableStreams.Streamkeeper.PlugTest do
  use ExUnit.Case, async: true

  alias DurableStreams.{Native, Storage}
  alias DurableStreams.Protocol.BodyError
  alias DurableStreams.Protocol.Plug, as: Streams
  alias DurableStreams.Test.{PlugAdapter, PlugServer}

  @text {"content-type", "text/plain"}
  @host {"host", "app.example:4000"}

  setup %{test: test} do
    # An engine of its own, so that its readers can be counted.
    storage = :"#{test}"
    start_supervised!({Storage, name: storage, max_body_bytes: 3_000_000})
    {:ok, storage: storage, engine: Storage.engine(storage)}
  end

  defp ask(storage, method, target, options \\ []) do
    PlugServer.forward(PlugAdapter.conn(method, target, options), "/api/streams", Streams, storage: storage)
  end

  defp header(conn, name), do: conn.resp_headers |> List.keyfind(name, 0, {name, nil}) |> elem(1)

  defp wait_for_readers(engine, number) do
    unless Native.keeper_live_readers(engine) == number do
      Process.sleep(1)
      wait_for_readers(engine, number)
    end
  end

  test "a mount serves the streams below it, and answers name it", %{storage: storage} do
    conn = ask(storage, "PUT", "/api/streams/a/b%20c", headers: [@host, @text], body: ["one"])
    assert {conn.status, conn.state, conn.halted} == {201, :sent, true}
    assert header(conn, "location") == "http://app.example:4000/api/streams/a/b%20c"
    conn = ask(storage, "GET", "/api/streams/a/b%20c?offset=-1")
    assert {conn.status, conn.resp_body} == {200, "one"}
    assert header(conn, "stream-up-to-date") == "true"
    assert header(conn, "content-type") == "text/plain"
    fork = [@host, {"stream-forked-from", "/api/streams/a/b%20c"}]
    assert ask(storage, "PUT", "/api/streams/copy", headers: fork).status == 201
    assert ask(storage, "GET", "/api/streams/copy").resp_body == "one"
    assert ask(storage, "DELETE", "/api/streams/copy").status == 204
    assert ask(storage, "HEAD", "/api/streams/copy").status == 404
    assert ask(storage, "OPTIONS", "/api/streams/copy").status == 204
  end

  test "what the service does not say about caching, Plug does not say either", %{storage: storage} do
    for {method, target} <- [
          {"PUT", "/api/streams/a"},
          {"OPTIONS", "/api/streams/a"},
          {"GET", "/api/streams/none"}
        ] do
      refute header(ask(storage, method, target), "cache-control") == "max-age=0, private, must-revalidate"
    end
  end

  test "without a router, `at` says where; what lies elsewhere is passed on untouched", %{storage: storage} do
    options = Streams.init(at: "/v1/stream/", storage: storage)
    conn = Streams.call(PlugAdapter.conn("PUT", "/v1/stream/a", headers: [@host, @text]), options)
    assert header(conn, "location") == "http://app.example:4000/v1/stream/a"
    other = PlugAdapter.conn("PUT", "/v1/streams/a", body: ["x"])
    assert Streams.call(other, options) == other

    nested =
      PlugAdapter.conn("GET", "/shop/v1/stream/a", script_name: ["shop"], path_info: ["v1", "stream", "a"])

    assert Streams.call(nested, options).status == 200
    rewritten = PlugAdapter.conn("GET", "/old/a", path_info: ["v1", "stream", "a"])
    assert Streams.call(rewritten, options).status == 200
    assert_raise ArgumentError, fn -> Streams.init(mount: "/v1") end
  end

  test "at the root of a host everything is a stream", %{storage: storage} do
    options = Streams.init(storage: storage)
    conn = Streams.call(PlugAdapter.conn("PUT", "/a/b", scheme: :https, headers: [@host]), options)
    assert {conn.status, header(conn, "location")} == {201, "https://app.example:4000/a/b"}
    assert Streams.call(PlugAdapter.conn("PUT", "/"), options).status == 404
  end

  test "the path counts as the client spelled it", %{storage: storage} do
    for odd <- ["/api/streams/a//b", "/api/streams/a/../b", "/api/streams/%2e%2e/a", "/api/streams/a%2Fb"] do
      assert ask(storage, "PUT", odd).status == 400, odd
    end

    assert ask(storage, "PUT", "/api/streams/").status == 404
  end

  test "without a host header, the connection's host is named", %{storage: storage} do
    conn = ask(storage, "PUT", "/api/streams/a", headers: [], host: "h2.example", port: 8443, scheme: :https)
    assert header(conn, "location") == "https://h2.example:8443/api/streams/a"
  end

  test "a body is taken in piece by piece", %{storage: storage} do
    pieces = for n <- 1..5, do: :binary.copy(<<n>>, 500_000)
    assert ask(storage, "PUT", "/api/streams/a", headers: [@text], body: pieces ++ [""]).status == 201
    assert ask(storage, "GET", "/api/streams/a").resp_body == IO.iodata_to_binary(pieces)
  end

  test "a body over the limit is refused and not read to its end", %{storage: storage} do
    pieces = for _ <- 1..20, do: :binary.copy("x", 1_000_000)
    conn = ask(storage, "PUT", "/api/streams/a", headers: [@text], body: pieces)
    assert conn.status == 413
    {PlugAdapter, state} = conn.adapter
    assert length(state.pieces) == 16
    assert ask(storage, "GET", "/api/streams/a").status == 404
  end

  test "a body that breaks off, or that another plug has read, is an error and no empty append", %{
    storage: storage
  } do
    error =
      assert_raise(BodyError, fn -> ask(storage, "POST", "/api/streams/a", body: [{:error, :timeout}]) end)

    assert {error.reason, error.plug_status} == {:timeout, 400}
    parsed = [body_params: %{"n" => 1}, headers: [{"content-length", "7"}]]
    error = assert_raise(BodyError, fn -> ask(storage, "POST", "/api/streams/a", parsed) end)
    assert error.reason == :already_read
    # Without a body there was nothing to read.
    empty = [body_params: %{}, headers: [@host, @text, {"content-length", "0"}]]
    assert ask(storage, "PUT", "/api/streams/a", empty).status == 201
  end

  test "events are pulled: no more is made than was taken", %{storage: storage, engine: engine} do
    ask(storage, "PUT", "/api/streams/a", headers: [@text], body: ["first"])
    reader = follow(storage, "/api/streams/a?offset=-1&live=sse")
    assert_receive {:chunk, ^reader, first}, 20_000
    assert first =~ "data:first"

    for n <- 1..100, do: ask(storage, "POST", "/api/streams/a", headers: [@text], body: ["#{n}"])
    assert Process.info(reader, :message_queue_len) == {:message_queue_len, 0}
    send(reader, {:sent, :ok})
    assert_receive {:chunk, ^reader, second}, 20_000
    assert second =~ "data:#{Enum.join(1..100)}"
    assert Native.keeper_live_readers(engine) == 1

    # The stream's end is the answer's end.
    ask(storage, "POST", "/api/streams/a", headers: [@host, {"stream-closed", "true"}])
    send(reader, {:sent, :ok})
    assert_receive {:chunk, ^reader, last}, 20_000
    assert last =~ "streamClosed"
    send(reader, {:sent, :ok})
    assert_receive {:answered, ^reader, %{state: :chunked, halted: true}}, 20_000
    wait_for_readers(engine, 0)
  end

  test "a client that is gone ends the read at once", %{storage: storage, engine: engine} do
    ask(storage, "PUT", "/api/streams/a", headers: [@text], body: ["first"])
    reader = follow(storage, "/api/streams/a?offset=-1&live=sse")
    assert_receive {:chunk, ^reader, _}, 20_000
    assert Native.keeper_live_readers(engine) == 1
    send(reader, {:sent, {:error, :closed}})
    assert_receive {:answered, ^reader, %{state: :chunked}}, 20_000
    # Let go before the plug returned: nothing has to be collected first.
    assert Native.keeper_live_readers(engine) == 0
  end

  test "a process that is killed takes its read with it", %{storage: storage, engine: engine} do
    ask(storage, "PUT", "/api/streams/a", headers: [@text])
    events = follow(storage, "/api/streams/a?offset=-1&live=sse")
    assert_receive {:chunk, ^events, _}, 20_000
    send(events, {:sent, :ok})
    poll = follow(storage, "/api/streams/a?offset=now&live=true")
    wait_for_readers(engine, 2)
    Process.exit(poll, :kill)
    wait_for_readers(engine, 1)
    Process.exit(events, :kill)
    wait_for_readers(engine, 0)
  end

  defp follow(storage, target) do
    test = self()

    spawn(fn ->
      conn = ask(storage, "GET", target, observer: test)
      send(test, {:answered, self(), conn})
    end)
  end

  test "an engine that stops ends what waits", %{storage: storage, engine: engine} do
    ask(storage, "PUT", "/api/streams/a", headers: [@text])
    poll = follow(storage, "/api/streams/a?offset=now&live=long-poll")
    wait_for_readers(engine, 1)
    stop_supervised!(storage)
    assert_receive {:answered, ^poll, %{status: 204}}, 20_000
    assert_raise ArgumentError, ~r/no engine is running/, fn -> ask(storage, "GET", "/api/streams/a") end
  end
end
