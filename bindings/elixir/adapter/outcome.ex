defmodule DurableStreams.Adapter.Outcome do
  @moduledoc false
  # Results and errors as the runner reads them.

  alias DurableStreams.Error

  defmodule NotSupported do
    @moduledoc false
    defexception [:message]
  end

  # The kit's name of what the code says; the kit has fewer.
  @kit_codes %{
    "NOT_FOUND" => "NOT_FOUND",
    "INVALID_OFFSET" => "INVALID_OFFSET",
    "INVALID_ARGUMENT" => "INVALID_ARGUMENT",
    "ALREADY_CLOSED" => "INVALID_ARGUMENT",
    "ALREADY_EXISTS" => "CONFLICT",
    "CONFLICT" => "CONFLICT",
    "CONTENT_TYPE_MISMATCH" => "CONFLICT",
    "SEQUENCE_CONFLICT" => "SEQUENCE_CONFLICT",
    "SEQUENCE_GAP" => "SEQUENCE_CONFLICT",
    "STREAM_CLOSED" => "STREAM_CLOSED",
    "NETWORK_ERROR" => "NETWORK_ERROR",
    "TIMEOUT" => "TIMEOUT",
    "PARSE_ERROR" => "PARSE_ERROR",
    "OFFSET_WENT_BACKWARDS" => "PARSE_ERROR",
    "NOT_SUPPORTED" => "NOT_SUPPORTED",
    "INTERNAL_ERROR" => "INTERNAL_ERROR",
    "CANCELLED" => "INTERNAL_ERROR"
  }

  # Fields without a value are left out.
  def success(kind, fields \\ %{}) do
    fields |> without_nil() |> Map.merge(%{type: kind, success: true})
  end

  def error(kind, code, message, fields \\ %{}) do
    fields
    |> without_nil()
    |> Map.merge(%{type: "error", success: false, commandType: kind, errorCode: code, message: message})
  end

  def failure(kind, %NotSupported{message: message}), do: error(kind, "NOT_SUPPORTED", message)

  def failure(kind, %Error{} = error) do
    details =
      without_nil(Map.merge(%{finalOffset: error.final_offset, code: error.code}, facts(error.reason)))

    # What the client refuses itself the server would refuse with 400.
    status = error.status || if(kind == "append" and error.code == "INVALID_ARGUMENT", do: 400)
    code = Map.get(@kit_codes, error.code, "UNEXPECTED_STATUS")
    error(kind, code, Exception.message(error), %{status: status, details: details})
  end

  def failure(kind, %ArgumentError{message: message}),
    do: error(kind, "INVALID_ARGUMENT", message, %{details: %{code: "INVALID_ARGUMENT"}})

  def failure(kind, error), do: error(kind, "INTERNAL_ERROR", Exception.message(error))

  defp facts({:stale_epoch, epoch}), do: %{currentEpoch: epoch}
  defp facts({:sequence_gap, expected, received}), do: %{expectedSeq: expected, receivedSeq: received}
  defp facts(_other), do: %{}

  defp without_nil(fields), do: fields |> Enum.reject(fn {_, value} -> value == nil end) |> Map.new()
end
