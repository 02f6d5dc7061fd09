defmodule DurableStreams.Consumer do
  @moduledoc """
  A process that reads a stream and hands its batches to callbacks.

      defmodule Orders do
        use DurableStreams.Consumer

        def init(_argument), do: {:ok, %{seen: 0}}

        def handle_batch(batch, state) do
          Enum.each(batch.items, &process/1)
          {:ok, %{state | seen: state.seen + length(batch.items)}}
        end
      end

      {:ok, orders} = DurableStreams.Consumer.start_link(Orders, nil, stream: stream, offset: saved)

  The offset advances only after `c:handle_batch/2` has returned `{:ok, state}`: whatever happens,
  the consumer goes on behind the last batch that was handled. The next batch is asked for when
  the last one was handled. When the stream is closed and read to its end the process stops with
  reason `:normal`.
  """

  use GenServer, restart: :transient

  alias DurableStreams.{Batches, Error, Native}

  @type state :: term()
  @type batch :: DurableStreams.Stream.batch()

  @doc "Makes the callbacks' state."
  @callback init(argument :: term()) :: {:ok, state()} | {:stop, reason :: term()} | :ignore

  @doc "Takes a batch with data."
  @callback handle_batch(batch(), state()) :: {:ok, state()} | {:stop, reason :: term(), state()}

  @doc """
  Is told why a read failed. `{:reconnect, state}` reads on from the committed offset, after a pause
  that doubles with each failure in a row.
  """
  @callback handle_error(reason :: term(), state()) ::
              {:reconnect, state()} | {:stop, reason :: term(), state()}

  @doc "Is told each time the consumer has caught up with the tail."
  @callback handle_up_to_date(state()) :: {:ok, state()} | {:stop, reason :: term(), state()}

  @optional_callbacks handle_up_to_date: 1

  @doc false
  defmacro __using__(opts) do
    quote location: :keep, bind_quoted: [opts: opts] do
      @behaviour DurableStreams.Consumer

      @doc false
      def child_spec({argument, opts}) do
        default = %{
          id: opts[:name] || __MODULE__,
          start: {DurableStreams.Consumer, :start_link, [__MODULE__, argument, opts]},
          restart: :transient
        }

        Supervisor.child_spec(default, unquote(Macro.escape(opts)))
      end

      @impl DurableStreams.Consumer
      def init(argument), do: {:ok, argument}

      @impl DurableStreams.Consumer
      def handle_error(_reason, state), do: {:reconnect, state}

      defoverridable child_spec: 1, init: 1, handle_error: 2
    end
  end

  @doc """
  Starts a consumer.

    * `:stream` - the handle (required)
    * `:live` - default: `:long_poll`
    * `:offset` - where to start. Default: `"-1"`
    * `:name` - of the process
    * `:backoff_base`, `:backoff_max` - pause after a failure: the first, and the longest. Units: ms.
      Default: 1_000 and 30_000. Each is varied between 75 % and 125 %
  """
  @spec start_link(module(), term(), keyword()) :: GenServer.on_start()
  def start_link(module, argument, opts) do
    {name, opts} = Keyword.pop(opts, :name)
    GenServer.start_link(__MODULE__, {module, argument, opts}, if(name, do: [name: name], else: []))
  end

  @doc "The offset behind the last batch that was handled."
  @spec committed_offset(GenServer.server()) :: DurableStreams.Stream.offset()
  def committed_offset(consumer), do: GenServer.call(consumer, :committed_offset)

  @doc "The state of the callbacks."
  @spec callback_state(GenServer.server()) :: state()
  def callback_state(consumer), do: GenServer.call(consumer, :callback_state)

  @doc "Asks for no further batch until `resume/1`."
  @spec pause(GenServer.server()) :: :ok
  def pause(consumer), do: GenServer.call(consumer, :pause)

  @doc "Goes on after `pause/1`."
  @spec resume(GenServer.server()) :: :ok
  def resume(consumer), do: GenServer.call(consumer, :resume)

  @doc "Stops the consumer, and its request with it."
  @spec stop(GenServer.server(), timeout()) :: :ok
  def stop(consumer, timeout \\ 5_000), do: GenServer.stop(consumer, :normal, timeout)

  # -- the process -------------------------------------------------------------------------

  @impl true
  def init({module, argument, opts}) do
    opts =
      Keyword.validate!(opts, [
        :stream,
        live: :long_poll,
        offset: "-1",
        backoff_base: 1_000,
        backoff_max: 30_000
      ])

    case module.init(argument) do
      {:ok, callback_state} ->
        state = %{
          module: module,
          callbacks: callback_state,
          stream: Keyword.fetch!(opts, :stream),
          live: opts[:live],
          offset: opts[:offset],
          base: opts[:backoff_base],
          max: opts[:backoff_max],
          failures: 0,
          reader: nil,
          # The pull under way, as {ref, operation}; a batch that came during a pause.
          pull: nil,
          held: nil,
          paused: false,
          up_to_date: false
        }

        {:ok, state, {:continue, :connect}}

      {:stop, reason} ->
        {:stop, reason}

      :ignore ->
        :ignore
    end
  end

  @impl true
  def handle_continue(:connect, state), do: connect(state)

  @impl true
  def handle_call(:committed_offset, _from, state), do: {:reply, state.offset, state}
  def handle_call(:callback_state, _from, state), do: {:reply, state.callbacks, state}

  def handle_call(:pause, _from, state), do: {:reply, :ok, %{state | paused: true}}

  def handle_call(:resume, from, state) do
    GenServer.reply(from, :ok)
    state = %{state | paused: false}

    case state do
      %{held: nil, pull: nil, reader: reader} when reader != nil -> {:noreply, pull(state)}
      %{held: nil} -> {:noreply, state}
      %{held: outcome} -> outcome(outcome, %{state | held: nil})
    end
  end

  @impl true
  def handle_info({ref, result}, %{pull: {ref, _operation}} = state) do
    state = %{state | pull: nil}
    outcome = Error.from_native(result)
    if state.paused, do: {:noreply, %{state | held: outcome}}, else: outcome(outcome, state)
  end

  def handle_info(:reconnect, %{reader: nil} = state), do: connect(state)
  def handle_info(_other, state), do: {:noreply, state}

  @impl true
  def terminate(_reason, %{reader: reader}) when reader != nil, do: Native.reader_close(reader)
  def terminate(_reason, _state), do: :ok

  defp connect(state) do
    with {:ok, read} <- Batches.read(state.stream, [offset: state.offset, live: state.live], :off),
         {:ok, reader} <- Batches.open(read) do
      {:noreply, pull(%{state | reader: reader, up_to_date: false})}
    else
      {:error, error} -> failed(error, state)
    end
  end

  defp pull(%{paused: true} = state), do: state

  defp pull(state) do
    ref = make_ref()
    %{state | pull: {ref, Native.reader_next(ref, state.reader, :auto)}}
  end

  defp outcome({:ok, nil}, state), do: {:stop, :normal, state}
  defp outcome({:error, error}, state), do: failed(error, state)

  defp outcome({:ok, batch}, state) do
    state = %{state | failures: 0}

    with {:ok, callbacks} <- handle_batch(batch, state),
         state = %{state | callbacks: callbacks, offset: batch.offset},
         {:ok, callbacks} <- handle_up_to_date(batch, state) do
      state = %{state | callbacks: callbacks, up_to_date: batch.up_to_date}
      if batch.stream_closed, do: {:stop, :normal, state}, else: {:noreply, pull(state)}
    else
      {:stop, reason, callbacks} -> {:stop, reason, %{state | callbacks: callbacks}}
    end
  end

  defp handle_batch(%{data: empty}, state) when empty in ["", "[]"], do: {:ok, state.callbacks}
  defp handle_batch(batch, state), do: state.module.handle_batch(batch, state.callbacks)

  defp handle_up_to_date(%{up_to_date: true}, %{up_to_date: false, module: module} = state) do
    if function_exported?(module, :handle_up_to_date, 1),
      do: module.handle_up_to_date(state.callbacks),
      else: {:ok, state.callbacks}
  end

  defp handle_up_to_date(_batch, state), do: {:ok, state.callbacks}

  defp failed(error, state) do
    if state.reader, do: Native.reader_close(state.reader)
    state = %{state | reader: nil, pull: nil}

    case state.module.handle_error(error.reason, state.callbacks) do
      {:reconnect, callbacks} ->
        Process.send_after(self(), :reconnect, pause_after(state))
        {:noreply, %{state | callbacks: callbacks, failures: state.failures + 1}}

      {:stop, reason, callbacks} ->
        {:stop, reason, %{state | callbacks: callbacks}}
    end
  end

  defp pause_after(state) do
    pause = min(state.base * Integer.pow(2, min(state.failures, 20)), state.max)
    round(pause * (0.75 + :rand.uniform() * 0.5))
  end
end
