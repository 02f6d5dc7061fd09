defmodule DurableStreams.LiveView do
  @moduledoc """
  Follows a stream of this VM from a LiveView.

      def mount(%{"room" => room}, _session, socket) do
        socket = DurableStreams.LiveView.init(socket, offset: "-1")
        socket = if connected?(socket), do: DurableStreams.LiveView.listen(socket, room), else: socket
        {:ok, stream(socket, :messages, [])}
      end

      def handle_info(message, socket) do
        if DurableStreams.LiveView.stream_message?(message) do
          case DurableStreams.LiveView.handle_message(message, socket) do
            {:data, messages, socket} -> {:noreply, Enum.reduce(messages, socket, &show/2)}
            {:status, _status, socket} -> {:noreply, socket}
            {:complete, socket} -> {:noreply, socket}
            {:error, _reason, socket} -> {:noreply, socket}
          end
        else
          {:noreply, socket}
        end
      end

  A process linked to the LiveView reads, one page at a time: the next one is read once the LiveView
  has handled the last, so that a busy LiveView is not flooded. What this module knows stands in
  assigns that begin with `ds_`, so it can be shown. Phoenix is not needed to compile it.

  A message is `%{data: text, offset: offset}`, as `DurableStreams.StreamManager.read_messages/3`
  returns it.
  """

  alias DurableStreams.StreamManager

  @typedoc "Whatever has assigns: a `Phoenix.LiveView.Socket`."
  @type socket :: %{:assigns => map(), optional(atom()) => term()}

  @typedoc """
  `:idle` before `listen/3` and after `stop/1`; `:catching_up` while there is more to read at once;
  `:live` when all there was has been handed out; then `:complete`, when the stream is closed, or
  `:error`.
  """
  @type status :: :idle | :catching_up | :live | :complete | :error

  @doc "Sets the assigns. Option `:offset`, where to start (default `\"-1\"`)."
  @spec init(socket(), keyword()) :: socket()
  def init(socket, options \\ []) do
    options = Keyword.validate!(options, offset: "-1")

    assign(socket,
      ds_stream_id: nil,
      ds_offset: options[:offset],
      ds_status: :idle,
      ds_error: nil,
      ds_reader: nil
    )
  end

  @doc """
  Starts reading; what was read before is stopped. Option `:offset`, where to start; by default
  where this socket has got to.
  """
  @spec listen(socket(), StreamManager.stream_id(), keyword()) :: socket()
  def listen(socket, id, options \\ []) when is_binary(id) do
    socket = stop(socket)
    offset = Keyword.validate!(options, offset: socket.assigns.ds_offset)[:offset]
    {owner, ref} = {self(), make_ref()}
    pid = spawn_link(fn -> read(owner, ref, id, offset, :catching_up) end)

    assign(socket,
      ds_stream_id: id,
      ds_offset: offset,
      ds_status: :catching_up,
      ds_error: nil,
      ds_reader: {pid, ref}
    )
  end

  @doc "Stops reading; `listen/3` goes on from the offset reached."
  @spec stop(socket()) :: socket()
  def stop(%{assigns: %{ds_reader: {pid, _}}} = socket) do
    Process.unlink(pid)
    Process.exit(pid, :kill)
    assign(socket, ds_reader: nil, ds_status: :idle)
  end

  def stop(socket), do: socket

  @doc "Stops reading and forgets the stream and the offset."
  @spec reset(socket()) :: socket()
  def reset(socket), do: socket |> stop() |> init()

  @doc "Whether a message is one for `handle_message/2`."
  @spec stream_message?(term()) :: boolean()
  def stream_message?({__MODULE__, ref, _}) when is_reference(ref), do: true
  def stream_message?(_), do: false

  @doc "Takes a message; says what it brought."
  @spec handle_message(term(), socket()) ::
          {:data, [StreamManager.message()], socket()}
          | {:status, status(), socket()}
          | {:complete, socket()}
          | {:error, StreamManager.reason() | Exception.t(), socket()}
  def handle_message({__MODULE__, ref, news}, %{assigns: %{ds_reader: {pid, ref}}} = socket) do
    case news do
      {:data, messages, offset} ->
        send(pid, {ref, :next})
        {:data, messages, assign(socket, ds_offset: offset)}

      {:status, status} ->
        {:status, status, assign(socket, ds_status: status)}

      :complete ->
        {:complete, assign(socket, ds_status: :complete, ds_reader: nil)}

      {:error, reason} ->
        {:error, reason, assign(socket, ds_status: :error, ds_error: reason, ds_reader: nil)}
    end
  end

  # Of a reader that was stopped meanwhile.
  def handle_message({__MODULE__, _, _}, socket), do: {:status, socket.assigns.ds_status, socket}

  @doc "How far reading is."
  @spec status(socket()) :: status()
  def status(socket), do: socket.assigns.ds_status

  @doc "The stream that is read, or was last."
  @spec stream_id(socket()) :: StreamManager.stream_id() | nil
  def stream_id(socket), do: socket.assigns.ds_stream_id

  @doc "The offset behind the last message handled."
  @spec offset(socket()) :: StreamManager.offset()
  def offset(socket), do: socket.assigns.ds_offset

  @doc "Whether messages may still come."
  @spec listening?(socket()) :: boolean()
  def listening?(socket), do: socket.assigns.ds_reader != nil

  defp read(owner, ref, id, offset, status) do
    case StreamManager.read_messages(id, offset, live: status == :live) do
      {:ok, page} ->
        hand_over(owner, ref, page)
        status = if page.has_more, do: status, else: tell_live(owner, ref, status)
        if page.closed, do: tell(owner, ref, :complete), else: read(owner, ref, id, page.offset, status)

      {:error, reason} ->
        tell(owner, ref, {:error, reason})
    end
  rescue
    # Linked, it would take the LiveView with it.
    error -> tell(owner, ref, {:error, error})
  end

  defp hand_over(_owner, _ref, %{messages: []}), do: :ok

  defp hand_over(owner, ref, page) do
    tell(owner, ref, {:data, page.messages, page.offset})
    receive do: ({^ref, :next} -> :ok)
  end

  defp tell_live(_owner, _ref, :live), do: :live

  defp tell_live(owner, ref, :catching_up) do
    tell(owner, ref, {:status, :live})
    :live
  end

  defp tell(owner, ref, news), do: send(owner, {__MODULE__, ref, news})

  # Phoenix's own function notes what has changed.
  defp assign(socket, values) do
    if Code.ensure_loaded?(Phoenix.Component),
      do: apply(Phoenix.Component, :assign, [socket, values]),
      else: %{socket | assigns: Map.merge(socket.assigns, Map.new(values))}
  end
end
