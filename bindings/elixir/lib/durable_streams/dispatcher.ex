defmodule DurableStreams.Dispatcher do
  @moduledoc false
  # Has the functions that programs give for headers and parameters evaluated, each in a
  # process of its own: a slow one keeps nobody else waiting, a failing one fails its request.

  use GenServer

  alias DurableStreams.Native

  def start_link(_opts), do: GenServer.start_link(__MODULE__, [], name: __MODULE__)

  @impl true
  def init([]) do
    :ok = Native.dispatch_here()
    {:ok, nil}
  end

  @impl true
  def handle_info({:evaluate, question, function}, state) do
    spawn(fn -> evaluate(question, function) end)
    {:noreply, state}
  end

  def handle_info(_other, state), do: {:noreply, state}

  defp evaluate(question, function) do
    {headers, params} = function.()
    Native.answer(question, headers, params)
  rescue
    error -> failed(question, error)
  catch
    kind, value -> failed(question, %ErlangError{original: {kind, value}})
  end

  defp failed(question, error) do
    Native.answer_failed(question, Exception.message(error), :erlang.term_to_binary(error))
  end
end
