defmodule DurableStreams.StreamManager do
  @moduledoc """
  The streams of the engine inside this VM, by id.

  An id is any string. Over HTTP the stream `id` is found under the URL path of that id below the
  mount: `"orders/eu"` is `/v1/stream/orders/eu`. Ids that a URL cannot say (an empty one, or one
  with an empty, `.` or `..` segment) work here and have no nice URL.

  Functions return `{:error, reason}`:

  | reason | |
  |---|---|
  | `:not_found` | there is no stream of this id |
  | `:already_exists` | there is one, with whatever settings |
  | `:closed` | the stream is closed, nothing can follow |
  | `:seq_conflict` | `:seq` is not greater than the last one |
  | `:invalid_offset` | the offset is none that this stream gave |
  | `:gone` | the stream is deleted, but forks made over HTTP still read through it |
  | `{:bad_request, text}` | the data is empty, or no JSON on a JSON stream, … |
  | `{:internal_error, text}` | the storage failed |

  They raise `ArgumentError` for an unknown option, and when no engine is running. Retention
  (`:retention`) is not offered: data is kept until its stream is deleted or expires.
  """

  alias DurableStreams.{Call, Native, Storage}

  @typedoc "A stream identifier (any string)"
  @type stream_id :: String.t()
  @typedoc "An opaque, lexicographically sortable offset string"
  @type offset :: String.t()
  @type read_result :: %{data: binary(), offset: offset(), has_more: boolean(), closed: boolean()}
  @type message :: %{data: binary(), offset: offset()}
  @type messages_result :: %{
          messages: [message()],
          offset: offset(),
          has_more: boolean(),
          closed: boolean()
        }
  @type reason ::
          :not_found
          | :already_exists
          | :closed
          | :seq_conflict
          | :invalid_offset
          | :gone
          | {:bad_request, String.t()}
          | {:internal_error, String.t()}

  @doc """
  Creates a stream.

  Options:

    * `:content_type` - default `"application/octet-stream"`; `"application/json"` makes a stream
      of messages
    * `:ttl` - time to live in seconds since the last read or write; default none
    * `:expires_at` - a `DateTime`, or RFC 3339 text, instead of `:ttl`
    * `:data` - first content
    * `:closed` - whether it is closed at once
  """
  @spec create(stream_id(), keyword()) :: {:ok, stream_id()} | {:error, reason()}
  def create(id, options \\ []) when is_binary(id) do
    refuse!(options, :retention, "data is kept until its stream is deleted or expires")
    refuse!(options, :storage, "set `config :durable_streams, storage: …`, or start a DurableStreams.Storage")
    options = Keyword.validate!(options, [:content_type, :ttl, :expires_at, :data, :closed])

    if options[:ttl] && options[:expires_at] do
      raise ArgumentError, "ttl and expires_at exclude each other; give one"
    end

    settings =
      options
      |> Map.new()
      |> Map.replace_lazy(:expires_at, &deadline/1)
      |> check!(:ttl, &(is_integer(&1) and &1 >= 0), "whole seconds")
      |> check!(:content_type, &is_binary/1, "a string")
      |> check!(:data, &is_binary/1, "a binary")
      |> check!(:closed, &is_boolean/1, "true or false")

    with :ok <- call(&Native.keeper_create(&1, engine(), id, settings)), do: {:ok, id}
  end

  defp deadline(nil), do: nil
  defp deadline(%DateTime{} = at), do: DateTime.to_iso8601(at)
  defp deadline(text) when is_binary(text), do: text

  defp check!(settings, key, fits?, wanted) do
    value = settings[key]

    if value == nil or fits?.(value) do
      settings
    else
      raise ArgumentError, "#{key} must be #{wanted}, got: #{inspect(value)}"
    end
  end

  defp refuse!(options, key, instead) do
    if Keyword.has_key?(options, key),
      do: raise(ArgumentError, "the option #{key} is not offered: #{instead}")
  end

  @doc """
  Appends a binary and returns the offset behind it.

  On a JSON stream the binary is JSON text; an array is taken apart, one message per element.

  Options:

    * `:seq` - a string that must be greater, as text, than that of the append before
  """
  @spec append(stream_id(), binary(), keyword()) :: {:ok, offset()} | {:error, reason()}
  def append(id, data, options \\ []) when is_binary(id) and is_binary(data) do
    seq = Keyword.validate!(options, seq: nil)[:seq]
    call(&Native.keeper_append(&1, engine(), id, data, seq && to_string(seq)))
  end

  @doc """
  Reads the data behind an offset; `"-1"` is the beginning, `"now"` the end.

  The data of a JSON stream is one JSON array. At most about 4 MiB are returned at once;
  `has_more` tells whether there is more at this moment, `closed` whether nothing can follow the
  returned offset.

  Options:

    * `:live` - waits for data when there is none (default: false)
    * `:timeout` - how long, in milliseconds (default: 30_000); then the data is empty
  """
  @spec read(stream_id(), offset(), keyword()) :: {:ok, read_result()} | {:error, reason()}
  def read(id, offset, options \\ []) when is_binary(id) and is_binary(offset) do
    wait = wait!(options)
    call(&Native.keeper_read(&1, engine(), id, offset, wait))
  end

  @doc """
  Reads messages, each with the offset behind it: on a JSON stream the text of each message, on
  others what each append stored. Options are those of `read/3`.

  At most 10,000 messages or about 4 MiB are returned at once. The offset of a message inside a
  batch is understood by `read/3` and `read_messages/3`; over HTTP, offsets lie between appends.
  """
  @spec read_messages(stream_id(), offset(), keyword()) :: {:ok, messages_result()} | {:error, reason()}
  def read_messages(id, offset, options \\ []) when is_binary(id) and is_binary(offset) do
    wait = wait!(options)
    call(&Native.keeper_read_messages(&1, engine(), id, offset, wait))
  end

  defp wait!(options) do
    options = Keyword.validate!(options, live: false, timeout: 30_000)

    case {options[:live], options[:timeout]} do
      {false, _} -> nil
      {live, timeout} when live in [true, :long_poll] and is_integer(timeout) and timeout >= 0 -> timeout
      {live, _} when live in [true, :long_poll] -> raise ArgumentError, "timeout must be milliseconds from 0"
      {other, _} -> raise ArgumentError, "live must be true or false, got: #{inspect(other)}"
    end
  end

  @doc "Closes a stream, preventing further appends; also when it is closed already."
  @spec close(stream_id()) :: :ok | {:error, reason()}
  def close(id) when is_binary(id), do: call(&Native.keeper_close(&1, engine(), id))

  @doc "Deletes a stream and all its data."
  @spec delete(stream_id()) :: :ok | {:error, reason()}
  def delete(id) when is_binary(id), do: call(&Native.keeper_delete(&1, engine(), id))

  @doc """
  What is known of a stream: a `DurableStreams.Stream` with `id`, `content_type`, `created_at`,
  `closed`, `ttl`, `expires_at`, `earliest_offset`, `next_offset` and `total_bytes`.

  `total_bytes` counts what is stored, on JSON streams one byte per message for a separator.
  `message_count` is nil: the engine does not count messages.
  """
  @spec get_metadata(stream_id()) :: {:ok, DurableStreams.Stream.t()} | {:error, reason()}
  def get_metadata(id) when is_binary(id) do
    with {:ok, facts} <- call(&Native.keeper_metadata(&1, engine(), id)) do
      facts =
        facts
        |> Map.merge(%{id: id, created_at: DateTime.from_unix!(facts.created_at, :millisecond)})
        |> Map.update!(:expires_at, &(&1 && DateTime.from_unix!(&1, :millisecond)))

      {:ok, struct!(DurableStreams.Stream, facts)}
    end
  end

  @doc "The offset behind the last append: where a read finds what comes next."
  @spec current_offset(stream_id()) :: {:ok, offset()} | {:error, reason()}
  def current_offset(id) when is_binary(id) do
    with {:ok, facts} <- call(&Native.keeper_metadata(&1, engine(), id)), do: {:ok, facts.next_offset}
  end

  defp engine, do: Storage.engine()

  defp call(start) do
    case Call.await(start) do
      # An operation that broke down tells everything it knows.
      {:error, %{reason: reason}} -> {:error, reason}
      outcome -> outcome
    end
  end
end
