defmodule DurableStreams.JSONStructsTest do
  use DurableStreams.Test.ClientCase, async: true

  alias DurableStreams.Test.{Money, Reading, Secret}

  @reading struct(Reading, kwh: 3, at: ~U[2024-05-06 07:08:09Z], secret: "x")

  # Since Elixir 1.18 structs say themselves what their JSON form is.
  if Code.ensure_loaded?(JSON) do
    test "structs are written as they say" do
      assert DurableStreams.JSON.encode(@reading) == {:ok, ~s({"kwh":3,"at":"2024-05-06T07:08:09Z"})}
      assert DurableStreams.JSON.encode(%Money{cents: 5}) == {:ok, ~s("5 cents")}

      assert DurableStreams.JSON.encode(%{"price" => [%Money{cents: 5}, nil, "é\n", 1.5]}) ==
               {:ok, ~s({"price":["5 cents",null,"é\\n",1.5]})}

      for term <- [@reading, [@reading, %Money{cents: 7}], %{a: %{1 => @reading}}] do
        assert DurableStreams.JSON.encode(term) == {:ok, JSON.encode!(term)}
      end
    end

    test "structs become messages", %{stream: stream} do
      json(stream)
      {:ok, _} = Handle.append(stream, @reading)
      {:ok, _} = Handle.append(stream, [%Money{cents: 1}, %{money: %Money{cents: 2}}])
      writer = start_supervised!({Writer, stream: stream, producer_id: "p", auto_claim: true})
      :ok = Writer.append(writer, %Money{cents: 3})
      :ok = Writer.flush(writer)

      {:ok, {messages, _}} = Handle.read_json(stream)

      assert messages == [
               %{"kwh" => 3, "at" => "2024-05-06T07:08:09Z"},
               "1 cents",
               %{"money" => "2 cents"},
               "3 cents"
             ]
    end
  else
    test "structs are refused" do
      for struct <- [@reading, %Money{cents: 5}] do
        assert DurableStreams.JSON.encode([struct]) == {:error, {:json_encode_error, {:unsupported, struct}}}
      end
    end
  end

  test "a struct without a form is refused with itself", %{stream: stream} do
    json(stream)
    secret = %Secret{value: 1}

    for term <- [secret, [secret], %{a: [1, secret]}] do
      assert DurableStreams.JSON.encode(term) == {:error, {:json_encode_error, {:unsupported, secret}}}
    end

    assert Handle.append(stream, secret) == {:error, {:json_encode_error, {:unsupported, secret}}}

    pid = self()

    assert DurableStreams.JSON.encode([~D[2024-05-06], pid]) ==
             {:error, {:json_encode_error, {:unsupported, pid}}}
  end
end
