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

    deadline = System.monotonic_time(:millisecond) + (command["timeoutMs"] || @timeout)
    parent = self()
    {pid, monitor} = spawn_monitor(fn -> send(parent, {self(), batches(stream, command, parent)}) end)
    collected = collect(pid, monitor, command, deadline, collected)
    Process.demonitor(monitor, [:flush])
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

  defp batches(stream, command, parent) do
    stream
    |> Stream.consumer!(
      offset: command["offset"],
      live: live(command["live"]),
      cursor: command["cursor"],
      if_none_match: command["ifNoneMatch"]
    )
    |> Enum.each(&send(parent, {self(), {:batch, &1}}))

    :finished
  rescue
    error -> {:failed, error}
  end

  defp live("long-poll"), do: :long_poll
  defp live("sse"), do: :sse
  defp live(other), do: other

  defp collect(pid, monitor, command, deadline, collected) do
    receive do
      {^pid, {:batch, batch}} ->
        collected = add(batch, collected)
        most = command["maxChunks"] || @max_chunks
        caught_up = command["waitForUpToDate"] == true and batch.up_to_date

        if length(collected.chunks) >= most or caught_up or batch.stream_closed do
          stop(pid, monitor)
          collected
        else
          collect(pid, monitor, command, deadline, collected)
        end

      {^pid, :finished} ->
        collected

      {^pid, {:failed, error}} ->
        raise error

      {:DOWN, ^monitor, :process, _pid, reason} ->
        raise "a read ended with #{inspect(reason)}"
    after
      max(deadline - System.monotonic_time(:millisecond), 0) ->
        stop(pid, monitor)
        collected
    end
  end

  # Waits for the process to be gone, and forgets what it sent meanwhile.
  defp stop(pid, monitor) do
    Process.exit(pid, :kill)

    receive do
      {:DOWN, ^monitor, :process, _pid, _reason} -> flush(pid)
    end
  end

  defp flush(pid) do
    receive do
      {^pid, _} -> flush(pid)
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
