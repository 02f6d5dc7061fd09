defmodule DurableStreams.Streamkeeper.MessagesTest do
  use ExUnit.Case, async: true

  alias DurableStreams.StreamManager

  setup %{test: test} do
    id = "messages/#{test}"
    {:ok, _} = DurableStreams.create(id, content_type: "application/json")
    {:ok, id: id}
  end

  defp texts(result), do: Enum.map(result.messages, & &1.data)

  test "an array is taken apart one level, and every message keeps its text", %{id: id} do
    {:ok, _} = DurableStreams.append(id, ~s([1, [2, 3], {"b": 1, "a": 12345678901234567890.10, "a": null}]))
    {:ok, tail} = DurableStreams.append(id, ~s("é ü"))
    {:ok, result} = StreamManager.read_messages(id, "-1")
    assert texts(result) == ["1", "[2,3]", ~s({"b":1,"a":12345678901234567890.10,"a":null}), ~s("é ü")]
    assert %{offset: ^tail, has_more: false, closed: false} = result
    assert List.last(result.messages).offset == tail
  end

  test "reading goes on behind any message, also inside a batch", %{id: id} do
    for batch <- ["[1,2,3]", "4", "[5,6]"], do: {:ok, _} = DurableStreams.append(id, batch)
    {:ok, %{messages: messages}} = StreamManager.read_messages(id, "-1")
    offsets = Enum.map(messages, & &1.offset)
    assert offsets == Enum.sort(offsets) and offsets == Enum.uniq(offsets)

    for {offset, n} <- Enum.with_index(offsets, 1) do
      rest = Enum.map(Enum.drop(1..6, n), &"#{&1}")
      assert {:ok, result} = StreamManager.read_messages(id, offset)
      assert texts(result) == rest
      # The same messages are named by the same offsets, wherever reading began.
      assert Enum.map(result.messages, & &1.offset) == Enum.drop(offsets, n)
      assert {:ok, %{data: data}} = DurableStreams.read(id, offset)
      assert data == "[" <> Enum.join(rest, ",") <> "]"
    end
  end

  test "offsets inside a batch that were never given are refused", %{id: id} do
    {:ok, _} = DurableStreams.append(id, "[1,2]")
    {:ok, %{messages: [%{offset: inside}, _]}} = StreamManager.read_messages(id, "-1")
    [start, number] = String.split(inside, "~")
    beyond = String.replace_suffix(number, "1", "2")

    for bad <- [start <> "~", start <> "~1", start <> "~" <> beyond, "-1~" <> number, inside <> "0"] do
      assert {:error, :invalid_offset} = StreamManager.read_messages(id, bad)
      assert {:error, :invalid_offset} = DurableStreams.read(id, bad)
    end
  end

  test "a stream of bytes has one message per append" do
    id = "messages/bytes"
    {:ok, _} = DurableStreams.create(id)
    sent = for n <- 1..50, do: :binary.copy(<<n>>, n)
    offsets = for data <- sent, do: id |> DurableStreams.append(data) |> elem(1)
    {:ok, result} = StreamManager.read_messages(id, "-1")
    assert texts(result) == sent
    assert Enum.map(result.messages, & &1.offset) == offsets
  end

  test "more than a page of messages comes in several", %{id: id} do
    for _ <- 1..6,
        do: {:ok, _} = DurableStreams.append(id, "[" <> Enum.map_join(1..2500, ",", &"#{&1}") <> "]")

    {:ok, first} = StreamManager.read_messages(id, "-1")
    assert first.has_more and length(first.messages) < 15_000
    {:ok, second} = StreamManager.read_messages(id, first.offset)
    refute second.has_more
    assert texts(first) ++ texts(second) == List.duplicate(Enum.map(1..2500, &"#{&1}"), 6) |> Enum.concat()
  end

  test "a live read waits for messages", %{id: id} do
    reader = Task.async(fn -> StreamManager.read_messages(id, "now", live: true) end)
    {:ok, _} = append_until_read(reader, id)
    assert {:ok, %{messages: []}} = StreamManager.read_messages(id, "now", live: true, timeout: 1)
    assert {:error, :not_found} = StreamManager.read_messages("messages/none", "-1")
  end

  # The reader may begin after an append, so there is another one.
  defp append_until_read(reader, id) do
    {:ok, _} = DurableStreams.append(id, ~s({"n":1}))

    case Task.yield(reader, 20) do
      nil -> append_until_read(reader, id)
      {:ok, {:ok, %{messages: [%{data: ~s({"n":1})} | _]} = result}} -> {:ok, result}
    end
  end
end
