defmodule DurableStreams.Writers do
  @moduledoc false
  # Which writer process has which producer, so that appends need not pass through the process;
  # and in which epoch those that crashed had been.

  use GenServer

  alias DurableStreams.Native

  # Crashed writers to remember. Each waits for its supervisor, which is quick.
  @most_crashed 1_000

  def start_link(_opts), do: GenServer.start_link(__MODULE__, [], name: __MODULE__)

  @doc "Called by the writer itself. `life` is the same for a writer that is started again."
  def register(life, producer), do: GenServer.call(__MODULE__, {:register, self(), life, producer})

  @doc "The epoch to start with: the one after that of a crash."
  def epoch(life, wanted), do: GenServer.call(__MODULE__, {:epoch, life, wanted})

  @doc "The producer of a process."
  def find(pid) do
    {:ok, :ets.lookup_element(__MODULE__, pid, 2)}
  rescue
    # There is none.
    ArgumentError -> :error
  end

  @doc """
  The producer of a process on this node, remembered by the caller's until it asks for another's:
  for appends, to which the table's lock is a good part of what they cost.
  """
  def recall(pid) do
    case Process.get(__MODULE__) do
      {^pid, producer} -> {:ok, producer}
      _another -> with {:ok, producer} <- find(pid), do: remember(pid, producer)
    end
  end

  defp remember(pid, producer) do
    Process.put(__MODULE__, {pid, producer})
    {:ok, producer}
  end

  @impl true
  def init([]) do
    :ets.new(__MODULE__, [:named_table, :protected, read_concurrency: true])
    {:ok, %{}}
  end

  @impl true
  def handle_call({:register, pid, life, producer}, _from, crashed) do
    Process.monitor(pid)
    :ets.insert(__MODULE__, {pid, producer, life})
    {:reply, :ok, Map.delete(crashed, life)}
  end

  def handle_call({:epoch, life, wanted}, _from, crashed) do
    # Its supervisor may have been told first.
    ending = for {pid, _producer, ^life} <- :ets.tab2list(__MODULE__), not Process.alive?(pid), do: pid
    crashed = Enum.reduce(ending, crashed, &notice/2)
    # What was asked for stays as it is, wrong or not, unless there was a crash.
    epoch = if last = crashed[life], do: max(wanted, last + 1), else: wanted
    {:reply, epoch, crashed}
  end

  defp notice(pid, crashed) do
    receive do
      {:DOWN, _ref, :process, ^pid, reason} -> ended(crashed, pid, reason)
    end
  end

  @impl true
  def handle_info({:DOWN, _ref, :process, pid, reason}, crashed), do: {:noreply, ended(crashed, pid, reason)}

  def handle_info(_other, state), do: {:noreply, state}

  defp ended(crashed, pid, reason) do
    [{^pid, producer, life}] = :ets.take(__MODULE__, pid)
    if orderly?(reason), do: crashed, else: note(crashed, life, producer)
  end

  defp orderly?(reason), do: reason in [:normal, :shutdown] or match?({:shutdown, _}, reason)

  defp note(crashed, life, producer) do
    crashed = if map_size(crashed) >= @most_crashed, do: %{}, else: crashed
    Map.put(crashed, life, Native.producer_epoch(producer))
  end
end
