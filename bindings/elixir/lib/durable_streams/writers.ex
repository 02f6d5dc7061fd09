defmodule DurableStreams.Writers do
  @moduledoc false
  # Which writer process has which producer, so that appends need not pass through the process.

  use GenServer

  def start_link(_opts), do: GenServer.start_link(__MODULE__, [], name: __MODULE__)

  @doc "Called by the writer itself."
  def register(producer), do: GenServer.call(__MODULE__, {:register, self(), producer})

  @doc "The producer of a process."
  def find(pid) do
    case :ets.lookup(__MODULE__, pid) do
      [{^pid, producer}] -> {:ok, producer}
      [] -> :error
    end
  end

  @impl true
  def init([]) do
    :ets.new(__MODULE__, [:named_table, :protected, read_concurrency: true])
    {:ok, nil}
  end

  @impl true
  def handle_call({:register, pid, producer}, _from, state) do
    Process.monitor(pid)
    :ets.insert(__MODULE__, {pid, producer})
    {:reply, :ok, state}
  end

  @impl true
  def handle_info({:DOWN, _ref, :process, pid, _reason}, state) do
    :ets.delete(__MODULE__, pid)
    {:noreply, state}
  end

  def handle_info(_other, state), do: {:noreply, state}
end
