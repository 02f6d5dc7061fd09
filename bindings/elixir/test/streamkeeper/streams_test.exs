defmodule DurableStreams.Streamkeeper.StreamsTest do
  use ExUnit.Case, async: true

  alias DurableStreams.StreamManager

  setup %{test: test}, do: {:ok, id: "streams/#{test}"}

  # What a process waits for is under way once it waits in a receive.
  defp waiting(work) do
    task = Task.async(work)
    wait_for(fn -> Process.info(task.pid, :status) == {:status, :waiting} end)
    task
  end

  defp wait_for(fact?) do
    unless fact?.() do
      Process.sleep(1)
      wait_for(fact?)
    end
  end

  test "any string is an id, and different ids are different streams", %{id: id} do
    odd =
      ["", "/", "//", ".", "..", "a/b", "a//b", "/a", "a/", "a/../b", "./a", "~x61", "~x", "__ds", "__ds/a"] ++
        [
          "%2F",
          "%",
          "a%20b",
          "a b",
          "a+b",
          "a?b",
          "a#b",
          "ü ☃",
          "a\\b",
          <<0>>,
          <<255, 0, 1>>,
          "-1",
          "now",
          "A",
          "a"
        ] ++
        ["http:/a", "\r\n", String.duplicate("x", 900), String.duplicate("é", 300)]

    # Those that start the stream's name, and those within one.
    for id <- odd ++ Enum.map(odd, &(id <> "/" <> &1)) do
      assert {:ok, ^id} = DurableStreams.create(id)
      assert {:ok, _} = DurableStreams.append(id, "data of " <> id)
    end

    for id <- odd ++ Enum.map(odd, &(id <> "/" <> &1)) do
      assert {:ok, %{data: "data of " <> ^id}} = DurableStreams.read(id, "-1")
      assert {:ok, %{id: ^id}} = DurableStreams.get_metadata(id)
      assert :ok = DurableStreams.delete(id)
    end
  end

  test "an id that no path can hold is refused by its length" do
    id = String.duplicate("x", 3000)
    assert {:error, {:bad_request, text}} = DurableStreams.create(id)
    assert text =~ "too long"
  end

  test "a closed stream is closed for good, also for whoever closes it again", %{id: id} do
    {:ok, _} = DurableStreams.create(id)
    {:ok, offset} = DurableStreams.append(id, "x")
    assert :ok = DurableStreams.close(id)
    assert :ok = DurableStreams.close(id)
    assert {:error, :closed} = DurableStreams.append(id, "y")
    assert {:ok, %{data: "", offset: ^offset, closed: true}} = DurableStreams.read(id, offset, live: true)
  end

  test "a stream of other settings is in the way, too", %{id: id} do
    {:ok, _} = DurableStreams.create(id, content_type: "text/plain")
    assert {:error, :already_exists} = DurableStreams.create(id, content_type: "application/json")
    assert {:error, :already_exists} = DurableStreams.create(id, content_type: "text/plain")
  end

  test "a sequence must grow as text", %{id: id} do
    {:ok, _} = DurableStreams.create(id)
    assert {:ok, _} = DurableStreams.append(id, "x", seq: "b")
    assert {:error, :seq_conflict} = DurableStreams.append(id, "y", seq: "b")
    assert {:error, :seq_conflict} = DurableStreams.append(id, "y", seq: "a9")
    assert {:ok, _} = DurableStreams.append(id, "y", seq: "ba")
    assert {:ok, %{data: "xy"}} = DurableStreams.read(id, "-1")
  end

  test "what cannot be stored is refused and changes nothing", %{id: id} do
    {:ok, _} = DurableStreams.create(id, content_type: "application/json")
    assert {:error, {:bad_request, _}} = DurableStreams.append(id, "")
    assert {:error, {:bad_request, _}} = DurableStreams.append(id, "{")
    assert {:error, {:bad_request, _}} = DurableStreams.append(id, "[]")
    assert {:ok, %{data: "[]", offset: offset}} = DurableStreams.read(id, "-1")
    assert {:ok, %{next_offset: ^offset, total_bytes: 0}} = DurableStreams.get_metadata(id)
  end

  test "a stream can start with content, closed, and with an end", %{id: id} do
    at = ~U[2100-01-01 00:00:00.000Z]
    {:ok, _} = StreamManager.create(id, data: "all", closed: true, expires_at: at)
    assert {:ok, %{data: "all", closed: true}} = DurableStreams.read(id, "-1")
    assert {:ok, %{expires_at: ^at, ttl: nil, closed: true}} = DurableStreams.get_metadata(id)
    {:ok, _} = StreamManager.create(id <> "2", expires_at: "2100-01-01T02:00:00+02:00")
    assert {:ok, %{expires_at: ^at}} = DurableStreams.get_metadata(id <> "2")
    assert {:error, {:bad_request, _}} = StreamManager.create(id <> "3", expires_at: "tomorrow")
  end

  test "a stream ends with its time to live", %{id: id} do
    {:ok, _} = DurableStreams.create(id, ttl: 3600)
    assert {:ok, %{ttl: 3600, expires_at: nil}} = DurableStreams.get_metadata(id)
    {:ok, _} = DurableStreams.create(id <> "0", ttl: 0)
    assert {:error, :not_found} = DurableStreams.get_metadata(id <> "0")
    assert {:error, :not_found} = DurableStreams.read(id <> "0", "-1")
  end

  test "metadata tells when the stream was created, and how much it holds", %{id: id} do
    before = DateTime.utc_now() |> DateTime.truncate(:millisecond)
    {:ok, _} = DurableStreams.create(id)
    {:ok, meta} = DurableStreams.get_metadata(id)
    assert meta.content_type == "application/octet-stream"
    assert DateTime.compare(meta.created_at, before) in [:eq, :gt]
    assert DateTime.compare(meta.created_at, DateTime.utc_now()) in [:eq, :lt]
    {:ok, offset} = DurableStreams.append(id, "12345")

    assert {:ok, %{total_bytes: 5, next_offset: ^offset, earliest_offset: first}} =
             DurableStreams.get_metadata(id)

    assert {:ok, %{data: "12345"}} = DurableStreams.read(id, first)
    assert {:ok, ^offset} = StreamManager.current_offset(id)
  end

  test "reading goes on behind any offset that was given", %{id: id} do
    {:ok, _} = DurableStreams.create(id)
    offsets = for n <- 1..20, do: id |> DurableStreams.append("#{n};") |> elem(1)
    assert offsets == Enum.sort(offsets) and offsets == Enum.uniq(offsets)

    for {offset, n} <- Enum.with_index(offsets, 1) do
      rest = Enum.map_join(Enum.drop(1..20, n), &"#{&1};")
      assert {:ok, %{data: ^rest, has_more: false}} = DurableStreams.read(id, offset)
    end

    last = List.last(offsets)
    assert {:ok, %{data: "", offset: ^last}} = DurableStreams.read(id, "now")

    for bad <- ["", "0", "1_2", last <> "x"],
        do: assert({:error, :invalid_offset} = DurableStreams.read(id, bad))

    # Between appends only: a byte into the first one.
    assert {:error, :invalid_offset} = DurableStreams.read(id, "0000000000000000_0000000000000001")
  end

  test "more than one answer holds comes in several", %{id: id} do
    {:ok, _} = DurableStreams.create(id)
    parts = for byte <- 1..4, do: :binary.copy(<<byte>>, 2_000_000)
    for part <- parts, do: {:ok, _} = DurableStreams.append(id, part)
    {:ok, first} = DurableStreams.read(id, "-1")
    assert first.has_more and not first.closed
    :ok = DurableStreams.close(id)
    {:ok, second} = DurableStreams.read(id, first.offset)
    assert {second.has_more, second.closed} == {false, true}
    assert first.data <> second.data == IO.iodata_to_binary(parts)
  end

  test "a large part of a larger binary is stored as it is", %{id: id} do
    large = :crypto.strong_rand_bytes(300_000)
    part = binary_part(large, 1000, 200_000)
    {:ok, _} = StreamManager.create(id, data: part)
    {:ok, _} = DurableStreams.append(id, part)
    assert {:ok, %{data: data}} = DurableStreams.read(id, "-1")
    assert data == part <> part
  end

  test "a live read returns what comes, or nothing in time", %{id: id} do
    {:ok, _} = DurableStreams.create(id)
    {:ok, offset} = DurableStreams.append(id, "old")
    assert {:ok, %{data: "old"}} = DurableStreams.read(id, "-1", live: true)

    assert {:ok, %{data: "", offset: ^offset, closed: false}} =
             DurableStreams.read(id, offset, live: true, timeout: 5)

    reader = waiting(fn -> DurableStreams.read(id, offset, live: true) end)
    {:ok, next} = DurableStreams.append(id, "new")
    assert {:ok, %{data: "new", offset: ^next}} = Task.await(reader)
  end

  test "closing and deleting end a live read", %{id: id} do
    {:ok, _} = DurableStreams.create(id)
    reader = waiting(fn -> DurableStreams.read(id, "now", live: true) end)
    :ok = DurableStreams.close(id)
    assert {:ok, %{data: "", closed: true}} = Task.await(reader)
    {:ok, _} = DurableStreams.create(id <> "2")
    reader = waiting(fn -> DurableStreams.read(id <> "2", "now", live: true) end)
    :ok = DurableStreams.delete(id <> "2")
    assert {:error, :not_found} = Task.await(reader)
  end

  test "many processes append at once, and nothing is lost or mixed", %{id: id} do
    {:ok, _} = DurableStreams.create(id, content_type: "application/json")

    for writer <- 1..20 do
      Task.async(fn -> for n <- 1..25, do: {:ok, _} = DurableStreams.append(id, "[#{writer},#{n}]") end)
    end
    |> Task.await_many()

    {:ok, %{messages: messages}} = StreamManager.read_messages(id, "-1")
    numbers = messages |> Enum.map(& &1.data) |> Enum.chunk_every(2)
    assert length(numbers) == 500

    for {writer, pairs} <- Enum.group_by(numbers, &hd/1, &List.last/1),
        do: assert({writer, pairs} == {writer, Enum.map(1..25, &"#{&1}")})
  end

  test "what is not offered is refused by name", %{id: id} do
    for {options, name} <-
          [retention: [max_messages: 1], storage: SomeModule, colour: :red] |> Enum.map(&{[&1], elem(&1, 0)}) do
      assert_raise ArgumentError, ~r/#{name}/, fn -> DurableStreams.create(id, options) end
    end

    assert_raise ArgumentError, ~r/ttl/, fn -> DurableStreams.create(id, ttl: -1) end

    assert_raise ArgumentError, ~r/exclude/, fn ->
      DurableStreams.create(id, ttl: 1, expires_at: "2100-01-01T00:00:00Z")
    end

    assert_raise ArgumentError, ~r/live/, fn -> DurableStreams.read(id, "-1", live: :sse) end

    assert_raise ArgumentError, ~r/timeout/, fn ->
      DurableStreams.read(id, "-1", live: true, timeout: :infinity)
    end

    assert {:error, :not_found} = DurableStreams.get_metadata(id)
  end
end
