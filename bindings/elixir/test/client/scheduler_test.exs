defmodule DurableStreams.SchedulerTest do
  # Alone: the monitor hears of every process of the VM.
  use DurableStreams.Test.ClientCase, async: false

  alias DurableStreams.JSON

  # What calls of the library may keep a scheduler. A machine with other work to do takes its
  # schedulers away at times, which the monitor cannot tell apart: an operation is given away
  # only if it is slow every time.
  @limit_ms 1
  @tries 20

  test "nothing keeps a scheduler for a millisecond", %{stream: stream} do
    stream = json(stream)
    message = %{"id" => 1, "text" => String.duplicate("x", 80)}
    large = Enum.map(1..20_000, &Map.put(message, "id", &1))
    {:ok, large_text} = JSON.encode(large)
    {:ok, writer} = Writer.start_link(stream: stream, producer_id: "p")

    for {name, work} <- [
          {"append of a large binary", fn -> Handle.append!(stream, large_text) end},
          {"append of a large term", fn -> Handle.append!(stream, large) end},
          {"encoding", fn -> JSON.encode(large) end},
          {"decoding", fn -> JSON.decode(large_text) end},
          {"a read in large batches", fn -> Handle.consumer!(stream) |> Enum.take(1) end},
          {"a live read", fn -> Handle.consumer!(stream, live: :sse) |> Enum.take(1) end},
          {"a writer",
           fn -> for(_ <- 1..1_000, do: Writer.append(writer, message)) && Writer.flush!(writer) end},
          {"a writer of a list", fn -> Writer.append_all(writer, large) && Writer.flush!(writer) end},
          {"metadata", fn -> for _ <- 1..100, do: Handle.head!(stream) end}
        ] do
      assert Enum.any?(1..@tries, fn _ -> held(work) == [] end),
             "#{name} kept a scheduler: #{inspect(held(work))}"
    end
  end

  # Stretches over the limit of this process while it does the work.
  defp held(work) do
    worker = self()
    parent = spawn_monitored_listener(worker)
    previous = :erlang.system_monitor(parent, [{:long_schedule, @limit_ms}])
    work.()
    :erlang.system_monitor(previous)
    send(parent, {:report, self()})

    receive do
      {^parent, found} -> found
    end
  end

  defp spawn_monitored_listener(worker), do: spawn_link(fn -> listen(worker, []) end)

  defp listen(worker, found) do
    receive do
      {:monitor, ^worker, :long_schedule, info} ->
        # The VM's own work, such as collecting garbage, is not the library's.
        listen(worker, if(ours?(info), do: [info | found], else: found))

      {:monitor, _other, :long_schedule, _info} ->
        listen(worker, found)

      {:report, to} ->
        send(to, {self(), found})
    end
  end

  defp ours?(info), do: Enum.any?([info[:in], info[:out]], &match?({DurableStreams.Native, _, _}, &1))
end
