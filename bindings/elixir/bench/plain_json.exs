defmodule PlainJSON do
  @moduledoc "JSON in plain Elixir, as libraries write it: for benchmarks, where none can be installed."

  # -- encoding: to io data --------------------------------------------------------------

  def encode(nil), do: "null"
  def encode(true), do: "true"
  def encode(false), do: "false"
  def encode(text) when is_binary(text), do: [?", escape(text, text, 0, 0), ?"]
  def encode(number) when is_integer(number), do: Integer.to_string(number)
  def encode(number) when is_float(number), do: Float.to_string(number)
  def encode([]), do: "[]"
  def encode([first | rest]), do: [?[, encode(first) | more(rest)]

  def encode(map) when is_map(map) do
    case Map.to_list(map) do
      [] -> "{}"
      [first | rest] -> [?{, pair(first) | pairs(rest)]
    end
  end

  defp more([]), do: [?]]
  defp more([item | rest]), do: [?,, encode(item) | more(rest)]
  defp pairs([]), do: [?}]
  defp pairs([item | rest]), do: [?,, pair(item) | pairs(rest)]
  defp pair({key, value}), do: [?", escape(key, key, 0, 0), ?", ?:, encode(value)]

  # Stretches without anything to escape are parts of the original.
  defp escape(<<byte, rest::binary>>, whole, start, length) when byte >= 0x20 and byte not in [?", ?\\],
    do: escape(rest, whole, start, length + 1)

  defp escape(<<>>, whole, 0, _length), do: whole
  defp escape(<<>>, whole, start, length), do: binary_part(whole, start, length)

  defp escape(<<byte, rest::binary>>, whole, start, length),
    do: [binary_part(whole, start, length), escaped(byte) | escape(rest, whole, start + length + 1, 0)]

  defp escaped(?"), do: "\\\""
  defp escaped(?\\), do: "\\\\"
  defp escaped(byte), do: "\\u" <> String.pad_leading(Integer.to_string(byte, 16), 4, "0")

  # -- decoding ----------------------------------------------------------------------------

  def decode(text) do
    {value, rest} = value(text)
    "" = String.trim(rest)
    value
  end

  defp value(<<space, rest::binary>>) when space in ' \t\r\n', do: value(rest)
  defp value(<<?", rest::binary>>), do: string(rest, rest, 0)
  defp value(<<?{, rest::binary>>), do: object(rest, [])
  defp value(<<"[]", rest::binary>>), do: {[], rest}
  defp value(<<?[, rest::binary>>), do: array(rest, [])
  defp value(<<"true", rest::binary>>), do: {true, rest}
  defp value(<<"false", rest::binary>>), do: {false, rest}
  defp value(<<"null", rest::binary>>), do: {nil, rest}
  defp value(text), do: number(text, text, 0, false)

  defp array(text, items) do
    {item, rest} = value(text)

    case rest do
      <<?,, rest::binary>> -> array(rest, [item | items])
      <<?], rest::binary>> -> {Enum.reverse([item | items]), rest}
    end
  end

  defp object(<<?}, rest::binary>>, []), do: {%{}, rest}

  defp object(<<?", text::binary>>, pairs) do
    {key, <<?:, rest::binary>>} = string(text, text, 0)
    {item, rest} = value(rest)

    case rest do
      <<?,, rest::binary>> -> object(rest, [{key, item} | pairs])
      <<?}, rest::binary>> -> {:maps.from_list([{key, item} | pairs]), rest}
    end
  end

  defp string(<<?", rest::binary>>, whole, length), do: {binary_part(whole, 0, length), rest}
  defp string(<<byte, rest::binary>>, whole, length) when byte != ?\\, do: string(rest, whole, length + 1)

  defp number(<<byte, rest::binary>>, whole, length, float) when byte in ?0..?9 or byte in '-+.eE',
    do: number(rest, whole, length + 1, float or byte in '.eE')

  defp number(rest, whole, length, false), do: {String.to_integer(binary_part(whole, 0, length)), rest}
  defp number(rest, whole, length, true), do: {String.to_float(binary_part(whole, 0, length)), rest}
end
