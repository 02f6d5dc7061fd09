defmodule DurableStreams.Error do
  @moduledoc """
  What functions with a `!` raise. `reason` is what the same function without it returns in
  `{:error, reason}`; the other fields say what else is known.

  | `reason` | when |
  |---|---|
  | `:stream_not_found` | there is no such stream |
  | `:stream_exists` | it exists with other settings |
  | `:stream_closed` | it is closed |
  | `:seq_conflict` | `:seq` is not greater than the last one |
  | `:conflict`, `:content_type_mismatch` | the server holds something else |
  | `:unauthorized`, `:forbidden` | credentials are missing, or not enough |
  | `{:stale_epoch, epoch}` | a writer of the same id has taken over |
  | `{:sequence_gap, expected, received}` | batches of this writer are missing |
  | `{:gone, earliest_offset}` | the data is no longer there; the offset is `nil` if the server does not tell |
  | `{:bad_request, body}` | the server does not accept the request |
  | `{:unexpected_status, status, body}` | any other answer |
  | `{:json_decode_error, text}` | the answer breaks the protocol, or is no JSON |
  | `{:json_encode_error, what}` | the data has no JSON form |
  | `{:invalid_argument, text}` | refused before anything was sent |
  | `{:network_error, text}` | no whole answer arrived |
  | `:timeout` | no answer in time |
  | `:closed` | the writer has ended |
  | `{:internal_error, text}` | a fault of the library or its surroundings |
  | an exception | raised by a function given for a header or parameter |
  """

  @fields [
    :reason,
    :code,
    :detail,
    :status,
    :server_text,
    :url,
    :operation,
    :final_offset,
    :retry_after_ms,
    headers: [],
    may_be_applied: false,
    attempts: 0
  ]

  @type t :: %__MODULE__{
          reason: term(),
          code: String.t() | nil,
          detail: String.t() | nil,
          status: pos_integer() | nil,
          server_text: String.t() | nil,
          url: String.t() | nil,
          operation: String.t() | nil,
          final_offset: String.t() | nil,
          retry_after_ms: non_neg_integer() | nil,
          headers: [{String.t(), String.t()}],
          may_be_applied: boolean(),
          attempts: non_neg_integer()
        }

  defexception @fields

  @impl true
  def exception(fields), do: struct!(__MODULE__, fields)

  @impl true
  def message(%{detail: nil, reason: reason}), do: inspect(reason)
  def message(%{detail: detail, url: nil}), do: detail
  def message(%{detail: detail, url: url, status: nil}), do: "#{detail} (#{url})"
  def message(%{detail: detail, url: url, status: status}), do: "#{detail} (#{url}, status #{status})"

  @doc false
  # The outcome with an exception where the native library gave a map.
  def from_native({:error, %{} = details}), do: {:error, struct(__MODULE__, details)}
  def from_native(outcome), do: outcome

  @doc false
  def invalid(text) do
    {:error, %__MODULE__{reason: {:invalid_argument, text}, code: "INVALID_ARGUMENT", detail: text}}
  end

  @doc false
  # The outcome as functions return it.
  def plain({:error, %__MODULE__{reason: reason}}), do: {:error, reason}
  def plain(outcome), do: outcome

  @doc false
  # The value, or the error raised.
  def bang(:ok), do: :ok
  def bang({:ok, value}), do: value
  def bang({:error, %__MODULE__{reason: reason}}) when is_exception(reason), do: raise(reason)
  def bang({:error, %__MODULE__{} = error}), do: raise(error)
end
