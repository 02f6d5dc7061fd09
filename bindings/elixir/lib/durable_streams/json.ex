defmodule DurableStreams.JSON do
  @moduledoc false
  # JSON without a dependency: objects are maps with binary keys, `null` is `nil`. Structs are
  # left to `JSON` (Elixir 1.18) or Jason where there is one.

  alias DurableStreams.Native

  # Up to here decoding takes far less than a millisecond. Units: bytes.
  @inline 4096

  @doc "The text of a term."
  @spec encode(term()) :: {:ok, binary()} | {:error, {:json_encode_error, term()}}
  def encode(term) do
    case native(term) do
      {:ok, text} -> {:ok, text}
      {:error, {:unsupported, %_{}}} -> encode_struct(term)
      {:error, what} -> {:error, {:json_encode_error, what}}
    end
  end

  @doc "The term of a text."
  @spec decode(binary()) :: {:ok, term()} | {:error, {:json_decode_error, String.t()}}
  def decode(text) do
    decoded =
      if byte_size(text) <= @inline, do: Native.json_decode(text), else: Native.json_decode_dirty(text)

    case decoded do
      {:ok, term} -> {:ok, term}
      {:error, what, position} -> {:error, {:json_decode_error, "#{what} at byte #{position}"}}
    end
  end

  defp native(term) do
    with :big <- Native.json_encode(term), do: Native.json_encode_dirty(term)
  end

  defp encode_struct(term) do
    library = Enum.find([JSON, Jason], &(Code.ensure_loaded?(&1) and function_exported?(&1, :encode!, 1)))

    if library do
      {:ok, library |> apply(:encode!, [term]) |> IO.iodata_to_binary()}
    else
      with {:error, what} <- native(plain(term)), do: {:error, {:json_encode_error, what}}
    end
  rescue
    # What has no form is named the same whoever was asked.
    error in Protocol.UndefinedError -> {:error, {:json_encode_error, {:unsupported, error.value}}}
    error -> {:error, {:json_encode_error, error}}
  end

  # Dates and times as text; other structs stay, and are refused.
  defp plain(%module{} = value) when module in [Date, Time, DateTime, NaiveDateTime],
    do: module.to_iso8601(value)

  defp plain(%_{} = other), do: other
  defp plain(%{} = map), do: Map.new(map, fn {key, value} -> {key, plain(value)} end)
  defp plain([head | tail]) when is_list(tail), do: [plain(head) | plain(tail)]
  defp plain(other), do: other
end
