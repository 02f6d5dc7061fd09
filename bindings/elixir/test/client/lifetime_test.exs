defmodule DurableStreams.LifetimeTest do
  use DurableStreams.Test.ClientCase, async: false

  test "the end of a process ends its read", %{server: server, stream: stream} do
    stream = json(stream)

    for live <- [:long_poll, :sse] do
      reader = spawn(fn -> Handle.consumer!(stream, live: live) |> Stream.run() end)
      eventually(fn -> TestServer.live_readers(server) == 1 end)
      Process.exit(reader, :kill)
      eventually(fn -> TestServer.live_readers(server) == 0 end)
    end
  end

  test "halting ends the read at once", %{server: server, stream: stream} do
    stream = json(stream)
    Handle.append!(stream, [1])

    for live <- [:long_poll, :sse] do
      assert [%{items: [1]}] = Handle.consumer!(stream, live: live) |> Enum.take(1)
      eventually(fn -> TestServer.live_readers(server) == 0 end)

      assert_raise RuntimeError, "planned", fn ->
        Handle.consumer!(stream, live: live) |> Enum.each(fn _ -> raise "planned" end)
      end

      eventually(fn -> TestServer.live_readers(server) == 0 end)
    end
  end

  test "a wait that was given up leaves no message behind", %{stream: stream} do
    stream = json(stream)

    for _ <- 1..50,
        do: assert({:error, :timeout} = Handle.read(stream, live: :long_poll, offset: "now", timeout: 1))

    Handle.append!(stream, [1])
    assert Process.info(self(), :messages) == {:messages, []}
  end

  test "opening, reading, halting and dying 10,000 times keeps memory flat", %{stream: stream} do
    stream = json(stream)
    Handle.append!(stream, [1, 2, 3])

    round = fn n ->
      case rem(n, 4) do
        0 -> assert [%{items: [1, 2, 3]}] = Handle.consumer!(stream) |> Enum.take(1)
        1 -> Handle.consumer!(stream)
        2 -> assert {:error, :timeout} = Handle.read(stream, live: :long_poll, offset: "now", timeout: 0)
        3 -> dying(stream)
      end
    end

    Enum.each(1..2_000, round)
    settles(8_000, fn -> Enum.each(1..10_000, round) end)
    assert Process.info(self(), :messages) == {:messages, []}
  end

  defp dying(stream) do
    {pid, monitor} =
      spawn_monitor(fn -> Handle.consumer!(stream, live: :long_poll) |> Enum.each(fn _ -> exit(:done) end) end)

    receive do
      {:DOWN, ^monitor, :process, ^pid, :done} -> :ok
    end
  end

  # A leak grows with every lot; what the VM takes for itself now and then does not: one lot that leaves nothing behind
  # is enough.
  defp settles(most_kib, lot, grown \\ []) do
    assert length(grown) < 5, "every lot left more than #{most_kib} KiB behind: #{inspect(grown)}"
    before = resident()
    lot.()
    more = resident() - before
    if more >= most_kib, do: settles(most_kib, lot, [more | grown])
  end

  # Memory of the whole process, native library included. Units: KiB.
  defp resident do
    :erlang.garbage_collect()
    [_, kib] = Regex.run(~r/VmRSS:\s+(\d+) kB/, File.read!("/proc/self/status"))
    String.to_integer(kib)
  end
end
