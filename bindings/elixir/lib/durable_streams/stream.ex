defmodule DurableStreams.Stream do
  @moduledoc """
  A handle to a stream of a server; also what `DurableStreams.get_metadata/1` tells of a stream
  inside this VM.

  A handle is plain data, made by `DurableStreams.Client.stream/2` or `new/2` without any request.

      orders = DurableStreams.Client.stream(client, "/orders")
      {:ok, orders} = DurableStreams.Stream.create(orders, content_type: "application/json")
      {:ok, %{next_offset: _}} = DurableStreams.Stream.append(orders, %{id: 17})
      {:ok, batches} = DurableStreams.Stream.consumer(orders, live: :sse)
      for {:ok, %{items: items}} <- batches, item <- items, do: handle(item)

  Functions return `{:error, reason}`, with the reasons of `DurableStreams.Error`; the same
  functions with a `!` return the bare value, or raise that error.

  Options that all requests know: `:headers`, which replace those of the client and the handle; a
  value may be a function, as in `DurableStreams.Client.new/2`.
  """

  alias DurableStreams.{
    AppendResult,
    Batches,
    Call,
    Client,
    CloseResult,
    Error,
    HeadResult,
    JSON,
    Native,
    ReadChunk
  }

  alias DurableStreams.Request

  @type t :: %__MODULE__{
          client: Client.t() | nil,
          path: String.t() | nil,
          content_type: String.t() | nil,
          headers: Client.headers(),
          params: Client.headers(),
          created: boolean() | nil,
          next_offset: offset() | nil,
          id: String.t() | nil,
          created_at: DateTime.t() | nil,
          closed: boolean(),
          ttl: non_neg_integer() | nil,
          expires_at: DateTime.t() | String.t() | nil,
          earliest_offset: offset() | nil,
          message_count: non_neg_integer() | nil,
          total_bytes: non_neg_integer() | nil,
          retention_policy: keyword() | nil
        }

  @typedoc ~s("-1" is the beginning, "now" the tail; all others come from a server.)
  @type offset :: String.t()

  @typedoc """
  How a read goes on at the tail: it ends, waits with long-polls, or follows server-sent events;
  `:auto` takes what suits the stream. `false` is `:off`, `true` is `:auto`.
  """
  @type live_mode :: :off | :long_poll | :sse | :auto | boolean()

  @type data :: binary() | map() | list()
  @type batch :: %{
          items: [term()] | nil,
          data: binary(),
          offset: offset(),
          cursor: String.t() | nil,
          up_to_date: boolean(),
          stream_closed: boolean(),
          status: pos_integer()
        }

  defstruct [
    # A handle's.
    :client,
    :path,
    :content_type,
    :created,
    :next_offset,
    # Of a stream inside this VM.
    :id,
    :created_at,
    :ttl,
    :expires_at,
    :earliest_offset,
    :message_count,
    :total_bytes,
    :retention_policy,
    closed: false,
    headers: [],
    params: []
  ]

  @octets "application/octet-stream"
  @json "application/json"

  @doc """
  A handle of the stream at `path` below the client's base URL; or, for an id, the metadata of a
  stream inside this VM as given in `fields`.
  """
  @spec new(Client.t() | String.t(), String.t() | keyword()) :: t()
  def new(client_or_id, path_or_fields \\ [])
  def new(%Client{} = client, path) when is_binary(path), do: %__MODULE__{client: client, path: path}
  def new(id, fields) when is_binary(id) and is_list(fields), do: struct!(%__MODULE__{id: id}, fields)

  @doc "The handle's full URL: base URL and path with one `/` between them."
  @spec url(t()) :: String.t()
  def url(%__MODULE__{path: "http://" <> _ = url}), do: url
  def url(%__MODULE__{path: "https://" <> _ = url}), do: url
  def url(%__MODULE__{client: %Client{base_url: base}, path: ""}), do: base

  def url(%__MODULE__{client: %Client{base_url: base}, path: path}),
    do: base <> "/" <> String.trim_leading(path, "/")

  @doc "The handle with a content type for what it appends."
  @spec with_content_type(t(), String.t()) :: t()
  def with_content_type(%__MODULE__{} = stream, content_type), do: %{stream | content_type: content_type}

  @doc "As `with_content_type/2`."
  @spec set_content_type(t(), String.t()) :: t()
  def set_content_type(stream, content_type), do: with_content_type(stream, content_type)

  @doc "The handle with further headers for all its requests."
  @spec with_headers(t(), Client.headers()) :: t()
  def with_headers(%__MODULE__{} = stream, headers),
    do: %{stream | headers: Enum.to_list(stream.headers) ++ Enum.to_list(headers)}

  @doc "The handle with further query parameters for all its requests."
  @spec with_params(t(), Client.headers()) :: t()
  def with_params(%__MODULE__{} = stream, params),
    do: %{stream | params: Enum.to_list(stream.params) ++ Enum.to_list(params)}

  @doc "Whether the stream holds JSON messages."
  @spec json_mode?(t()) :: boolean()
  def json_mode?(%__MODULE__{content_type: nil}), do: false
  def json_mode?(%__MODULE__{content_type: content_type}), do: media_type(content_type) == @json

  @doc "Whether a content type is the stream's; parameters and case do not count."
  @spec content_type_matches?(t(), String.t()) :: boolean()
  def content_type_matches?(%__MODULE__{content_type: own}, other),
    do: own != nil and media_type(own) == media_type(other)

  defp media_type(content_type),
    do: content_type |> String.split(";", parts: 2) |> hd() |> String.trim() |> String.downcase()

  # -- create ------------------------------------------------------------------------------

  @doc """
  Creates the stream. The same settings on a stream that exists are success; the handle's
  `created` tells the two apart. Source: protocol.md §5, §21.

    * `:content_type` - default: the handle's, else `"application/octet-stream"`
    * `:ttl_seconds` - sliding time to live. Units: seconds
    * `:expires_at` - fixed deadline: a `DateTime`, or RFC 3339 text
    * `:data` - first data, as `append/3` takes it
    * `:closed` - creates it closed
    * `:fork_from`, `:fork_offset`, `:fork_sub_offset` - a fork: the source's path or URL on the
      same server, where it diverges, and how many bytes or messages into the unit there

  Errors: `:stream_exists`, `:stream_not_found` (a fork's source), `{:invalid_argument, _}`.
  """
  @spec create(t(), keyword()) :: {:ok, t()} | {:error, term()}
  def create(%__MODULE__{} = stream, opts \\ []), do: stream |> do_create(opts) |> Error.plain()

  @doc "As `create/2`, raising `DurableStreams.Error`."
  @spec create!(t(), keyword()) :: t()
  def create!(%__MODULE__{} = stream, opts \\ []), do: stream |> do_create(opts) |> Error.bang()

  defp do_create(stream, opts) do
    opts =
      Keyword.validate!(opts, [
        :content_type,
        :ttl_seconds,
        :expires_at,
        :closed,
        :data,
        :headers,
        :fork_from,
        :fork_offset,
        :fork_sub_offset
      ])

    content_type = opts[:content_type] || stream.content_type || default_type(opts)

    with {:ok, body} <- first_body(opts[:data]) do
      settings = Request.settings(stream, opts[:headers])

      fields = %{
        content_type: content_type,
        ttl_seconds: opts[:ttl_seconds],
        expires_at: deadline(opts[:expires_at]),
        closed: opts[:closed] == true,
        body: body,
        fork_from: opts[:fork_from],
        fork_offset: opts[:fork_offset],
        fork_sub_offset: opts[:fork_sub_offset]
      }

      with {:ok, made} <- call(&Native.create(&1, settings, fields)) do
        {:ok,
         %{
           stream
           | content_type: made.content_type || content_type,
             created: made.is_new,
             closed: made.stream_closed,
             next_offset: made.next_offset
         }}
      end
    end
  end

  # A fork has the type of its source; a value makes JSON of a type that nobody stated.
  defp default_type(opts) do
    cond do
      opts[:fork_from] -> nil
      is_map(opts[:data]) or is_list(opts[:data]) -> @json
      true -> @octets
    end
  end

  defp first_body(nil), do: {:ok, nil}
  defp first_body(data), do: body(data)

  defp deadline(%DateTime{} = instant), do: DateTime.to_iso8601(instant)
  defp deadline(other), do: other

  # -- append ------------------------------------------------------------------------------

  @doc """
  Appends data and returns once the server has stored it. Source: protocol.md §6.

  Shape: a binary is sent as it is (on a JSON stream the text of an array becomes one message per
  element); a map becomes one JSON message; a list one JSON message per element.

    * `:seq` - writer coordination: must be greater, as text, than the last one
    * `:producer_id`, `:epoch`, `:producer_seq` - numbers of an idempotent producer that counts
      itself; `DurableStreams.Writer` does it for you
    * `:if_match` - only if the stream still has this entity tag
    * `:content_type` - of the data, instead of the handle's

  Errors: `:stream_not_found`, `:stream_closed`, `:seq_conflict`, `:content_type_mismatch`,
  `{:json_encode_error, _}`, `{:invalid_argument, _}` for empty data.
  """
  @spec append(t(), data(), keyword()) :: {:ok, AppendResult.t()} | {:error, term()}
  def append(%__MODULE__{} = stream, data, opts \\ []), do: stream |> do_append(data, opts) |> Error.plain()

  @doc "As `append/3`, raising `DurableStreams.Error`."
  @spec append!(t(), data(), keyword()) :: AppendResult.t()
  def append!(%__MODULE__{} = stream, data, opts \\ []), do: stream |> do_append(data, opts) |> Error.bang()

  @doc """
  Appends a term as JSON; options as for `append/3`. A list appends one message per element, any
  other term is one message: a string too.
  """
  @spec append_json(t(), term(), keyword()) :: {:ok, AppendResult.t()} | {:error, term()}
  def append_json(%__MODULE__{} = stream, term, opts \\ []),
    do: stream |> do_append_json(term, opts) |> Error.plain()

  @doc "As `append_json/3`, raising `DurableStreams.Error`."
  @spec append_json!(t(), term(), keyword()) :: AppendResult.t()
  def append_json!(%__MODULE__{} = stream, term, opts \\ []),
    do: stream |> do_append_json(term, opts) |> Error.bang()

  @doc """
  Appends data that is still being made, as one append: stored whole, or not at all. It is sent
  once, since it cannot be made again, while `pieces` goes on; whatever that raises ends the request.

      DurableStreams.Stream.append_stream(stream, File.stream!("measurements.csv", [], 65_536))

  Shape: an enumerable of io data, the bytes one behind the other; on a JSON stream together one
  value, or an array of messages. Options: `:seq`, `:if_match`, `:content_type` and `:headers` of
  `append/3`. Errors: those of `append/3`.
  """
  @spec append_stream(t(), Enumerable.t(iodata()), keyword()) :: {:ok, AppendResult.t()} | {:error, term()}
  def append_stream(%__MODULE__{} = stream, pieces, opts \\ []),
    do: stream |> do_append_stream(pieces, opts) |> Error.plain()

  @doc "As `append_stream/3`, raising `DurableStreams.Error`."
  @spec append_stream!(t(), Enumerable.t(iodata()), keyword()) :: AppendResult.t()
  def append_stream!(%__MODULE__{} = stream, pieces, opts \\ []),
    do: stream |> do_append_stream(pieces, opts) |> Error.bang()

  defp do_append_stream(stream, pieces, opts) do
    opts = Keyword.validate!(opts, [:seq, :headers, :if_match, :content_type])
    settings = Request.settings(stream, opts[:headers])
    ref = make_ref()
    {operation, body} = Native.append_stream(ref, settings, append_fields(opts))

    try do
      # What ends early has its answer already.
      with :ok <- Enum.reduce_while(pieces, :ok, &push_piece(body, &1, &2)), do: push(body, nil)
    catch
      kind, reason ->
        Call.abandon(operation, ref)
        :erlang.raise(kind, reason, __STACKTRACE__)
    end

    operation |> Call.outcome(ref) |> Error.from_native() |> stored()
  end

  defp push_piece(body, piece, :ok) do
    case push(body, IO.iodata_to_binary(piece)) do
      :ok -> {:cont, :ok}
      over -> {:halt, over}
    end
  end

  defp push(body, piece) do
    ref = make_ref()

    case Native.body_push(ref, body, piece) do
      done when is_atom(done) -> done
      operation -> Call.outcome(operation, ref)
    end
  end

  defp do_append(stream, data, opts) when is_binary(data), do: send_append(stream, data, nil, opts)
  defp do_append(stream, data, opts), do: do_append_json(stream, data, opts)

  defp do_append_json(stream, term, opts) do
    with {:ok, text} <- body({:json, term}) do
      # A value says that the stream is one of JSON, unless the handle knows better.
      send_append(stream, text, if(stream.content_type == nil, do: @json), opts)
    end
  end

  defp send_append(stream, body, content_type, opts) do
    opts =
      Keyword.validate!(opts, [:seq, :headers, :producer_id, :epoch, :producer_seq, :if_match, :content_type])

    settings = Request.settings(stream, opts[:headers])

    fields = append_fields(Keyword.put(opts, :content_type, opts[:content_type] || content_type))
    stored(call(&Native.append(&1, settings, body, fields)))
  end

  defp append_fields(opts) do
    %{
      seq: opts[:seq] && to_string(opts[:seq]),
      if_match: opts[:if_match],
      content_type: opts[:content_type],
      producer_id: opts[:producer_id],
      producer_epoch: opts[:epoch],
      producer_seq: opts[:producer_seq]
    }
  end

  defp stored(outcome), do: with({:ok, stored} <- outcome, do: {:ok, struct(AppendResult, stored)})

  # Data as the body of a request.
  defp body(data) when is_binary(data), do: {:ok, data}
  defp body({:json, []}), do: Error.invalid("data: an append needs at least one message")

  defp body({:json, term}) do
    with {:error, reason} <- JSON.encode(term) do
      {:error,
       %Error{reason: reason, code: "INVALID_ARGUMENT", detail: "data: has no JSON form: #{inspect(reason)}"}}
    end
  end

  defp body(data) when is_map(data) or is_list(data), do: body({:json, data})
  defp body(data), do: Error.invalid("data: must be a binary, a map or a list, got: #{inspect(data)}")

  # -- close, head, delete -----------------------------------------------------------------

  @doc """
  Ends the stream for everyone: nothing can be appended any more. Source: protocol.md §7.

    * `:data` - a last append, in the same step
    * `:content_type` - of that data

  Errors: `:stream_not_found`; `:stream_closed` if there is data. Closing again without data is
  success.
  """
  @spec close(t(), keyword()) :: {:ok, CloseResult.t()} | {:error, term()}
  def close(%__MODULE__{} = stream, opts \\ []), do: stream |> do_close(opts) |> Error.plain()

  @doc "As `close/2`, raising `DurableStreams.Error`."
  @spec close!(t(), keyword()) :: CloseResult.t()
  def close!(%__MODULE__{} = stream, opts \\ []), do: stream |> do_close(opts) |> Error.bang()

  defp do_close(stream, opts) do
    opts = Keyword.validate!(opts, [:data, :content_type, :headers])

    with {:ok, body} <- first_body(opts[:data]) do
      settings = Request.settings(stream, opts[:headers])
      fields = %{body: body, content_type: opts[:content_type]}

      with {:ok, closed} <- call(&Native.close_stream(&1, settings, fields)),
           do: {:ok, struct(CloseResult, closed)}
    end
  end

  @doc "Asks for the stream's metadata. Errors: `:stream_not_found`. Source: protocol.md §9."
  @spec head(t(), keyword()) :: {:ok, HeadResult.t()} | {:error, term()}
  def head(%__MODULE__{} = stream, opts \\ []), do: stream |> do_head(opts) |> Error.plain()

  @doc "As `head/2`, raising `DurableStreams.Error`."
  @spec head!(t(), keyword()) :: HeadResult.t()
  def head!(%__MODULE__{} = stream, opts \\ []), do: stream |> do_head(opts) |> Error.bang()

  defp do_head(stream, opts) do
    opts = Keyword.validate!(opts, [:headers])
    settings = Request.settings(stream, opts[:headers])

    with {:ok, head} <- call(&Native.head(&1, settings)) do
      {:ok, struct(HeadResult, Map.put(head, :offset, head.next_offset))}
    end
  end

  @doc "Deletes the stream with all its data. Errors: `:stream_not_found`. Source: protocol.md §8."
  @spec delete(t(), keyword()) :: :ok | {:error, term()}
  def delete(%__MODULE__{} = stream, opts \\ []), do: stream |> do_delete(opts) |> Error.plain()

  @doc "As `delete/2`, raising `DurableStreams.Error`."
  @spec delete!(t(), keyword()) :: :ok
  def delete!(%__MODULE__{} = stream, opts \\ []), do: stream |> do_delete(opts) |> Error.bang()

  defp do_delete(stream, opts) do
    opts = Keyword.validate!(opts, [:headers])
    settings = Request.settings(stream, opts[:headers])
    call(&Native.delete(&1, settings))
  end

  defp call(start), do: start |> Call.await() |> Error.from_native()

  # -- read --------------------------------------------------------------------------------

  @doc """
  A lazy enumerable of batches, pulled one at a time: `{:ok, batch}`, or a last `{:error, reason}`.

  A batch of a JSON stream has `items`, decoded; one of any other stream has `items: nil`. Both have
  `data`, the bytes (of JSON: its text), and `offset`, from which a later read goes on. Nothing is
  sent before the first batch is wanted; halting (`Enum.take/2`, a raise, the end of the process)
  ends the read at once. A live one goes on until the stream is closed; a wait that brought nothing
  is an empty batch.

  A number that no float of the VM can hold stands in `items` as its text.

    * `:offset` - where to start. Default: `"-1"`
    * `:live` - `t:live_mode/0`. Default: `:off`
    * `:cursor` - of an earlier live read, for caches
    * `:timeout` - limit of every wait for the server. Units: ms. Default: none
    * `:max_batch_bytes` - bound of one batch of a byte stream
    * `:if_none_match` - entity tag of data that the caller holds for this offset
  """
  @spec consumer(t(), keyword()) :: {:ok, Enumerable.t({:ok, batch()} | {:error, term()})} | {:error, term()}
  def consumer(%__MODULE__{} = stream, opts \\ []) do
    with {:ok, read} <- Batches.read(stream, opts, :off) |> Error.plain() do
      {:ok, Batches.stream(read)}
    end
  end

  @doc "As `consumer/2`, but the enumerable itself, of bare batches; it raises `DurableStreams.Error`."
  @spec consumer!(t(), keyword()) :: Enumerable.t(batch())
  def consumer!(%__MODULE__{} = stream, opts \\ []),
    do: stream |> Batches.read(opts, :off) |> Error.bang() |> Batches.stream(:auto, &Error.bang/1)

  @doc """
  Reads one unit; options as for `consumer/2`. With `live: :long_poll` or `:sse` it waits for data,
  at most `:timeout` ms, else as long as the server lets a long-poll wait.

  Errors: `:stream_not_found`, `{:gone, _}`, `{:bad_request, _}` (the offset), `:timeout`.
  """
  @spec read(t(), keyword()) :: {:ok, ReadChunk.t()} | {:error, term()}
  def read(%__MODULE__{} = stream, opts \\ []), do: stream |> do_read(opts) |> Error.plain()

  @doc "As `read/2`, raising `DurableStreams.Error`."
  @spec read!(t(), keyword()) :: ReadChunk.t()
  def read!(%__MODULE__{} = stream, opts \\ []), do: stream |> do_read(opts) |> Error.bang()

  defp do_read(stream, opts) do
    with {:ok, read} <- Batches.read(stream, opts, :off),
         {:ok, batch} <- Batches.one(read, :never),
         do: {:ok, chunk(batch)}
  end

  @doc """
  Reads all there is, in units; options as for `consumer/2`, and `:max_chunks` (100), after which
  it stops.
  """
  @spec read_all(t(), keyword()) :: {:ok, [ReadChunk.t()]} | {:error, term()}
  def read_all(%__MODULE__{} = stream, opts \\ []), do: stream |> do_read_all(opts) |> Error.plain()

  @doc "As `read_all/2`, raising `DurableStreams.Error`."
  @spec read_all!(t(), keyword()) :: [ReadChunk.t()]
  def read_all!(%__MODULE__{} = stream, opts \\ []), do: stream |> do_read_all(opts) |> Error.bang()

  defp do_read_all(stream, opts) do
    {most, opts} = Keyword.pop(opts, :max_chunks, 100)

    with {:ok, read} <- Batches.read(stream, opts, :off),
         {:ok, batches} <- Batches.all(read, :never, most),
         do: {:ok, Enum.map(batches, &chunk/1)}
  end

  @doc """
  Reads one unit as JSON, whatever the stream's type says; options as for `read/2`.

  Errors: those of `read/2`; `{:json_decode_error, _}`.
  """
  @spec read_json(t(), keyword()) ::
          {:ok, {[term()], %{next_offset: offset(), up_to_date: boolean()}}} | {:error, term()}
  def read_json(%__MODULE__{} = stream, opts \\ []), do: stream |> do_read_json(opts) |> Error.plain()

  @doc "As `read_json/2`, raising `DurableStreams.Error`."
  @spec read_json!(t(), keyword()) :: {[term()], %{next_offset: offset(), up_to_date: boolean()}}
  def read_json!(%__MODULE__{} = stream, opts \\ []), do: stream |> do_read_json(opts) |> Error.bang()

  defp do_read_json(stream, opts) do
    with {:ok, read} <- Batches.read(stream, opts, :off),
         {:ok, batch} <- Batches.one(read, :always) do
      {:ok, {batch.items, %{next_offset: batch.offset, up_to_date: batch.up_to_date}}}
    end
  end

  @doc """
  A lazy enumerable of `DurableStreams.ReadChunk`; options as for `consumer/2`, but `:live` is
  `:long_poll` by default. Raises `DurableStreams.Error`; waits that bring nothing are not told.
  """
  @spec enumerate(t(), keyword()) :: Enumerable.t(ReadChunk.t())
  def enumerate(%__MODULE__{} = stream, opts \\ []) do
    read = stream |> Batches.read(opts, :long_poll) |> Error.bang()

    read
    |> Batches.stream(:never, &Error.bang/1)
    |> Stream.reject(&(&1.data == "" and not &1.stream_closed))
    |> Stream.map(&chunk/1)
  end

  defp chunk(batch) do
    %ReadChunk{
      data: batch.data,
      next_offset: batch.offset,
      up_to_date: batch.up_to_date,
      status: batch.status,
      stream_closed: batch.stream_closed,
      cursor: batch.cursor
    }
  end
end
