defmodule DurableStreams.Test.ClientCase do
  @moduledoc "Tests with a server of their own: `server`, `client`, and a fresh `stream`."

  use ExUnit.CaseTemplate

  alias DurableStreams.{Client, TestServer}

  using do
    quote do
      alias DurableStreams.{Client, Consumer, Error, TestServer, Writer}
      alias DurableStreams.Stream, as: Handle
      import DurableStreams.Test.ClientCase
    end
  end

  setup do
    server = start_supervised!({TestServer, []})
    client = Client.new(TestServer.url(server))

    {:ok,
     server: server, client: client, stream: Client.stream(client, "/s-#{System.unique_integer([:positive])}")}
  end

  @doc "The stream, created as one of JSON."
  def json(stream), do: DurableStreams.Stream.create!(stream, content_type: "application/json")

  @doc "Waits until a fact is one; fails when it does not become one."
  def eventually(fact, deadline \\ System.monotonic_time(:millisecond) + 15_000) do
    cond do
      fact.() -> :ok
      System.monotonic_time(:millisecond) > deadline -> ExUnit.Assertions.flunk("it did not become true")
      true -> Process.sleep(5) && eventually(fact, deadline)
    end
  end
end
