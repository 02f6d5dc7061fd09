defmodule DurableStreams.Request do
  @moduledoc false
  # What the native library is told of a handle.

  alias DurableStreams.{Client, Stream}

  @doc "The settings of a call on `stream`, with headers of its own."
  def settings(%Stream{client: %Client{} = client} = stream, call_headers \\ []) do
    {headers, asked_headers} =
      client.default_headers |> merge(stream.headers) |> merge(call_headers) |> split()

    {params, asked_params} = client.params |> merge(stream.params) |> split()

    settings = %{
      url: Stream.url(stream),
      content_type: stream.content_type,
      headers: headers,
      params: params,
      timeout_ms: client.timeout
    }

    settings
    |> put(:source, source(asked_headers, asked_params))
    |> put(:long_poll_timeout_ms, client.long_poll_timeout)
    |> put(:sse_idle_timeout_ms, client.sse_idle_timeout)
    |> put(:connect_timeout_ms, client.connect_timeout)
    |> put(:max_retries, client.retry[:max_retries])
    |> put(:initial_delay_ms, client.retry[:initial_delay])
    |> put(:max_delay_ms, client.retry[:max_delay])
    |> put(:multiplier, client.retry[:multiplier])
  end

  defp put(settings, _name, nil), do: settings
  defp put(settings, name, value), do: Map.put(settings, name, value)

  # Later ones replace earlier ones of the same name, whatever its case.
  defp merge(pairs, more) when more in [nil, [], %{}], do: pairs

  defp merge(pairs, more) do
    names = MapSet.new(more, fn {name, _value} -> String.downcase(to_string(name)) end)

    kept =
      Enum.reject(pairs, fn {name, _value} -> MapSet.member?(names, String.downcase(to_string(name))) end)

    kept ++ Enum.to_list(more)
  end

  defp split(pairs) do
    {asked, fixed} = Enum.split_with(pairs, fn {_name, value} -> is_function(value, 0) end)
    {texts(fixed), asked}
  end

  defp texts(pairs), do: Enum.map(pairs, fn {name, value} -> {to_string(name), to_string(value)} end)

  defp source([], []), do: nil
  defp source(headers, params), do: fn -> {asked(headers), asked(params)} end

  defp asked(pairs), do: Enum.map(pairs, fn {name, function} -> {to_string(name), to_string(function.())} end)
end
