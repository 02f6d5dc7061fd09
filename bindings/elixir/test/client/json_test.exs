defmodule DurableStreams.JSONTest do
  use ExUnit.Case, async: true

  alias DurableStreams.JSON

  test "values become terms" do
    assert JSON.decode(~s( {"a" : [1, -2.5, 1e3, true, false, null, "x"], "b": {}} )) ==
             {:ok, %{"a" => [1, -2.5, 1000.0, true, false, nil, "x"], "b" => %{}}}

    assert JSON.decode(~S("\u00e9\ud83d\ude00\n\/")) == {:ok, "é😀\n/"}
    assert JSON.decode("123456789012345678901234567890") == {:ok, 123_456_789_012_345_678_901_234_567_890}
    assert JSON.decode("-9223372036854775809") == {:ok, -9_223_372_036_854_775_809}
    assert JSON.decode(~s({"k":1,"k":2})) == {:ok, %{"k" => 2}}
    assert JSON.decode("[]") == {:ok, []}
  end

  test "long strings, many keys and large texts are what they were" do
    object = Map.new(1..200, &{"key-#{&1}", String.duplicate("é", &1)})
    {:ok, text} = JSON.encode([object, object])
    assert byte_size(text) > 64_000
    assert JSON.decode(text) == {:ok, [object, object]}
  end

  test "what is no JSON is refused with its place" do
    for {text, place} <- [
          {"", 0},
          {"[1,]", 3},
          {"{\"a\"}", 4},
          {"tru", 0},
          {"01", 0},
          {"[1 2]", 3},
          {"\"\n\"", 1}
        ] do
      assert {:error, {:json_decode_error, what}} = JSON.decode(text)
      assert what =~ "at byte #{place}", "#{inspect(text)}: #{what}"
    end

    assert {:error, _} = JSON.decode(<<"\"", 255, "\"">>)
    assert {:error, _} = JSON.decode(String.duplicate("[", 100_000))
    assert {:ok, _} = JSON.decode(String.duplicate("[", 500) <> String.duplicate("]", 500))
  end

  test "numbers that no float holds stay text" do
    assert JSON.decode("[1e400,2]") == {:ok, ["1e400", 2]}
  end

  test "terms become text" do
    assert JSON.encode([nil, true, :atom, 1, -1.0, "a\"\\\n\u0001", []]) ==
             {:ok, ~S([null,true,"atom",1,-1.0,"a\"\\\n\u0001",[]])}

    assert JSON.encode(%{1 => 2}) == {:ok, ~s({"1":2})}
    assert JSON.encode(123_456_789_012_345_678_901_234_567_890) == {:ok, "123456789012345678901234567890"}
    assert JSON.encode(%{at: ~U[2024-05-06 07:08:09Z]}) == {:ok, ~s({"at":"2024-05-06T07:08:09Z"})}
    assert JSON.encode([~D[2024-05-06]]) == {:ok, ~s(["2024-05-06"])}
  end

  test "what has no JSON form is refused with the term" do
    pid = self()
    assert JSON.encode(%{a: [pid]}) == {:error, {:json_encode_error, {:unsupported, pid}}}
    assert JSON.encode([1 | 2]) == {:error, {:json_encode_error, {:unsupported, [1 | 2]}}}
    assert JSON.encode(<<255>>) == {:error, {:json_encode_error, {:invalid_utf8, <<255>>}}}
    assert JSON.encode({1}) == {:error, {:json_encode_error, {:unsupported, {1}}}}
    assert {:error, {:json_encode_error, {:unsupported, %URI{}}}} = JSON.encode([%URI{}])
  end

  test "nesting ends where that of messages does" do
    nested = fn levels -> Enum.reduce(1..levels, 1, fn _, term -> [term] end) end
    assert {:ok, _} = JSON.encode(nested.(512))
    assert {:error, {:json_encode_error, {:nested_too_deeply, [1]}}} = JSON.encode(nested.(513))
  end

  test "random terms survive" do
    for _ <- 1..300 do
      term = term(4)
      {:ok, text} = JSON.encode(term)
      assert JSON.decode(text) == {:ok, term}
    end
  end

  defp term(0),
    do:
      Enum.random([
        nil,
        true,
        0,
        -7,
        1.5,
        1.0e25,
        -2.5e-9,
        5.0e-324,
        "",
        "é\u2028",
        12_345_678_901_234_567_890
      ])

  defp term(depth), do: Enum.random([term(0), list(depth), Map.new(list(depth), &{inspect(&1), &1})])
  defp list(depth), do: for(_ <- 1..Enum.random(1..4), do: term(depth - 1))
end
