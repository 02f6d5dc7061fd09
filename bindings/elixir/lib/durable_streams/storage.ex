defmodule DurableStreams.Storage do
  @moduledoc """
  The engine that keeps the application's own streams, started with the application.

      config :durable_streams,
        storage: :memory

  | key | default | |
  |---|---|---|
  | `:storage` | `:memory` | `{:file, directory}` keeps streams on disk, created when missing: an append is acknowledged once it is synced. `:none` starts no engine, for programs that only use the client |
  | `:mount` | `"/v1/stream"` | the path below which the streams are served over HTTP; `DurableStreams.Server` uses it, and subscriptions name it in their URLs |
  | `:public_url` | the request's host | the origin in `Location`, such as `"https://streams.example.com"` |
  | `:long_poll_timeout` | `30_000` | how long a long-poll over HTTP waits, in milliseconds |
  | `:sse_reconnect_interval` | `60_000` | about how long an answer of server-sent events lasts, in milliseconds |
  | `:max_body_bytes` | 16 MiB | largest request body over HTTP |
  | `:max_streams` | no limit | most streams |
  | `:webhooks` | `:https` | where subscriptions may send webhooks: `:off`, `:https` for public addresses only, `:dev` for `http://localhost` too |

  A directory belongs to one engine at a time: a second one, in this VM or another, is refused.

  Further engines with storages of their own can be started under a supervisor, and named in
  `DurableStreams.Protocol.Plug` and `DurableStreams.Server`:

      children = [{DurableStreams.Storage, name: MyApp.Audit, storage: {:file, "/var/lib/audit"}}]
  """
  use GenServer

  alias DurableStreams.{Call, Native}

  @options [
    :storage,
    :mount,
    :public_url,
    :long_poll_timeout,
    :sse_reconnect_interval,
    :max_body_bytes,
    :max_streams,
    :webhooks
  ]

  @type name :: atom()
  @type storage :: :memory | {:file, Path.t()} | :none

  @doc "A child for a supervisor; see `start_link/1`."
  def child_spec(options) do
    options = options(options)
    # Time to carry out what is queued and to close the files.
    %{id: options[:name], start: {__MODULE__, :start_link, [options]}, shutdown: 10_000}
  end

  @doc """
  Starts an engine.

  Options are those of the configuration, and `:name`, under which it is found; without that it is
  the application's own, with the application's configuration. With `name: nil` it has none: its
  process stands for it.
  """
  @spec start_link(keyword()) :: GenServer.on_start()
  def start_link(options \\ []) do
    options = options(options)
    GenServer.start_link(__MODULE__, options, if(options[:name], do: [name: options[:name]], else: []))
  end

  defp options(options) do
    case Keyword.pop(options, :name, __MODULE__) do
      {__MODULE__, options} ->
        configured = Application.get_all_env(:durable_streams) |> Keyword.take(@options)
        [name: __MODULE__] ++ Keyword.merge(configured, options)

      {name, options} when is_atom(name) ->
        [name: name] ++ options
    end
  end

  @doc false
  # The native handle. Found without asking the process: nothing queues behind anything.
  def engine(name \\ __MODULE__)
  def engine(pid) when is_pid(pid), do: GenServer.call(pid, :engine)

  def engine(name) do
    known(name) || raise ArgumentError, not_running(name)
  end

  defp known(name), do: :persistent_term.get({__MODULE__, name}, nil)

  defp not_running(__MODULE__) do
    "no engine is running: start the application :durable_streams, and do not configure storage: :none"
  end

  defp not_running(name) do
    "no engine is running under the name #{inspect(name)}: start {DurableStreams.Storage, name: #{inspect(name)}}"
  end

  @impl true
  def init(options) do
    # So that terminate/2 is called when the application stops.
    Process.flag(:trap_exit, true)
    {name, options} = Keyword.pop!(options, :name)
    # One that a process killed before left behind still has its directory locked.
    close(name, known(name))

    case settings(options) do
      {:ok, settings} -> open(name, settings)
      :none -> {:ok, {name, nil}}
      {:error, text} -> {:stop, text}
    end
  end

  defp open(name, settings) do
    case Call.await(&Native.keeper_open(&1, settings)) do
      {:ok, engine} ->
        if name, do: :persistent_term.put({__MODULE__, name}, engine)
        {:ok, {name, engine}}

      {:error, %{detail: detail}} ->
        {:stop, detail}
    end
  end

  defp settings(options) do
    case Keyword.keys(options) -- @options do
      [] -> options |> Map.new() |> Map.pop(:storage, :memory) |> settings_with() |> check()
      [unknown | _] -> {:error, "#{inspect(unknown)} is no option; these are: #{inspect(@options)}"}
    end
  end

  defp settings_with({:none, _}), do: :none
  defp settings_with({:memory, settings}), do: {:ok, settings}

  defp settings_with({{:file, directory}, settings}),
    do: {:ok, Map.put(settings, :data_dir, Path.expand(directory))}

  defp settings_with({other, _}) do
    {:error, "storage is #{inspect(other)}; give :memory, {:file, directory} or :none"}
  end

  defp check({:ok, %{webhooks: mode} = settings}) when mode in [:off, :https, :dev],
    do: {:ok, %{settings | webhooks: Atom.to_string(mode)}}

  defp check({:ok, %{webhooks: mode}}),
    do: {:error, "webhooks is #{inspect(mode)}; give :off, :https or :dev"}

  defp check(other), do: other

  @impl true
  def handle_call(:engine, _from, {_, engine} = state), do: {:reply, engine, state}

  @impl true
  def terminate(_reason, {name, engine}), do: close(name, engine)

  defp close(_name, nil), do: :ok

  defp close(name, engine) do
    :persistent_term.erase({__MODULE__, name})
    Call.await(&Native.keeper_stop(&1, engine))
  end
end
