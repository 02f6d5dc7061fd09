defmodule DurableStreams.Seed002Test do
  @moduledoc """
  The examples of the Elixir client's page, in their order and as printed. Changed: the URL;
  paths, so that they do not meet; and what goes on in another process, so that live reads end.
  """
  use DurableStreams.Test.ClientCase, async: true

  import ExUnit.CaptureIO

  alias DurableStreams.Client
  alias DurableStreams.Stream
  alias DurableStreams.Stream, as: DSStream
  alias DurableStreams.Writer

  defp save_offset(offset), do: send(self(), {:saved, offset})
  defp save_checkpoint(offset), do: send(self(), {:saved, offset})
  defp process_item(item), do: send(self(), {:item, item}) && item
  defp process_bytes(data), do: send(self(), {:bytes, data})

  # Ends the stream once somebody follows it live.
  defp close_when_followed(server, stream) do
    spawn_link(fn ->
      eventually(fn -> TestServer.live_readers(server) > 0 end)
      Handle.close!(stream)
    end)
  end

  test "quick start", %{server: server} do
    url = TestServer.url(server)

    output =
      capture_io(fn ->
        # Create a client
        client = Client.new(url)
        # Get a stream handle
        stream = Client.stream(client, "/my-stream")
        # Create the stream
        {:ok, _} = DSStream.create(stream, content_type: "application/json")
        # Append data
        {:ok, result} = DSStream.append(stream, ~s({"message":"hello"}))
        IO.puts("Offset: #{result.next_offset}")
        close_when_followed(server, stream)
        # Read data
        {:ok, consumer} = DSStream.consumer(stream, offset: "-1", live: :long_poll)

        for {:ok, batch} <- consumer do
          IO.inspect(batch.items, label: "Items")
          # Save checkpoint
          save_offset(batch.offset)
        end

        assert_received {:saved, offset}
        assert offset == result.next_offset
      end)

    assert output =~ ~r/^Offset: \w+\n/
    assert output =~ ~s(Items: [%{"message" => "hello"}])
  end

  test "client", %{server: server} do
    token = "secret"

    client =
      Client.new("https://streams.example.com",
        headers: %{"Authorization" => "Bearer #{token}"},
        timeout: 60_000
      )

    assert %Client{base_url: "https://streams.example.com", timeout: 60_000} = client
    assert %DSStream{} = stream = Client.stream(client, "/events")
    assert DSStream.url(stream) == "https://streams.example.com/events"
    # The header goes out with every request.
    client = %{client | base_url: TestServer.url(server)}
    assert {:ok, %DSStream{}} = client |> Client.stream("/events") |> DSStream.create()
  end

  test "write operations", %{stream: stream, client: client} do
    bytes = Client.stream(client, "/bytes")

    assert {:ok, %DSStream{}} = Stream.create(stream, content_type: "application/json", ttl_seconds: 600)

    assert {:ok, %DSStream{}} = Stream.create(bytes, expires_at: "2100-01-01T00:00:00Z")

    output =
      capture_io(fn ->
        # JSON stream - pass map (auto-encoded)
        {:ok, result} = Stream.append(stream, %{message: "hello"})
        IO.puts("Next offset: #{result.next_offset}")
        # Or pre-encode JSON
        {:ok, result} = Stream.append(stream, ~s({"message":"hello"}))
        assert is_binary(result.next_offset)
        # Byte stream
        {:ok, result} = Stream.append(bytes, "raw bytes")
        assert is_binary(result.next_offset)
      end)

    assert output =~ "Next offset: "
    assert {:ok, _} = Stream.append(bytes, "more", seq: "1")
    assert {:ok, %{final_offset: final}} = Stream.close(bytes)

    assert {:ok, %{content_type: "application/octet-stream", offset: ^final, stream_closed: true}} =
             Stream.head(bytes)

    assert :ok = Stream.delete(bytes)
  end

  test "read operations", %{server: server, client: client} do
    json = Client.stream(client, "/json") |> DSStream.create!(content_type: "application/json")
    %{next_offset: last_offset} = DSStream.append!(json, %{n: 1})
    DSStream.append!(json, %{n: 2})
    bytes = Client.stream(client, "/raw") |> DSStream.create!()
    DSStream.append!(bytes, "abc")

    for {stream, last_offset} <- [{json, last_offset}, {bytes, "-1"}] do
      close_when_followed(server, stream)
      {:ok, consumer} = Stream.consumer(stream, offset: last_offset, live: :long_poll)

      for {:ok, batch} <- consumer do
        case batch do
          %{items: items, offset: offset} when is_list(items) ->
            # JSON batch
            Enum.each(items, &process_item/1)
            save_checkpoint(offset)

          %{data: data, offset: offset} ->
            # Byte chunk
            process_bytes(data)
            save_checkpoint(offset)
        end
      end
    end

    assert_received {:item, %{"n" => 2}}
    refute_received {:item, %{"n" => 1}}
    assert_received {:bytes, "abc"}
  end

  test "writer", %{stream: stream} do
    stream = DSStream.create!(stream, content_type: "application/json")

    {:ok, writer} =
      Writer.start_link(
        stream: stream,
        producer_id: "order-service-1",
        epoch: 0,
        auto_claim: true,
        max_batch_bytes: 1_048_576,
        linger_ms: 5
      )

    # Fire-and-forget writes
    Writer.append(writer, ~s({"orderId":"123"}))
    Writer.append(writer, ~s({"orderId":"456"}))
    # Ensure delivery
    :ok = Writer.flush(writer)
    assert {[%{"orderId" => "123"}, %{"orderId" => "456"}], _} = DSStream.read_json!(stream)
  end

  test "error handling", %{stream: stream} do
    tell = fn data, opts ->
      capture_io(fn ->
        case Stream.append(stream, data, opts) do
          {:ok, result} ->
            IO.puts("Appended at offset #{result.next_offset}")

          {:error, :stream_not_found} ->
            IO.puts("Stream doesn't exist")

          {:error, :stream_closed} ->
            IO.puts("Stream is closed")

          {:error, :seq_conflict} ->
            IO.puts("Sequence conflict")

          {:error, reason} ->
            IO.inspect(reason, label: "Error")
        end
      end)
    end

    assert tell.("x", []) == "Stream doesn't exist\n"
    Stream.create!(stream, content_type: "text/plain")
    assert {:error, :stream_exists} = Stream.create(stream, content_type: "text/html")
    assert tell.("x", seq: "2") =~ "Appended at offset "
    assert tell.("x", seq: "1") == "Sequence conflict\n"
    assert tell.("", []) =~ "Error: "
    Stream.close!(stream)
    assert tell.("x", []) == "Stream is closed\n"
  end

  for {status, reason} <- [{401, :unauthorized}, {403, :forbidden}] do
    test "error handling: #{status}", %{server: server, stream: stream} do
      TestServer.inject_fault(server, path: stream.path, status: unquote(status))
      assert {:error, unquote(reason)} = Stream.head(stream)
    end
  end

  test "supervision", %{stream: stream} do
    stream = DSStream.create!(stream, content_type: "application/json")
    data = ~s({"n":1})

    children = [
      {DurableStreams.Writer,
       [
         stream: stream,
         producer_id: "my-producer",
         epoch: 0,
         name: MyApp.Writer
       ]}
    ]

    Supervisor.start_link(children, strategy: :one_for_one)
    # Use named writer
    Writer.append(MyApp.Writer, data)
    assert :ok = Writer.flush(MyApp.Writer)
    assert {[%{"n" => 1}], _} = DSStream.read_json!(stream)
  end

  test "JSON decoding", %{stream: stream} do
    stream = DSStream.create!(stream, content_type: "application/json", data: [1, 2])

    output =
      capture_io(fn ->
        {:ok, consumer} = Stream.consumer(stream, offset: "-1")

        for {:ok, batch} <- consumer do
          items = Jason.decode!(batch.items)

          Enum.each(items, fn item ->
            IO.inspect(item)
          end)
        end
      end)

    assert output == "1\n2\n"
  end

  test "stream processing with Flow", %{server: server, stream: stream} do
    alias Experimental.Flow
    stream = DSStream.create!(stream, content_type: "application/json", data: [1, 2])
    close_when_followed(server, stream)
    {:ok, consumer} = Stream.consumer(stream, live: :long_poll)

    processed =
      consumer
      |> Flow.from_enumerable()
      |> Flow.flat_map(fn {:ok, batch} -> batch.items end)
      |> Flow.map(&process_item/1)
      |> Flow.partition()
      |> Flow.reduce(fn -> [] end, fn item, acc -> [item | acc] end)
      |> Enum.to_list()

    assert List.flatten(processed) == [2, 1]
    assert_received {:item, 1}
  end
end
