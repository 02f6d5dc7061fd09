defmodule DurableStreams.Batches do
  @moduledoc false
  # Reads of the native library as Elixir knows them. A batch is asked for when it is wanted; the
  # library fetches at most one more meanwhile.

  alias DurableStreams.{Call, Error, Native, Request}

  @options [:offset, :live, :cursor, :timeout, :headers, :if_none_match, :max_batch_bytes]

  @doc "What a read needs, checked; nothing is sent."
  def read(stream, opts, default_live) do
    opts = Keyword.validate!(opts, @options)

    with {:ok, live} <- live(Keyword.get(opts, :live, default_live)) do
      fields = %{
        offset: opts[:offset],
        live: live,
        cursor: opts[:cursor],
        if_none_match: opts[:if_none_match],
        max_batch_bytes: opts[:max_batch_bytes],
        timeout_ms: opts[:timeout]
      }

      {:ok, {Request.settings(stream, opts[:headers]), fields}}
    end
  end

  defp live(off) when off in [:off, false, nil], do: {:ok, "off"}
  defp live(auto) when auto in [:auto, true], do: {:ok, "auto"}
  defp live(:long_poll), do: {:ok, "long-poll"}
  defp live(:sse), do: {:ok, "sse"}
  defp live(other), do: Error.invalid("live: #{inspect(other)} is none of :off, :long_poll, :sse, :auto")

  @doc "Opens a read for this process."
  def open({settings, fields}), do: settings |> Native.reader_open(fields) |> Error.from_native()

  @doc "The next batch; `nil` at the end."
  def next(reader, decode),
    do: (&Native.reader_next(&1, reader, decode)) |> Call.await() |> Error.from_native()

  @doc "The enumerable; `wrap` makes an element of an outcome."
  def stream(read, decode \\ :auto, wrap \\ &Error.plain/1) do
    Stream.resource(
      fn -> open(read) end,
      fn
        :halt -> {:halt, nil}
        {:error, _} = failed -> {[wrap.(failed)], :halt}
        {:ok, reader} -> pull(reader, decode, wrap)
      end,
      fn
        {:ok, reader} -> Native.reader_close(reader)
        _ -> :ok
      end
    )
  end

  defp pull(reader, decode, wrap) do
    case next(reader, decode) do
      {:ok, nil} ->
        {:halt, {:ok, reader}}

      {:ok, batch} ->
        {[wrap.({:ok, batch})], {:ok, reader}}

      {:error, _} = failed ->
        Native.reader_close(reader)
        {[wrap.(failed)], :halt}
    end
  end

  @doc "One batch: with data, or the last there is to say."
  def one({settings, fields}, decode) do
    limit = fields.timeout_ms || :infinity
    fields = fields |> Map.put(:read_ahead, false) |> Map.delete(:timeout_ms)
    deadline = limit != :infinity && System.monotonic_time(:millisecond) + limit
    with {:ok, reader} <- open({settings, fields}), do: one_of(reader, decode, fields, deadline)
  end

  defp one_of(reader, decode, fields, deadline) do
    left = if deadline, do: max(deadline - System.monotonic_time(:millisecond), 0), else: :infinity

    case (&Native.reader_next(&1, reader, decode)) |> Call.await(left) |> Error.from_native() do
      {:ok, %{data: empty, stream_closed: false, status: 200}}
      when fields.live != "off" and empty in ["", "[]"] ->
        one_of(reader, decode, fields, deadline)

      outcome ->
        Native.reader_close(reader)
        with {:ok, nil} <- outcome, do: {:ok, nothing(fields)}
    end
  end

  defp nothing(fields) do
    %{
      items: [],
      data: "",
      offset: fields.offset || "-1",
      cursor: nil,
      up_to_date: true,
      stream_closed: true,
      status: 200
    }
  end

  @doc "All batches until the read is up to date, at most `most`."
  def all(read, decode, most) do
    with {:ok, reader} <- open(read) do
      outcome = collect(reader, decode, most, [])
      Native.reader_close(reader)
      outcome
    end
  end

  defp collect(_reader, _decode, 0, batches), do: {:ok, Enum.reverse(batches)}

  defp collect(reader, decode, most, batches) do
    case next(reader, decode) do
      {:ok, nil} -> {:ok, Enum.reverse(batches)}
      {:ok, %{data: "", up_to_date: true}} -> {:ok, Enum.reverse(batches)}
      {:ok, %{up_to_date: true} = batch} -> {:ok, Enum.reverse([batch | batches])}
      {:ok, batch} -> collect(reader, decode, most - 1, [batch | batches])
      {:error, _} = failed -> failed
    end
  end
end
