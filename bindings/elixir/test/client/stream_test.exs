defmodule DurableStreams.ClientStreamTest do
  use DurableStreams.Test.ClientCase, async: true

  alias DurableStreams.Test.Http

  test "create tells a new stream from one that exists", %{stream: stream} do
    assert {:ok, %Handle{created: true, content_type: "text/plain"}} =
             Handle.create(stream, content_type: "text/plain")

    assert {:ok, %Handle{created: false}} = Handle.create(stream, content_type: "text/plain")
    assert {:error, :stream_exists} = Handle.create(stream, content_type: "text/html")
  end

  test "the default type is bytes, and values make JSON", %{client: client} do
    assert Handle.create!(Client.stream(client, "/bytes")).content_type == "application/octet-stream"
    made = Handle.create!(Client.stream(client, "/values"), data: [%{n: 1}, %{n: 2}])
    assert made.content_type == "application/json"
    assert {[%{"n" => 1}, %{"n" => 2}], %{up_to_date: true}} = Handle.read_json!(made)
  end

  test "a handle without a type learns it once", %{stream: stream} do
    json(stream)
    assert {:ok, %{next_offset: offset, duplicate: false}} = Handle.append(stream, ~s({"n":1}))

    assert {:ok, %{offset: ^offset, content_type: "application/json", stream_closed: false}} =
             Handle.head(stream)
  end

  test "data in the making is one append, however large", %{client: client, stream: stream} do
    stream = json(stream)
    {:ok, stored} = Handle.append_stream(stream, Stream.map(["[1,", ["{", ~s("a":2)], "}]"], & &1), seq: 1)
    assert {[1, %{"a" => 2}], %{next_offset: offset}} = Handle.read_json!(stream)
    assert offset == stored.next_offset

    bytes = Handle.create!(Client.stream(client, "/bytes"))
    piece = :binary.copy("x", 100_000)
    Handle.append_stream!(bytes, Stream.repeatedly(fn -> piece end) |> Stream.take(50))
    is_whole = Enum.map_join(Handle.read_all!(bytes), & &1.data) == :binary.copy(piece, 50)
    assert is_whole
  end

  test "data that is not made to its end is not appended", %{client: client, stream: stream} do
    stream = json(stream)

    broken =
      Stream.map(["[1,", :error], fn piece -> if is_binary(piece), do: piece, else: raise("no more") end)

    assert_raise RuntimeError, "no more", fn -> Handle.append_stream(stream, broken) end
    assert catch_throw(Handle.append_stream(stream, Stream.map([1], &throw/1))) == 1
    assert_raise ArgumentError, fn -> Handle.append_stream(stream, [:atom]) end
    assert_raise ArgumentError, fn -> Handle.append_stream(stream, ["1"], producer_id: "p") end

    test = self()

    endless =
      Stream.map(["[1", ",2]"], fn piece ->
        send(test, :made) && if(piece == ",2]", do: Process.sleep(:infinity), else: piece)
      end)

    {maker, monitor} = spawn_monitor(fn -> Handle.append_stream(stream, endless) end)
    for _ <- 1..2, do: assert_receive(:made)
    Process.exit(maker, :kill)
    assert_receive {:DOWN, ^monitor, _, _, :killed}
    assert {[], _} = Handle.read_json!(stream)
    refute_received _

    missing = %{Client.stream(client, "/missing") | content_type: "text/plain"}
    assert {:error, :stream_not_found} = Handle.append_stream(missing, ["x"])
    # Answered long before its end.
    large = :binary.copy("x", 1_000_000)
    assert {:error, _} = Handle.append_stream(stream, Stream.repeatedly(fn -> large end))
    assert {:error, {:bad_request, _}} = Handle.append_stream(stream, ["no JSON"])
  end

  test "a stream made anew with another type is found out", %{stream: stream} do
    json(stream)
    assert {:ok, _} = Handle.append(stream, "1")
    # Past the library's knowledge, as another program would do it.
    url = Handle.url(stream)
    assert {204, _, _} = Http.request("DELETE", url)
    assert {201, _, _} = Http.request("PUT", url, [{"content-type", "text/plain"}])
    assert {:error, :content_type_mismatch} = Handle.append(stream, "plain")
    assert {:ok, _} = Handle.append(stream, "plain")
    assert %{data: "plain"} = Handle.read!(stream)
  end

  test "binaries travel as they are, maps are one message, lists one per element", %{stream: stream} do
    stream = json(stream)
    Handle.append!(stream, ~s([1,2]))
    Handle.append!(stream, %{a: [1]})
    Handle.append!(stream, [[3], "x", nil])
    Handle.append_json!(stream, "text")
    assert {[1, 2, %{"a" => [1]}, [3], "x", nil, "text"], _} = Handle.read_json!(stream)
  end

  test "empty data is refused before anything is sent", %{stream: stream} do
    stream = json(stream)
    assert {:error, {:invalid_argument, _}} = Handle.append(stream, "")
    assert {:error, {:invalid_argument, _}} = Handle.append(stream, [])
    assert {:error, {:json_encode_error, {:unsupported, _}}} = Handle.append(stream, %{pid: self()})
    assert Handle.head!(stream).offset == Handle.create!(stream, content_type: "application/json").next_offset
  end

  test "seq must grow", %{stream: stream} do
    stream = Handle.create!(stream)
    assert {:ok, _} = Handle.append(stream, "a", seq: "002")
    assert {:error, :seq_conflict} = Handle.append(stream, "b", seq: "001")
  end

  test "numbers of a producer make a repeated append harmless", %{stream: stream} do
    stream = Handle.create!(stream)
    numbers = [producer_id: "p", epoch: 0, producer_seq: 0]
    assert {:ok, %{duplicate: false}} = Handle.append(stream, "a", numbers)
    assert {:ok, %{duplicate: true}} = Handle.append(stream, "a", numbers)

    assert {:error, {:sequence_gap, 1, 5}} =
             Handle.append(stream, "b", Keyword.put(numbers, :producer_seq, 5))

    assert {:ok, _} = Handle.append(stream, "b", Keyword.put(numbers, :epoch, 3))
    assert {:error, {:stale_epoch, 3}} = Handle.append(stream, "c", numbers)
  end

  test "closing ends the stream for everyone", %{stream: stream} do
    stream = json(stream)
    assert {:ok, %{final_offset: final}} = Handle.close(stream, data: %{last: true})
    assert {:error, :stream_closed} = Handle.append(stream, "1")
    assert {:ok, %{final_offset: ^final}} = Handle.close(stream)
    assert {:error, :stream_closed} = Handle.close(stream, data: "1")
    assert %{stream_closed: true, next_offset: ^final} = Handle.head!(stream)
    assert {:ok, batches} = Handle.consumer(stream, live: :long_poll)
    assert [{:ok, %{items: [%{"last" => true}], stream_closed: true}}] = Enum.to_list(batches)
  end

  test "what is missing is named, and raised by functions with a bang", %{stream: stream} do
    assert {:error, :stream_not_found} = Handle.append(stream, "x")
    assert {:error, :stream_not_found} = Handle.head(stream)
    assert {:error, :stream_not_found} = Handle.delete(stream)
    assert {:error, :stream_not_found} = Handle.read(stream)
    assert {:ok, batches} = Handle.consumer(stream)
    assert [{:error, :stream_not_found}] = Enum.to_list(batches)
    error = assert_raise Error, fn -> Handle.head!(stream) end
    assert %{reason: :stream_not_found, status: 404, operation: operation} = error
    assert is_binary(operation)
    assert Exception.message(error) =~ Handle.url(stream)
    assert_raise Error, fn -> stream |> Handle.enumerate() |> Enum.to_list() end
  end

  test "nobody listens", %{stream: stream} do
    {:ok, socket} = :gen_tcp.listen(0, ip: {127, 0, 0, 1})
    {:ok, port} = :inet.port(socket)
    :gen_tcp.close(socket)
    client = Client.new("http://127.0.0.1:#{port}", retry: [max_retries: 0])
    assert {:error, {:network_error, _}} = client |> Client.stream(stream.path) |> Handle.head()
  end

  test "read takes one unit, read_all all, enumerate lazily", %{stream: stream} do
    stream = Handle.create!(stream, content_type: "text/plain")
    first = Handle.append!(stream, "one ")
    Handle.append!(stream, "two")
    assert {:ok, %{data: "one two", up_to_date: true, status: 200}} = Handle.read(stream)
    assert {:ok, [%{data: "two"}]} = Handle.read_all(stream, offset: first.next_offset)
    assert {:ok, []} = Handle.read_all(stream, offset: "now")
    assert ["one two"] = stream |> Handle.enumerate() |> Enum.take(1) |> Enum.map(& &1.data)
    assert {:error, :timeout} = Handle.read(stream, offset: "now", live: :sse, timeout: 50)
  end

  for live <- [:long_poll, :sse] do
    test "a live read (#{live}) brings what is appended while it waits", %{stream: stream, server: server} do
      stream = json(stream)
      reader = Task.async(fn -> Handle.read_json!(stream, live: unquote(live), offset: "now") end)
      eventually(fn -> TestServer.live_readers(server) == 1 end)
      Handle.append!(stream, %{n: 1})
      assert {[%{"n" => 1}], %{next_offset: offset}} = Task.await(reader)
      assert offset == Handle.head!(stream).offset
    end
  end

  test "batches of bytes do not look like batches of JSON", %{stream: stream} do
    stream = Handle.create!(stream)
    Handle.append!(stream, <<0, 255>>)
    {:ok, batches} = Handle.consumer(stream)

    seen =
      for {:ok, batch} <- batches do
        case batch do
          %{items: items, offset: _} when is_list(items) -> {:items, items}
          %{data: data, offset: _} -> {:data, data}
        end
      end

    assert seen == [{:data, <<0, 255>>}]
  end

  test "a fork reads its source's data", %{client: client, stream: stream} do
    stream = Handle.create!(stream, content_type: "text/plain")
    Handle.append!(stream, "shared")
    fork = client |> Client.stream(stream.path <> "-fork") |> Handle.create!(fork_from: stream.path)
    Handle.append!(fork, " own")
    assert Handle.read!(fork).data == "shared own"
    assert Handle.read!(stream).data == "shared"
  end

  test "functions for headers are asked before every request, and their failure fails it", %{server: server} do
    asked = :counters.new(1, [])
    headers = %{"X-Token" => fn -> :counters.add(asked, 1, 1) && "token" end}
    client = Client.new(TestServer.url(server), headers: headers, retry: [initial_delay: 1])
    stream = client |> Client.stream("/asked") |> Handle.create!()
    assert :counters.get(asked, 1) == 1
    TestServer.inject_fault(server, path: "/asked", status: 503, count: 2)
    Handle.append!(stream, "x")
    assert :counters.get(asked, 1) == 4

    failing = Handle.with_headers(stream, %{"x-token" => fn -> raise "no token left" end})
    assert {:error, %RuntimeError{message: "no token left"}} = Handle.head(failing)
    assert_raise RuntimeError, "no token left", fn -> Handle.head!(failing) end
    thrown = Handle.with_headers(stream, %{"x-token" => fn -> throw(:gone) end})
    assert {:error, %ErlangError{original: {:throw, :gone}}} = Handle.head(thrown)
  end

  test "large binaries go and come whole", %{stream: stream} do
    stream = Handle.create!(stream)
    data = :binary.copy(<<1, 2, 3, 4, 5, 6, 7>>, 500_000)
    Handle.append!(stream, data)
    read = stream |> Handle.enumerate(live: :off) |> Enum.map_join(& &1.data)
    assert read == data
  end

  test "handles are data", %{stream: stream} do
    assert stream |> :erlang.term_to_binary() |> :erlang.binary_to_term() == stream
    assert Handle.url(Client.stream(Client.new("http://h/base/"), "/a/b")) == "http://h/base/a/b"
    assert Handle.url(Client.stream(Client.new("http://h/base"), "a")) == "http://h/base/a"
    assert Handle.json_mode?(Handle.with_content_type(stream, "Application/JSON; charset=utf-8"))
    refute Handle.json_mode?(stream)
    assert Handle.content_type_matches?(Handle.set_content_type(stream, "text/plain; a=b"), "TEXT/plain")
  end

  test "settings that cannot be used are refused by name" do
    assert_raise ArgumentError, ~r/multiplier/, fn -> Client.new("http://h", retry: [multiplier: 0.1]) end
    assert_raise ArgumentError, ~r/headrs/, fn -> Client.new("http://h", headrs: []) end
    stream = Client.stream(Client.new("http://127.0.0.1:9"), "/x")
    assert {:error, {:invalid_argument, "live" <> _}} = Handle.consumer(stream, live: :sometimes)
    assert_raise ArgumentError, ~r/of/, fn -> Handle.consumer(stream, ofset: "1") end
  end

  test "use aliases the client's modules" do
    use DurableStreams

    assert {Client, DS, Consumer, Writer, ReadChunk, AppendResult, HeadResult} ==
             {DurableStreams.Client, DurableStreams.Stream, DurableStreams.Consumer, DurableStreams.Writer,
              DurableStreams.ReadChunk, DurableStreams.AppendResult, DurableStreams.HeadResult}
  end
end
