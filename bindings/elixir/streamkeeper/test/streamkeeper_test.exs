defmodule StreamkeeperTest do
  use ExUnit.Case, async: true

  test "whoever depends on this package has the streams, started" do
    {:ok, "events"} = DurableStreams.create("events", content_type: "text/plain")
    {:ok, _offset} = DurableStreams.append("events", "user logged in")
    assert {:ok, %{data: "user logged in"}} = DurableStreams.read("events", "-1")
    assert Code.ensure_loaded?(DurableStreams.Protocol.Plug)
  end
end
