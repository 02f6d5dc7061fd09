defmodule Work do
  @moduledoc "What every side of the benchmark works on, and how a figure is printed."

  @messages String.to_integer(System.get_env("BENCH_MESSAGES", "1000000"))
  @bytes 100
  @text ~s({"n":0,"name":"sensor-a","ok":true,"celsius":21.5,"text":""})

  def messages, do: @messages
  # Of the numbers of all messages.
  def sum, do: div(@messages * (@messages - 1), 2)
  def read_bytes, do: 256 * 1024 * 1024
  # Messages per request wherever a batch is built by hand; the writer's own limit is 1 MiB.
  def batch, do: 1_000
  def singly, do: 2_000

  @doc "The n-th message; its JSON has 100 bytes: the text makes up for the digits of the number."
  def message(number) do
    text = String.duplicate("x", @bytes - byte_size(@text) + 1 - length(Integer.digits(number)))
    %{"n" => number, "name" => "sensor-a", "ok" => true, "celsius" => 21.5, "text" => text}
  end

  def all, do: Enum.map(0..(@messages - 1), &message/1)
  def padding, do: String.duplicate("x", @bytes)

  def json_url(server), do: server <> "/v1/stream/bench-json"
  def bytes_url(server), do: server <> "/v1/stream/bench-bytes"

  def new_url(server, name),
    do: "#{server}/v1/stream/#{name}-#{System.pid()}-#{System.unique_integer([:positive])}"

  def seconds(work) do
    started = System.monotonic_time()
    work.()
    System.convert_time_unit(System.monotonic_time() - started, :native, :microsecond) / 1_000_000
  end

  def expect(wanted, wanted), do: :ok
  def expect(found, wanted), do: raise("#{found} instead of #{wanted}")

  def report(name, figure), do: IO.puts(~s({"#{name}": #{figure}}))
end
