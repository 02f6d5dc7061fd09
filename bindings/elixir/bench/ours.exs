# Our package: `ours.exs WHAT SERVER`.
Code.require_file("work.exs", __DIR__)

defmodule Ours do
  alias DurableStreams.{Client, Stream, Writer}

  def run("fill", server) do
    json = create(Work.json_url(server), "application/json")

    write(json, fn writer -> Enum.each(0..(Work.messages() - 1), &Writer.append(writer, Work.message(&1))) end)

    bytes = create(Work.bytes_url(server), "application/octet-stream")
    piece = :rand.bytes(1024 * 1024)
    for _ <- 1..div(Work.read_bytes(), byte_size(piece)), do: Stream.append!(bytes, piece)
    Work.report("filled", 1)
  end

  def run("read-json", server) do
    sum = fn ->
      for %{items: items} <- batches(Work.json_url(server)), reduce: 0, do: (sum -> add(items, sum))
    end

    taken = Work.seconds(fn -> Work.expect(sum.(), Work.sum()) end)
    Work.report("messages_per_second", Work.messages() / taken)
  end

  def run("read-bytes", server) do
    count = fn ->
      for %{data: data} <- batches(Work.bytes_url(server)), reduce: 0, do: (count -> count + byte_size(data))
    end

    taken = Work.seconds(fn -> Work.expect(count.(), Work.read_bytes()) end)
    Work.report("mib_per_second", Work.read_bytes() / 1_048_576 / taken)
  end

  def run("produce-json", server),
    do:
      produce(server, "application/json", Work.all(), fn writer, all ->
        Enum.each(all, &Writer.append(writer, &1))
      end)

  def run("produce-json-all", server),
    do: produce(server, "application/json", Work.all(), &Writer.append_all/2)

  def run("produce-bytes", server) do
    all = List.duplicate(Work.padding(), Work.messages())

    produce(server, "application/octet-stream", all, fn writer, all ->
      Enum.each(all, &Writer.append(writer, &1))
    end)
  end

  defp produce(server, content_type, all, work) do
    stream = create(Work.new_url(server, "ours"), content_type)
    taken = Work.seconds(fn -> write(stream, &work.(&1, all)) end)
    Work.report("messages_per_second", length(all) / taken)
  end

  defp write(stream, work) do
    {:ok, writer} = Writer.start_link(stream: stream, producer_id: "bench")
    work.(writer)
    :ok = Writer.flush(writer)
    :ok = Writer.close(writer)
  end

  defp create(url, content_type), do: url |> handle() |> Stream.create!(content_type: content_type)
  defp batches(url), do: url |> handle() |> Stream.consumer!()
  defp handle(url), do: url |> Client.new() |> Client.stream("")

  defp add([%{"n" => n} | rest], sum), do: add(rest, sum + n)
  defp add([], sum), do: sum
end

{:ok, _} = Application.ensure_all_started(:durable_streams)
[what, server] = System.argv()
Ours.run(what, server)
