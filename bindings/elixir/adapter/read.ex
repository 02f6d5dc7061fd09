defmodule DurableStreams.Adapter.Read do
  @moduledoc false
  # Reads: batches until a rule of the command says stop. A read is a process; when its time is up
  # the process is killed, as a program would do it, and its request ends with it.

  alias DurableStreams.Adapter.{Dynamic, Outcome, Session}
  alias DurableStreams.Stream

  @max_chunks 100
  @timeout 5_000

  def run(session, command) do
    sent = Dynamic.sent(session, command)
    stream = Session.stream(session, command, sent)
    # If nothing ever arrives, there is nothing the reader is behind of.
    collected = %{
      status: 200,
      chunks: [],
      offset: command["offset"] || "-1",
      upToDate: true,
      streamClosed: false
    }

    parent = self()

    {pid, monitor} =
      spawn_monitor(fn -> send(parent, {self(), batches(stream, command, collected, parent)}) end)

    timer = Process.send_after(self(), {pid, :out_of_time}, command["timeoutMs"] || @timeout)
    collected = wait(pid, monitor, collected)
    Process.cancel_timer(timer)
    Process.demonitor(monitor, [:flush])
    forget(pid)
    fields = Map.update!(collected, :chunks, &Enum.reverse/1)
    Outcome.success("read", Map.merge(fields, Dynamic.fields(sent)))
  end

  def run_many(session, command, count) do
    tasks = for _ <- 1..count, do: Task.async(fn -> attempt(session, command) end)

    case Enum.split_with(Task.await_many(tasks, :infinity), &match?({:ok, _}, &1)) do
      {results, []} -> Outcome.success("read", %{results: Enum.map(results, &elem(&1, 1))})
      {_, [{:error, error} | _]} -> raise error
    end
  end

  # Its error is the command's, and must not end the adapter.
  defp attempt(session, command) do
    {:ok, run(session, command)}
  rescue
    error -> {:error, error}
  end

  defp batches(stream, command, collected, parent) do
    stream
    |> Stream.consumer!(
      offset: command["offset"],
      live: live(command["live"]),
      cursor: command["cursor"],
      if_none_match: command["ifNoneMatch"]
    )
    |> Enum.reduce_while(collected, fn batch, collected ->
      collected = add(batch, collected)
      send(parent, {self(), {:so_far, collected}})
      if enough?(batch, collected, command), do: {:halt, collected}, else: {:cont, collected}
    end)
    |> then(&{:finished, &1})
  rescue
    error -> {:failed, error}
  end

  defp enough?(batch, collected, command) do
    length(collected.chunks) >= (command["maxChunks"] || @max_chunks) or batch.stream_closed or
      (command["waitForUpToDate"] == true and batch.up_to_date)
  end

  defp live("long-poll"), do: :long_poll
  defp live("sse"), do: :sse
  defp live(other), do: other

  defp wait(pid, monitor, collected) do
    receive do
      {^pid, {:so_far, collected}} -> wait(pid, monitor, collected)
      {^pid, {:finished, collected}} -> collected
      {^pid, {:failed, error}} -> raise error
      {^pid, :out_of_time} -> stop(pid, monitor, collected)
      {:DOWN, ^monitor, :process, _pid, reason} -> raise "a read ended with #{inspect(reason)}"
    end
  end

  # Waits for the process to be gone.
  defp stop(pid, monitor, collected) do
    Process.exit(pid, :kill)

    receive do
      {:DOWN, ^monitor, :process, _pid, _reason} -> collected
    end
  end

  defp forget(pid) do
    receive do
      {^pid, _} -> forget(pid)
    after
      0 -> :ok
    end
  end

  defp add(batch, collected) do
    chunks = if batch.data in ["", "[]"], do: collected.chunks, else: [chunk(batch) | collected.chunks]

    Map.merge(collected, %{
      chunks: chunks,
      status: batch.status,
      offset: batch.offset,
      upToDate: batch.up_to_date,
      streamClosed: batch.stream_closed,
      cursor: batch.cursor
    })
  end

  defp chunk(batch) do
    if String.valid?(batch.data),
      do: %{data: batch.data, offset: batch.offset},
      else: %{data: Base.encode64(batch.data), offset: batch.offset, binary: true}
  end
end
