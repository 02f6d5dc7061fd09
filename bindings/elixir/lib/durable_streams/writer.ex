defmodule DurableStreams.Writer do
  @moduledoc """
  Exactly-once writing: messages are collected into batches, batches are numbered and pipelined,
  and whatever has to be repeated is stored once.

      {:ok, writer} =
        DurableStreams.Writer.start_link(stream: stream, producer_id: "order-service-1", auto_claim: true)

      DurableStreams.Writer.append(writer, ~s({"orderId":"123"}))
      :ok = DurableStreams.Writer.flush(writer)

  The process owns the producer: it is there for names, supervision and `:on_error`. Appends and
  flushes do not pass through it, so they do not wait for each other.

  Under a supervisor:

      {DurableStreams.Writer, stream: stream, producer_id: "my-producer", name: MyApp.Writer}

  One that crashed and is started again goes on in the next epoch, whatever `:epoch` says: with the
  old one the server would take its first batches for repeated ones and drop them.

  What was taken is flushed when the supervisor stops the writer, as far as its `:shutdown` time
  allows. A writer that is killed loses what it had not sent.
  """

  use GenServer

  alias DurableStreams.{AppendResult, Call, CloseResult, Error, JSON, Native, Request, Writers}

  require Logger

  @options [
    :stream,
    :producer_id,
    :epoch,
    :auto_claim,
    :max_batch_bytes,
    :max_batch_size,
    :max_in_flight,
    :linger_ms,
    :max_queued_messages,
    :max_queued_bytes,
    :content_type,
    :headers,
    :on_error,
    :shutdown
  ]

  @type t :: GenServer.server()

  @typedoc "A binary is one message as it is; any other term is one message of JSON."
  @type message :: binary() | term()

  @doc """
  Starts a writer. Nothing is sent before the first append.

    * `:stream` - the handle (required)
    * `:producer_id` - who writes; not empty (required)
    * `:name` - of the process
    * `:epoch` - which incarnation of the writer this is. Default: 0
    * `:auto_claim` - takes the stream over from an earlier writer of the same id. Default: false
    * `:max_batch_bytes` - default: 1_048_576. A larger message is sent alone
    * `:max_batch_size` - most messages of a batch. Default: no limit but the bytes
    * `:linger_ms` - longest wait for a batch to fill. Default: 5
    * `:max_in_flight` - most batches under way. Default: 5
    * `:max_queued_messages`, `:max_queued_bytes` - beyond which `append/2` waits for room.
      Default: 1_000_000 and 64 MiB
    * `:content_type` - default: the handle's, else what the server answers
    * `:headers` - of every request
    * `:on_error` - `fn error, messages -> any end`, called in the writer's process: with a
      `DurableStreams.Error` and, where a message was refused before it was taken, that message;
      for a batch that was given up on its way the list is empty. Default: a log entry
    * `:shutdown` - how long to flush when a supervisor stops the writer. Units: ms. Default: 5_000

  Errors: `{:invalid_argument, text}` naming the setting.
  """
  @spec start_link(keyword()) :: GenServer.on_start()
  def start_link(opts) do
    {name, opts} = Keyword.pop(opts, :name)
    GenServer.start_link(__MODULE__, opts, if(name, do: [name: name], else: []))
  end

  @doc "For supervisors: the id is the `:name`, else the `:producer_id`."
  def child_spec(opts) do
    %{
      id: {__MODULE__, opts[:name] || opts[:producer_id]},
      start: {__MODULE__, :start_link, [opts]},
      shutdown: opts[:shutdown] || 5_000
    }
  end

  @doc """
  Takes a message, at once and in the order of the calls; waits only while the queue is full.
  What goes wrong later is told by `:on_error` and by the next `flush/2`.
  """
  @spec append(t(), message()) :: :ok
  def append(writer, message) do
    with pid when is_pid(pid) <- GenServer.whereis(writer),
         {:ok, producer} <- Writers.recall(pid) do
      take(pid, producer, message)
    else
      _elsewhere -> on_node(writer, :append, [message], fn pid, producer -> take(pid, producer, message) end)
    end

    :ok
  end

  @doc "Takes several messages in their order; as `append/2`. A list costs less than its messages one by one."
  @spec append_all(t(), Enumerable.t(message())) :: :ok
  def append_all(writer, messages) do
    on_node(writer, :append_all, [messages], fn pid, producer ->
      take_all(pid, producer, messages)
    end)

    :ok
  end

  # A list crosses into the core a slice of a scheduler's time at a time.
  defp take_all(pid, producer, messages) when is_list(messages) do
    case Native.producer_append_all(producer, messages) do
      :ok ->
        :ok

      {:more, rest} ->
        take_all(pid, producer, rest)

      {:full, waiting, rest} ->
        make_room(waiting)
        take_all(pid, producer, rest)

      {:singly, [message | rest]} ->
        take(pid, producer, message)
        take_all(pid, producer, rest)
    end
  end

  # Anything else may take its time between two messages.
  defp take_all(pid, producer, messages), do: Enum.each(messages, &take(pid, producer, &1))

  defp take(pid, producer, message) when is_binary(message) do
    taken(Native.producer_append(producer, message), pid, message)
  end

  defp take(pid, producer, message) do
    case Native.producer_append_json(producer, message) do
      # Large, or with structs in it.
      :big -> take_encoded(pid, producer, message)
      {:refused, _reason} -> take_encoded(pid, producer, message)
      outcome -> taken(outcome, pid, message)
    end
  end

  defp take_encoded(pid, producer, message) do
    case JSON.encode(message) do
      {:ok, text} -> taken(Native.producer_append(producer, text), pid, message)
      {:error, reason} -> refuse(pid, unencodable(reason), message)
    end
  end

  defp taken(:ok, _pid, _message), do: :ok
  defp taken({:full, waiting}, _pid, _message), do: make_room(waiting)
  defp taken({:error, _} = refused, pid, message), do: refuse(pid, Error.from_native(refused), message)

  defp make_room(waiting), do: Call.await(&Native.producer_room(&1, waiting))

  defp refuse(pid, {:error, error}, message), do: GenServer.cast(pid, {:refused, error, message})

  defp unencodable(reason),
    do:
      {:error,
       %Error{reason: reason, code: "INVALID_ARGUMENT", detail: "data: has no JSON form: #{inspect(reason)}"}}

  @doc """
  Takes a message and waits until the server has stored it. After `timeout` ms it may still be
  stored later.
  """
  @spec append_sync(t(), message(), timeout()) :: {:ok, AppendResult.t()} | {:error, term()}
  def append_sync(writer, message, timeout \\ 30_000),
    do: writer |> do_append_sync(message, timeout) |> Error.plain()

  @doc "As `append_sync/3`, raising `DurableStreams.Error`."
  @spec append_sync!(t(), message(), timeout()) :: AppendResult.t()
  def append_sync!(writer, message, timeout \\ 30_000),
    do: writer |> do_append_sync(message, timeout) |> Error.bang()

  defp do_append_sync(writer, message, timeout) do
    on_node(writer, :append_sync, [message, timeout], fn _pid, producer ->
      with {:ok, text} <- text(message),
           {:ok, stored} <- call(&Native.producer_append_sync(&1, producer, text), timeout) do
        {:ok, result(stored)}
      end
    end)
  end

  defp text(message) when is_binary(message), do: {:ok, message}
  defp text(message), do: with({:error, reason} <- JSON.encode(message), do: unencodable(reason))

  defp result(stored) do
    %AppendResult{
      next_offset: stored.next_offset,
      duplicate: stored.duplicate,
      producer_epoch: stored.epoch,
      producer_seq: stored.seq
    }
  end

  @doc """
  Sends what is collected and waits until all of it is acknowledged.

  Errors: the first failure since the last flush that told one; `:timeout`; `:closed`.
  """
  @spec flush(t(), timeout()) :: :ok | {:error, term()}
  def flush(writer, timeout \\ 30_000), do: writer |> do_flush(timeout) |> Error.plain()

  @doc "As `flush/2`, raising `DurableStreams.Error`."
  @spec flush!(t(), timeout()) :: :ok
  def flush!(writer, timeout \\ 30_000), do: writer |> do_flush(timeout) |> Error.bang()

  defp do_flush(writer, timeout) do
    on_node(writer, :flush, [timeout], fn pid, producer ->
      flushed = call(&Native.producer_flush(&1, producer), timeout)
      # Taken away in any case, so that the next flush starts anew.
      refused = GenServer.call(pid, :take_refusal, timeout)
      if flushed == :ok, do: refused, else: flushed
    end)
  end

  @doc """
  Flushes and stops the process; the stream stays open. The process stops in any case.

  Errors: those of `flush/2`.
  """
  @spec close(t(), timeout()) :: :ok | {:error, term()}
  def close(writer, timeout \\ 30_000), do: writer |> do_close(timeout) |> Error.plain()

  @doc "As `close/2`, raising `DurableStreams.Error`."
  @spec close!(t(), timeout()) :: :ok
  def close!(writer, timeout \\ 30_000), do: writer |> do_close(timeout) |> Error.bang()

  defp do_close(writer, timeout) do
    on_node(writer, :close, [timeout], fn pid, producer ->
      closed = call(&Native.producer_detach(&1, producer), timeout)
      refused = GenServer.call(pid, :take_refusal, timeout)
      Native.producer_drop(producer)
      GenServer.stop(pid, :normal, timeout)
      if closed == :ok, do: refused, else: closed
    end)
  end

  @doc """
  Flushes, then ends the stream for everyone, with a last message if there is one. The process
  stays until `close/2`.
  """
  @spec close_stream(t(), message() | nil, timeout()) :: {:ok, CloseResult.t()} | {:error, term()}
  def close_stream(writer, last \\ nil, timeout \\ 30_000),
    do: writer |> do_close_stream(last, timeout) |> Error.plain()

  @doc "As `close_stream/3`, raising `DurableStreams.Error`."
  @spec close_stream!(t(), message() | nil, timeout()) :: CloseResult.t()
  def close_stream!(writer, last \\ nil, timeout \\ 30_000),
    do: writer |> do_close_stream(last, timeout) |> Error.bang()

  defp do_close_stream(writer, last, timeout) do
    on_node(writer, :close_stream, [last, timeout], fn _pid, producer ->
      with {:ok, text} <- if(last == nil, do: {:ok, nil}, else: text(last)),
           {:ok, closed} <- call(&Native.producer_close_stream(&1, producer, text), timeout) do
        {:ok, struct(CloseResult, closed)}
      end
    end)
  end

  @doc "Flushes and goes on in the next epoch, from sequence number 0."
  @spec restart(t(), timeout()) :: :ok | {:error, term()}
  def restart(writer, timeout \\ 30_000), do: writer |> do_restart(timeout) |> Error.plain()

  @doc "As `restart/2`, raising `DurableStreams.Error`."
  @spec restart!(t(), timeout()) :: :ok
  def restart!(writer, timeout \\ 30_000), do: writer |> do_restart(timeout) |> Error.bang()

  defp do_restart(writer, timeout) do
    on_node(writer, :restart, [timeout], fn _pid, producer ->
      call(&Native.producer_restart(&1, producer), timeout)
    end)
  end

  @doc "The epoch in use."
  @spec epoch(t()) :: non_neg_integer()
  def epoch(writer), do: state!(writer).epoch

  @doc "The sequence number that the next batch will get."
  @spec next_seq(t()) :: non_neg_integer()
  def next_seq(writer), do: state!(writer).next_seq

  @doc "Messages taken that are neither acknowledged nor given up."
  @spec pending_count(t()) :: non_neg_integer()
  def pending_count(writer), do: state!(writer).pending

  @doc "Batches sent and not yet answered for good."
  @spec in_flight_count(t()) :: non_neg_integer()
  def in_flight_count(writer), do: state!(writer).in_flight

  @doc "What the server said to the newest batch it acknowledged."
  @spec last_result(t()) :: AppendResult.t() | nil
  def last_result(writer), do: with(%{} = stored <- state!(writer).last, do: result(stored))

  defp state!(writer), do: writer |> producer_state() |> Error.from_native() |> Error.bang()

  defp producer_state(writer),
    do: on_node(writer, :producer_state, [], fn _pid, producer -> Native.producer_state(producer) end)

  @doc false
  # Runs a function of this module where the writer lives.
  def remote(:append, writer, [message]), do: append(writer, message)
  def remote(:append_all, writer, [messages]), do: append_all(writer, messages)
  def remote(:append_sync, writer, [message, timeout]), do: do_append_sync(writer, message, timeout)
  def remote(:flush, writer, [timeout]), do: do_flush(writer, timeout)
  def remote(:close, writer, [timeout]), do: do_close(writer, timeout)
  def remote(:close_stream, writer, [last, timeout]), do: do_close_stream(writer, last, timeout)
  def remote(:restart, writer, [timeout]), do: do_restart(writer, timeout)
  def remote(:producer_state, writer, []), do: producer_state(writer)

  # Works on the writer's producer in the calling process; on the writer's node if it is another.
  defp on_node(writer, function, arguments, work) do
    case GenServer.whereis(writer) do
      nil ->
        closed()

      {name, node} when node != node() ->
        :erpc.call(node, __MODULE__, :remote, [function, name, arguments])

      pid when is_pid(pid) and node(pid) != node() ->
        :erpc.call(node(pid), __MODULE__, :remote, [function, pid, arguments])

      pid ->
        with {:ok, producer} <- Writers.find(pid), do: work.(pid, producer), else: (:error -> closed())
    end
  end

  defp closed,
    do: {:error, %Error{reason: :closed, code: "ALREADY_CLOSED", detail: "there is no such writer"}}

  defp call(start, timeout), do: start |> Call.await(timeout) |> Error.from_native()

  # -- the process -------------------------------------------------------------------------

  @impl true
  def init(opts) do
    with {:ok, opts} <- Keyword.validate(opts, @options) |> known(),
         {:ok, stream} <- stream(opts[:stream]) do
      # To flush when the supervisor, or whoever is linked, ends.
      Process.flag(:trap_exit, true)
      open(stream, opts)
    else
      {:error, error} -> {:stop, error.reason}
    end
  end

  defp known({:ok, opts}), do: {:ok, opts}
  defp known({:error, unknown}), do: Error.invalid("unknown options #{inspect(unknown)}")

  defp stream(%DurableStreams.Stream{client: %{}} = stream), do: {:ok, stream}
  defp stream(_other), do: Error.invalid("stream: a handle is needed")

  defp open(stream, opts) do
    tag = make_ref()

    fields = %{
      producer_id: opts[:producer_id],
      epoch: Writers.epoch(life(stream, opts), opts[:epoch] || 0),
      auto_claim: opts[:auto_claim] == true,
      max_batch_bytes: opts[:max_batch_bytes],
      max_batch_items: opts[:max_batch_size],
      max_in_flight: opts[:max_in_flight],
      linger_ms: opts[:linger_ms],
      max_queued_messages: opts[:max_queued_messages],
      max_queued_bytes: opts[:max_queued_bytes],
      content_type: opts[:content_type]
    }

    case Native.producer_open(Request.settings(stream, opts[:headers]), fields, tag) do
      {:ok, producer} ->
        :ok = Writers.register(life(stream, opts), producer)

        {:ok,
         %{
           producer: producer,
           tag: tag,
           on_error: opts[:on_error],
           patience: opts[:shutdown] || 5_000,
           refusal: :ok
         }}

      {:error, details} ->
        {:stop, details.reason}
    end
  end

  # What a supervisor starts again after a crash: the next incarnation of the same writer.
  defp life(stream, opts) do
    parent = List.first(Process.get(:"$ancestors", []))
    {parent, DurableStreams.Stream.url(stream), opts[:producer_id]}
  end

  @impl true
  def handle_call(:take_refusal, _from, state), do: {:reply, state.refusal, %{state | refusal: :ok}}

  @impl true
  def handle_cast({:refused, error, message}, state) do
    report(state, error, [message])
    refusal = if state.refusal == :ok, do: {:error, error}, else: state.refusal
    {:noreply, %{state | refusal: refusal}}
  end

  @impl true
  def handle_info({:failed, tag, details}, %{tag: tag} = state) do
    {:error, error} = Error.from_native({:error, details})
    report(state, error, [])
    {:noreply, state}
  end

  # Somebody linked has ended; the supervisor's own exit never comes here.
  def handle_info({:EXIT, _pid, :normal}, state), do: {:noreply, state}
  def handle_info({:EXIT, _pid, reason}, state), do: {:stop, reason, state}
  def handle_info(_other, state), do: {:noreply, state}

  defp report(%{on_error: nil}, error, _messages),
    do: Logger.error("a writer lost messages: #{Exception.message(error)}")

  defp report(%{on_error: on_error}, error, messages) do
    on_error.(error, messages)
  rescue
    raised ->
      Logger.error("on_error of a writer failed: " <> Exception.format(:error, raised, __STACKTRACE__))
  end

  @impl true
  def terminate(_reason, state) do
    case call(&Native.producer_detach(&1, state.producer), state.patience) do
      {:error, %Error{reason: reason} = error} when reason != :closed -> report(state, error, [])
      _ -> :ok
    end

    Native.producer_drop(state.producer)
  end
end
