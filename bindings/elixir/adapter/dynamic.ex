defmodule DurableStreams.Adapter.Dynamic do
  @moduledoc false
  # Headers and parameters whose value changes; the client gets them as functions.

  alias DurableStreams.Adapter.Outcome

  # `text`: what a token is, or why a function fails.
  defstruct [:kind, :text, :counter]

  @kinds ~w(counter request-counter timestamp token failing)

  def new(%{"valueType" => kind} = command) when kind in @kinds,
    do: %__MODULE__{kind: kind, text: command["initialValue"] || "", counter: :counters.new(1, [])}

  def new(%{"valueType" => kind}),
    do: raise(Outcome.NotSupported, message: "there is no valueType #{inspect(kind)}")

  # What one command sends. Values used are noted in a table: functions run in processes of
  # their own.
  def sent(session, command) do
    values = Map.values(session.headers) ++ Map.values(session.params)
    for %{kind: "counter"} = dynamic <- values, do: :counters.add(dynamic.counter, 1, 1)
    own = command |> Map.get("headers", %{}) |> Map.keys() |> Enum.map(&String.downcase/1)
    # What the command says itself wins.
    headers = Map.reject(session.headers, fn {name, _} -> String.downcase(name) in own end)
    %{headers: headers, params: session.params, used: :ets.new(:used, [:public])}
  end

  def functions(nil), do: {%{}, %{}}

  def functions(sent) do
    {functions(sent.headers, :header, sent.used), functions(sent.params, :param, sent.used)}
  end

  defp functions(values, place, used) do
    Map.new(values, fn {name, dynamic} ->
      {name,
       fn ->
         value = value(dynamic)
         :ets.insert(used, {{place, name}, value})
         value
       end}
    end)
  end

  defp value(%{kind: "timestamp"}), do: Integer.to_string(System.os_time(:millisecond))
  defp value(%{kind: "failing", text: text}), do: raise(text)
  defp value(%{kind: "token", text: text}), do: text
  defp value(%{kind: "counter", counter: counter}), do: Integer.to_string(:counters.get(counter, 1))

  defp value(%{kind: "request-counter", counter: counter}) do
    :counters.add(counter, 1, 1)
    Integer.to_string(:counters.get(counter, 1))
  end

  # The result's fields about it.
  def fields(sent) do
    used = :ets.tab2list(sent.used)
    headers = for {{:header, name}, value} <- used, into: %{}, do: {name, value}
    params = for {{:param, name}, value} <- used, into: %{}, do: {name, value}

    for {key, values} <- [headersSent: headers, paramsSent: params],
        values != %{},
        into: %{},
        do: {key, values}
  end
end
