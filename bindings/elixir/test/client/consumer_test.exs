defmodule DurableStreams.ConsumerTest do
  use DurableStreams.Test.ClientCase, async: true

  defmodule Telling do
    use DurableStreams.Consumer

    def handle_batch(%{items: ["stop" | _]}, parent), do: {:stop, :asked, parent}

    def handle_batch(batch, parent) do
      send(parent, {:batch, batch.items})
      {:ok, parent}
    end

    def handle_error(reason, parent) do
      send(parent, {:failed, reason})
      {:reconnect, parent}
    end

    def handle_up_to_date(parent) do
      send(parent, :up_to_date)
      {:ok, parent}
    end
  end

  test "batches are handled, then the offset is committed; the end stops the process", %{stream: stream} do
    stream = json(stream)
    Handle.append!(stream, [1, 2])
    {:ok, consumer} = Consumer.start_link(Telling, self(), stream: stream)
    assert_receive {:batch, [1, 2]}, 5_000
    assert_receive :up_to_date, 5_000
    assert Consumer.committed_offset(consumer) == Handle.head!(stream).offset
    assert Consumer.callback_state(consumer) == self()
    Handle.append!(stream, [3])
    assert_receive {:batch, [3]}, 5_000
    monitor = Process.monitor(consumer)
    Handle.close!(stream)
    assert_receive {:DOWN, ^monitor, :process, _, :normal}, 5_000
  end

  test "a batch that stops it is not committed", %{stream: stream} do
    Process.flag(:trap_exit, true)
    stream = json(stream)
    offset = Handle.append!(stream, [1]).next_offset
    {:ok, consumer} = Consumer.start_link(Telling, self(), stream: stream, offset: offset)
    assert_receive :up_to_date, 5_000
    assert Consumer.committed_offset(consumer) == offset
    Handle.append!(stream, ["stop"])
    assert_receive {:EXIT, ^consumer, :asked}, 5_000
  end

  test "it reads on after a failure, from where it was", %{server: server, stream: stream} do
    TestServer.inject_fault(server, path: stream.path, status: 404, method: "GET")
    stream = json(stream)
    Handle.append!(stream, [1])
    {:ok, _} = Consumer.start_link(Telling, self(), stream: stream, backoff_base: 1)
    assert_receive {:failed, :stream_not_found}, 5_000
    assert_receive {:batch, [1]}, 5_000
  end

  test "a pause lasts until resume", %{stream: stream} do
    stream = json(stream)
    {:ok, consumer} = Consumer.start_link(Telling, self(), stream: stream, live: :sse)
    assert_receive :up_to_date, 5_000
    :ok = Consumer.pause(consumer)
    Handle.append!(stream, [1])
    eventually(fn -> match?(%{held: {:ok, _}}, :sys.get_state(consumer)) end)
    refute_received {:batch, _}
    :ok = Consumer.resume(consumer)
    assert_receive {:batch, [1]}, 5_000
    Handle.append!(stream, [2])
    assert_receive {:batch, [2]}, 5_000
    assert :ok = Consumer.stop(consumer)
  end

  test "stopping it ends its request", %{server: server, stream: stream} do
    {:ok, consumer} = Consumer.start_link(Telling, self(), stream: json(stream))
    eventually(fn -> TestServer.live_readers(server) == 1 end)
    Consumer.stop(consumer)
    eventually(fn -> TestServer.live_readers(server) == 0 end)
  end

  test "under a supervisor", %{stream: stream} do
    stream = json(stream)
    Handle.append!(stream, [1])
    start_supervised!({Telling, {self(), stream: stream, name: __MODULE__.Named}})
    assert_receive {:batch, [1]}, 5_000
    assert Process.whereis(__MODULE__.Named)
  end
end
