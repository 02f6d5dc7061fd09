defmodule DurableStreams.WriterTest do
  use DurableStreams.Test.ClientCase, async: true

  test "what is appended is stored once and in order", %{stream: stream} do
    stream = json(stream)
    {:ok, writer} = Writer.start_link(stream: stream, producer_id: "p")
    for n <- 1..5_000, do: :ok = Writer.append(writer, ~s({"n":#{n}}))
    assert :ok = Writer.append_all(writer, Enum.map(5_001..6_000, &%{n: &1}))
    assert :ok = Writer.flush(writer)
    assert {0, 0} = {Writer.pending_count(writer), Writer.in_flight_count(writer)}
    assert :ok = Writer.close(writer)
    refute Process.alive?(writer)
    assert numbers(stream) == Enum.to_list(1..6_000)
  end

  test "several messages at once: whatever they are, in their order, in a small queue", %{stream: stream} do
    stream = json(stream)
    test = self()
    on_error = fn error, messages -> send(test, {:refused, error.code, messages}) end
    opts = [stream: stream, producer_id: "p", max_queued_messages: 50, on_error: on_error]
    {:ok, writer} = Writer.start_link(opts)
    big = List.duplicate("x", 50_000)
    some = [%{"n" => 1}, "[2]", ~D[2024-05-06], [3], "no JSON", big, test, nil]
    many = Enum.map(1..2_000, &%{"n" => &1})
    assert :ok = Writer.append_all(writer, some ++ many)
    assert :ok = Writer.append_all(writer, Stream.map(1..3, & &1))
    assert :ok = Writer.append_all(writer, [])

    assert {:error, {:invalid_argument, _}} = Writer.flush(writer)
    assert_receive {:refused, "INVALID_ARGUMENT", ["no JSON"]}
    assert_receive {:refused, "INVALID_ARGUMENT", [^test]}
    {messages, _} = Handle.read_json!(stream)
    assert messages == [%{"n" => 1}, [2], "2024-05-06", [3], big, nil] ++ many ++ [1, 2, 3]
  end

  test "maps with other keys than the one before are what they were", %{stream: stream} do
    stream = json(stream)
    {:ok, writer} = Writer.start_link(stream: stream, producer_id: "p")

    maps = [
      %{"a" => 1, "b" => 2},
      %{"a" => 1, "b" => 2},
      %{"ab" => 1, "b" => 2},
      %{"a\"" => 1, "b" => %{"a" => 2}},
      %{"" => 1, "é" => 2, "b" => 3},
      %{String.duplicate("k", 100) => 1},
      %{"a" => %{"a" => %{"a" => 1}}, "b" => [%{"c" => 1}]},
      Map.new(1..100, &{"#{&1}", &1})
    ]

    Enum.each(maps ++ maps, &Writer.append(writer, &1))
    Writer.append_all(writer, Enum.reverse(maps))
    :ok = Writer.flush(writer)
    assert {read, _} = Handle.read_json!(stream)
    assert read == maps ++ maps ++ Enum.reverse(maps)
  end

  test "an item stays one message, an array too", %{stream: stream} do
    stream = json(stream)
    {:ok, writer} = Writer.start_link(stream: stream, producer_id: "p")
    Writer.append(writer, "[1,2]")
    Writer.append(writer, [3])

    assert {:ok, %{next_offset: offset, duplicate: false, producer_seq: _}} =
             Writer.append_sync(writer, %{a: 1})

    assert offset == Handle.head!(stream).offset
    assert {[[1, 2], [3], %{"a" => 1}], _} = Handle.read_json!(stream)
  end

  test "epochs: a newer writer of the same id takes over", %{stream: stream} do
    stream = json(stream)
    {:ok, old} = Writer.start_link(stream: stream, producer_id: "p", epoch: 1)
    assert {:ok, _} = Writer.append_sync(old, "1")
    {:ok, new} = Writer.start_link(stream: stream, producer_id: "p", auto_claim: true)
    assert {:ok, %{producer_epoch: 2}} = Writer.append_sync(new, "2")
    assert Writer.epoch(new) == 2
    Writer.append(old, "3")
    assert {:error, {:stale_epoch, 2}} = Writer.flush(old)
    assert numbers(stream) == [1, 2]
  end

  test "a lost batch is told to on_error and to the next flush, once", %{stream: stream} do
    parent = self()

    {:ok, writer} =
      Writer.start_link(
        stream: stream,
        producer_id: "p",
        content_type: "application/json",
        on_error: &send(parent, {&1, &2})
      )

    Writer.append(writer, "1")
    assert {:error, :stream_not_found} = Writer.flush(writer)
    assert_receive {%Error{reason: :stream_not_found, status: 404}, []}
  end

  test "a message that is refused comes back", %{stream: stream} do
    parent = self()

    {:ok, writer} =
      Writer.start_link(stream: json(stream), producer_id: "p", on_error: &send(parent, {&1, &2}))

    assert :ok = Writer.append(writer, "{")
    assert_receive {%Error{code: "INVALID_ARGUMENT"}, ["{"]}
    assert :ok = Writer.append(writer, %{pid: parent})
    assert_receive {%Error{reason: {:json_encode_error, _}}, [%{pid: ^parent}]}
    Writer.append(writer, "1")
    assert {:error, {:invalid_argument, _}} = Writer.flush(writer)
    assert :ok = Writer.flush(writer)
    assert numbers(stream) == [1]
  end

  test "an on_error that fails does not end the writer", %{stream: stream} do
    {:ok, writer} =
      Writer.start_link(stream: json(stream), producer_id: "p", on_error: fn _, _ -> raise "planned" end)

    Writer.append(writer, "{")
    assert {:error, _} = Writer.flush(writer)
    Writer.append(writer, "1")
    assert :ok = Writer.flush(writer)
  end

  test "a full queue makes appends wait, and loses nothing", %{stream: stream} do
    stream = Handle.create!(stream)

    {:ok, writer} =
      Writer.start_link(stream: stream, producer_id: "p", max_queued_messages: 10, max_batch_size: 5)

    for n <- 1..1_000, do: Writer.append(writer, <<n::16>>)
    assert Writer.pending_count(writer) < 100
    assert :ok = Writer.flush(writer)
    assert Enum.map_join(Handle.read_all!(stream), & &1.data) == for(n <- 1..1_000, into: "", do: <<n::16>>)
  end

  test "named, under a supervisor, it flushes when it is stopped", %{stream: stream} do
    stream = json(stream)
    child = {Writer, stream: stream, producer_id: "p", name: __MODULE__.Named, linger_ms: 60_000}
    {:ok, supervisor} = Supervisor.start_link([child], strategy: :one_for_one)
    for n <- 1..100, do: :ok = Writer.append(__MODULE__.Named, ~s(#{n}))
    assert Writer.pending_count(__MODULE__.Named) == 100
    :ok = Supervisor.stop(supervisor)
    assert numbers(stream) == Enum.to_list(1..100)
    # As a cast to nobody.
    assert :ok = Writer.append(__MODULE__.Named, "1")
    assert {:error, :closed} = Writer.flush(__MODULE__.Named)
  end

  test "one that is killed starts again under its supervisor", %{stream: stream} do
    stream = json(stream)
    child = {Writer, stream: stream, producer_id: "p", epoch: 0, name: __MODULE__.Again}
    {:ok, _supervisor} = Supervisor.start_link([child], strategy: :one_for_one)
    assert {:ok, _} = Writer.append_sync(__MODULE__.Again, "1")
    first = Process.whereis(__MODULE__.Again)
    Process.exit(first, :kill)
    eventually(fn -> Process.whereis(__MODULE__.Again) not in [nil, first] end)
    assert {:ok, %{producer_epoch: 1}} = Writer.append_sync(__MODULE__.Again, "2")
    assert numbers(stream) == [1, 2]
  end

  test "ending the stream", %{stream: stream} do
    stream = json(stream)
    {:ok, writer} = Writer.start_link(stream: stream, producer_id: "p")
    Writer.append(writer, "1")
    assert {:ok, %{final_offset: final}} = Writer.close_stream(writer, %{last: 1})
    assert %{stream_closed: true, offset: ^final} = Handle.head!(stream)
    Writer.append(writer, "2")
    assert {:error, :closed} = Writer.flush(writer)
    assert {[1, %{"last" => 1}], _} = Handle.read_json!(stream)
  end

  test "a flush that takes too long says so, and no message comes late", %{server: server, stream: stream} do
    stream = json(stream)
    {:ok, writer} = Writer.start_link(stream: stream, producer_id: "p", linger_ms: 0)
    TestServer.inject_fault(server, path: stream.path, delay_ms: 300, method: "POST")
    Writer.append(writer, "1")
    assert {:error, :timeout} = Writer.flush(writer, 20)
    assert :ok = Writer.flush(writer)
    assert {:messages, []} = Process.info(self(), :messages)
  end

  test "settings are checked at the start", %{stream: stream} do
    Process.flag(:trap_exit, true)

    assert {:error, {:invalid_argument, text}} = start(stream, max_in_flight: 0)
    assert text =~ "maxInFlight"
    assert {:error, {:invalid_argument, text}} = start(stream, epoch: -1)
    assert text =~ "epoch"
    assert {:error, {:invalid_argument, "unknown options [:max_batch]"}} = start(stream, max_batch: 1)
    assert {:error, {:invalid_argument, "stream" <> _}} = Writer.start_link(producer_id: "p")
  end

  defp start(stream, opts), do: Writer.start_link([stream: stream, producer_id: "p"] ++ opts)

  defp numbers(stream) do
    for %{items: items} <- Handle.consumer!(stream), item <- items, do: with(%{"n" => n} <- item, do: n)
  end
end
