defmodule DurableStreams.Adapter do
  @moduledoc false
  # The client behind the conformance kit's adapter protocol: one JSON command per line on
  # standard input, one JSON result per line on standard output.

  alias DurableStreams.Adapter.{Commands, Outcome, Session}
  alias DurableStreams.JSON

  def main do
    # A writer that cannot be started must not take this process along.
    Process.flag(:trap_exit, true)
    # Standard output is for results; what ends badly is told in one.
    Logger.configure(level: :none)
    {:ok, _} = Application.ensure_all_started(:durable_streams)
    # The descriptors themselves: the VM's own input and output know lines of modest length only.
    port = Port.open({:fd, 0, 1}, [:binary, :eof, :stream])
    lines(port, [], Session.new(""))
  end

  defp lines(port, pending, session) do
    receive do
      {^port, {:data, data}} ->
        case :binary.split(data, "\n", [:global]) do
          [part] -> lines(port, [pending, part], session)
          [first | rest] -> complete(port, [IO.iodata_to_binary([pending, first]) | rest], session)
        end

      {^port, :eof} ->
        :erlang.halt(0, flush: true)

      {:EXIT, _pid, _reason} ->
        lines(port, pending, session)
    end
  end

  defp complete(port, [last], session), do: lines(port, [last], session)

  defp complete(port, [line | rest], session) do
    case String.trim(line) do
      "" -> complete(port, rest, session)
      text -> complete(port, rest, answer(port, text, session))
    end
  end

  defp answer(port, text, session) do
    {result, session} =
      case JSON.decode(text) do
        {:ok, command} -> Commands.perform(command, session)
        {:error, {_, what}} -> {Outcome.error("init", "PARSE_ERROR", what), session}
      end

    {:ok, line} = JSON.encode(result)
    # Some programs take these two for the end of a line.
    line = line |> String.replace("\u2028", "\\u2028") |> String.replace("\u2029", "\\u2029")
    Port.command(port, [line, "\n"])
    if result[:type] == "shutdown", do: :erlang.halt(0, flush: true)
    session
  end
end
