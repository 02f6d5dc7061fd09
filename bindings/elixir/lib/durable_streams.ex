defmodule DurableStreams do
  @moduledoc """
  Append-only streams, addressed by URL: on a server elsewhere, or on the engine inside this VM.

  The same functions serve both. What comes first decides:

  | first argument | |
  |---|---|
  | `"http://…"`, `"https://…"` | a stream of a server: the client |
  | a handle, `DurableStreams.Client.stream/2` | the same |
  | any other string | the id of a stream in this VM, which starts with the application |

  ## In this VM

      {:ok, "events"} = DurableStreams.create("events", content_type: "text/plain")
      {:ok, offset} = DurableStreams.append("events", "user logged in")
      {:ok, result} = DurableStreams.read("events", "-1")
      result.data # => "user logged in"

  `DurableStreams.StreamManager` says what these take and return, `DurableStreams.Storage` where
  the data lives, `DurableStreams.Protocol.Plug` and `DurableStreams.Server` how to serve it.

  ## Elsewhere

      {:ok, stream} = DurableStreams.create("https://your-server.com/v1/stream/my-stream",
        content_type: "application/json")
      {:ok, %{next_offset: _}} = DurableStreams.append(stream, %{event: "user.created"})

  `DurableStreams.Client`, `DurableStreams.Stream` and `DurableStreams.Writer` are the whole client;
  its errors have names of their own, such as `:stream_not_found`.
  """

  alias DurableStreams.{Client, StreamManager}
  alias DurableStreams.Stream, as: Handle

  @typedoc "A stream identifier (any string)"
  @type stream_id :: StreamManager.stream_id()
  @typedoc "An opaque, lexicographically sortable offset string"
  @type offset :: StreamManager.offset()
  @typedoc "Result of a read operation"
  @type read_result :: StreamManager.read_result()
  @typedoc "A stream's URL, or a handle of it"
  @type remote :: String.t() | Handle.t()

  @doc "Aliases `Client`, `DS` (the stream handle), `Consumer`, `Writer` and the result structs."
  defmacro __using__(_options) do
    quote do
      alias DurableStreams.{AppendResult, Client, Consumer, HeadResult, ReadChunk, Writer}
      alias DurableStreams.Stream, as: DS
    end
  end

  @doc "The version of this package."
  @spec version() :: String.t()
  def version, do: unquote(Mix.Project.config()[:version])

  @doc """
  Creates a stream.

  In this VM: `{:ok, id}` or `{:error, :already_exists}`; options `:content_type` (default
  `"application/octet-stream"`) and `:ttl` in seconds, and those of
  `DurableStreams.StreamManager.create/2`. Elsewhere: `{:ok, handle}`; options of
  `DurableStreams.Stream.create/2`.

      {:ok, "my-stream"} = DurableStreams.create("my-stream")
      {:ok, "json-stream"} = DurableStreams.create("json-stream", content_type: "application/json")
      {:error, :already_exists} = DurableStreams.create("my-stream")
  """
  @spec create(stream_id() | remote(), keyword()) :: {:ok, stream_id() | Handle.t()} | {:error, term()}
  def create(target, options \\ []) do
    case resolve(target) do
      {:remote, handle} -> Handle.create(handle, options)
      {:local, id} -> StreamManager.create(id, options)
    end
  end

  @doc """
  Appends data to a stream.

  In this VM `data` is a binary, and `{:ok, offset}` tells the position behind it; option `:seq`.
  Elsewhere it may also be a map or a list, and the result is `{:ok, %{next_offset: offset}}`.

      {:ok, offset} = DurableStreams.append("my-stream", "Hello!")
      {:error, :not_found} = DurableStreams.append("nonexistent", "data")
      {:error, :closed} = DurableStreams.append("closed-stream", "data")
  """
  @spec append(stream_id() | remote(), term(), keyword()) :: {:ok, offset() | map()} | {:error, term()}
  def append(target, data, options \\ []) do
    case resolve(target) do
      {:remote, handle} -> Handle.append(handle, data, options)
      {:local, id} -> StreamManager.append(id, data, options)
    end
  end

  @doc """
  Reads data from a stream starting after the given offset; `"-1"` is the beginning.

  In this VM: `{:ok, %{data: _, offset: _, has_more: _, closed: _}}`; options `:live` (waits for new
  data when true, default false) and `:timeout` (for that, in milliseconds, default 30_000).
  Elsewhere: `DurableStreams.Stream.read/2`.
  """
  @spec read(stream_id() | remote(), offset(), keyword()) ::
          {:ok, read_result() | struct()} | {:error, term()}
  def read(target, offset, options \\ []) do
    case resolve(target) do
      {:remote, handle} -> Handle.read(handle, Keyword.put(options, :offset, offset))
      {:local, id} -> StreamManager.read(id, offset, options)
    end
  end

  @doc """
  Closes a stream, preventing further appends.

  Reading a closed stream still works; at its end the result says `closed: true`.
  In this VM: `:ok` or `{:error, :not_found}`. Elsewhere: `{:ok, %{final_offset: offset}}`.
  """
  @spec close(stream_id() | remote()) :: :ok | {:ok, map()} | {:error, term()}
  def close(target) do
    case resolve(target) do
      {:remote, handle} -> Handle.close(handle)
      {:local, id} -> StreamManager.close(id)
    end
  end

  @doc "Deletes a stream and all its data."
  @spec delete(stream_id() | remote()) :: :ok | {:error, term()}
  def delete(target) do
    case resolve(target) do
      {:remote, handle} -> Handle.delete(handle)
      {:local, id} -> StreamManager.delete(id)
    end
  end

  @doc """
  Gets the metadata for a stream.

  In this VM: `{:ok, %DurableStreams.Stream{}}` with `id`, `content_type`, `created_at`, `closed`,
  `ttl` and more. Elsewhere: `DurableStreams.Stream.head/2`.
  """
  @spec get_metadata(stream_id() | remote()) :: {:ok, Handle.t() | map()} | {:error, term()}
  def get_metadata(target) do
    case resolve(target) do
      {:remote, handle} -> Handle.head(handle)
      {:local, id} -> StreamManager.get_metadata(id)
    end
  end

  # Metadata of a stream in this VM has an id, a handle has none.
  defp resolve(%Handle{id: id}) when is_binary(id), do: {:local, id}
  defp resolve(%Handle{} = handle), do: {:remote, handle}
  defp resolve("http://" <> _ = url), do: {:remote, handle(url)}
  defp resolve("https://" <> _ = url), do: {:remote, handle(url)}
  defp resolve(id) when is_binary(id), do: {:local, id}

  defp handle(url), do: url |> Client.new() |> Client.stream("")
end
