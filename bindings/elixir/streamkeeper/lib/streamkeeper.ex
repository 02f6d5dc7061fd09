defmodule Streamkeeper do
  @moduledoc """
  Durable Streams inside an Elixir application.

  This package has no code of its own: it depends on `durable_streams`, whose application starts
  with it. Everything is in `DurableStreams`.
  """
end
