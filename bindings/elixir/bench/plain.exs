# No client at all: :httpc on a connection that stays, JSON in plain Elixir, and the protocol
# followed by hand: `plain.exs WHAT SERVER`.
Code.require_file("work.exs", __DIR__)
Code.require_file("plain_json.exs", __DIR__)

defmodule Plain do
  def run("read-json", server) do
    add = fn page, sum -> Enum.reduce(PlainJSON.decode(page), sum, &(&1["n"] + &2)) end
    taken = Work.seconds(fn -> Work.expect(pages(Work.json_url(server), "-1", 0, add), Work.sum()) end)
    Work.report("messages_per_second", Work.messages() / taken)
  end

  def run("read-bytes", server) do
    add = fn page, count -> count + byte_size(page) end

    taken =
      Work.seconds(fn -> Work.expect(pages(Work.bytes_url(server), "-1", 0, add), Work.read_bytes()) end)

    Work.report("mib_per_second", Work.read_bytes() / 1_048_576 / taken)
  end

  def run("produce-json", server),
    do: produce(server, "application/json", Work.all(), &IO.iodata_to_binary(PlainJSON.encode(&1)))

  def run("produce-bytes", server),
    do:
      produce(
        server,
        "application/octet-stream",
        List.duplicate(Work.padding(), Work.messages()),
        &IO.iodata_to_binary/1
      )

  # The least that messages one by one cost without a client: a request each.
  def run("produce-bytes-singly", server) do
    url = create(server, "application/octet-stream")

    taken =
      Work.seconds(fn ->
        for _ <- 1..Work.singly(), do: post(url, "application/octet-stream", Work.padding())
      end)

    Work.report("messages_per_second", Work.singly() / taken)
  end

  defp produce(server, content_type, all, body) do
    url = create(server, content_type)

    taken =
      Work.seconds(fn ->
        all |> Stream.chunk_every(Work.batch()) |> Enum.each(&post(url, content_type, body.(&1)))
      end)

    Work.report("messages_per_second", length(all) / taken)
  end

  defp create(server, content_type) do
    url = Work.new_url(server, "plain")
    {:ok, {{_, 201, _}, _, _}} = :httpc.request(:put, {url, [], to_charlist(content_type), ""}, [], [])
    url
  end

  defp post(url, content_type, body) do
    {:ok, {{_, 204, _}, _, _}} = :httpc.request(:post, {url, [], to_charlist(content_type), body}, [], [])
  end

  # The bodies of a catch-up read.
  defp pages(url, offset, so_far, add) do
    {:ok, {{_, 200, _}, headers, body}} =
      :httpc.request(:get, {"#{url}?offset=#{offset}", []}, [], body_format: :binary)

    so_far = add.(body, so_far)

    if List.keymember?(headers, 'stream-up-to-date', 0) do
      so_far
    else
      {_, next} = List.keyfind(headers, 'stream-next-offset', 0)
      pages(url, next, so_far, add)
    end
  end
end

{:ok, _} = Application.ensure_all_started(:inets)
[what, server] = System.argv()
Plain.run(what, server)
