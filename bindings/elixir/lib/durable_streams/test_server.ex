defmodule DurableStreams.TestServer do
  @moduledoc """
  A server inside this VM for the tests of programs, on a free loopback port, with faults on
  order.

      server = start_supervised!(DurableStreams.TestServer)
      client = DurableStreams.Client.new(DurableStreams.TestServer.url(server))
  """

  use GenServer

  alias DurableStreams.{Call, Error, Native}

  @doc """
  Starts a server: `:host`, `:port` (default: a free one), `:data_dir` (default: memory), `:prefix` (the path
  below which streams live; default: `/`), `:long_poll_timeout_ms`, and `:name` of the process.
  """
  @spec start_link(keyword()) :: GenServer.on_start()
  def start_link(opts \\ []) do
    {name, opts} = Keyword.pop(opts, :name)
    GenServer.start_link(__MODULE__, opts, if(name, do: [name: name], else: []))
  end

  @doc "The URL below which streams live."
  @spec url(GenServer.server()) :: String.t()
  def url(server), do: GenServer.call(server, :server).url

  @doc "The port listened on."
  @spec port(GenServer.server()) :: :inet.port_number()
  def port(server), do: GenServer.call(server, :server).port

  @doc """
  Lets requests to the URL path `:path` fail, so many as `:count` (1), only those of `:method`, each
  with `:probability`.

  `:status` with `:retry_after` (Units: s); `:delay_ms` and up to `:jitter_ms` more; `:drop_connection`; of
  a read's body `:truncate_body_bytes` or `:corrupt_body`; `:inject_sse_event`, a type and a payload.
  """
  @spec inject_fault(GenServer.server(), keyword()) :: :ok
  def inject_fault(server, fault) do
    known =
      [:path, :status, :delay_ms, :jitter_ms, :drop_connection, :retry_after, :method, :count, :probability] ++
        [:truncate_body_bytes, :corrupt_body, :inject_sse_event]

    fault = Keyword.validate!(fault, known)
    call(server, &Native.server_inject_fault(&1, &2, Map.new(fault)))
  end

  @doc "Forgets all faults."
  @spec clear_faults(GenServer.server()) :: :ok
  def clear_faults(server), do: call(server, &Native.server_clear_faults/2)

  @doc "How many long-polls and SSE answers are under way."
  @spec live_readers(GenServer.server()) :: non_neg_integer()
  def live_readers(server), do: call(server, &Native.server_live_readers/2)

  @doc "Deletes every stream."
  @spec clear(GenServer.server()) :: :ok
  def clear(server), do: call(server, &Native.server_clear/2)

  @doc "Stops the server: live readers end, what is under way finishes."
  @spec stop(GenServer.server()) :: :ok
  def stop(server), do: GenServer.stop(server)

  defp call(server, start) do
    %{resource: resource} = GenServer.call(server, :server)
    (&start.(&1, resource)) |> Call.await() |> Error.from_native() |> Error.bang()
  end

  @impl true
  def init(opts) do
    opts = Keyword.validate!(opts, [:host, :port, :data_dir, :prefix, :long_poll_timeout_ms])

    case Call.await(&Native.server_start(&1, Map.new(opts))) do
      {:ok, server} ->
        Process.flag(:trap_exit, true)
        {:ok, server}

      {:error, details} ->
        {:stop, details.reason}
    end
  end

  @impl true
  def handle_call(:server, _from, server), do: {:reply, server, server}

  @impl true
  def terminate(_reason, server), do: Call.await(&Native.server_stop(&1, server.resource))
end
