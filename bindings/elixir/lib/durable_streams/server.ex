defmodule DurableStreams.Server do
  @moduledoc """
  Serves streams over HTTP on a socket of its own, without a web server in Elixir.

      children = [{DurableStreams.Server, port: 4437}]

  Clients find the stream `id` under `url(server) <> "/" <> id`. By default it serves the streams
  of the application's own engine; with `:storage` it has an engine of its own, which ends with it.

  Options:

    * `:port` - default 0, a free one
    * `:host` - name or address to listen on, default `"127.0.0.1"`. There is no access control:
      put a proxy in front before others reach it
    * `:storage` - `:memory` or `{:file, directory}` for an engine of its own, or the name of a
      `DurableStreams.Storage`
    * `:name` - registers the process
    * the other options of `DurableStreams.Storage`, together with `:storage`
  """
  use GenServer

  alias DurableStreams.{Call, Native, Storage}

  @doc "A child for a supervisor; see the options above."
  def child_spec(options) do
    %{id: options[:name] || __MODULE__, start: {__MODULE__, :start_link, [options]}, shutdown: 15_000}
  end

  @doc "Starts listening."
  @spec start_link(keyword()) :: GenServer.on_start()
  def start_link(options \\ []) do
    {name, options} = Keyword.pop(options, :name)
    GenServer.start_link(__MODULE__, options, if(name, do: [name: name], else: []))
  end

  @doc "The URL below which the streams live."
  @spec url(GenServer.server()) :: String.t()
  def url(server), do: GenServer.call(server, :url)

  @doc "The port listened on."
  @spec port(GenServer.server()) :: :inet.port_number()
  def port(server), do: GenServer.call(server, :port)

  @doc """
  Stops listening. Live readers are cut off within about a second; with an engine of its own they
  end in order, and its storage is closed.
  """
  @spec stop(GenServer.server()) :: :ok
  def stop(server), do: GenServer.stop(server)

  @impl true
  def init(options) do
    # So that terminate/2 is called when the supervisor stops it.
    Process.flag(:trap_exit, true)
    {host, options} = Keyword.pop(options, :host, "127.0.0.1")
    {port, options} = Keyword.pop(options, :port, 0)

    with {:ok, engine, owned} <- engine(options) do
      case Call.await(&Native.keeper_listen(&1, engine, host, port)) do
        {:ok, {listener, url, port}} ->
          {:ok, %{listener: listener, url: url, port: port, engine: engine, owned: owned}}

        {:error, %{detail: detail}} ->
          if owned, do: GenServer.stop(owned)
          {:stop, detail}
      end
    end
  end

  # A storage of its own is a linked process without a name.
  defp engine(options) do
    case Keyword.get(options, :storage, Storage) do
      name when is_atom(name) and name not in [:memory, :none] and options in [[], [storage: name]] ->
        # A supervisor starts this server again, then with the engine that is there by then.
        Process.monitor(name)
        {:ok, Storage.engine(name), nil}

      storage when storage == :memory or is_tuple(storage) ->
        case Storage.start_link([name: nil] ++ options) do
          {:ok, owned} -> {:ok, Storage.engine(owned), owned}
          {:error, reason} -> {:stop, reason}
        end

      _ ->
        {:stop, "the options #{inspect(options)} need storage: :memory or storage: {:file, directory}"}
    end
  end

  @impl true
  def handle_call(:url, _from, state), do: {:reply, state.url, state}
  def handle_call(:port, _from, state), do: {:reply, state.port, state}

  @impl true
  def handle_info({:EXIT, owned, reason}, %{owned: owned} = state), do: {:stop, reason, %{state | owned: nil}}
  def handle_info({:DOWN, _, :process, _, reason}, state), do: {:stop, {:storage, reason}, state}
  def handle_info(_, state), do: {:noreply, state}

  @impl true
  def terminate(_reason, state) do
    if state.owned && Process.alive?(state.owned), do: GenServer.stop(state.owned)
    Call.await(&Native.keeper_stop_listening(&1, state.listener))
  end
end
