defmodule DurableStreams.Native do
  @moduledoc false
  # The native library. Functions whose first argument is `ref` start an operation and return a
  # handle of it; its outcome arrives as `{ref, result}`. `DurableStreams.Call` waits for that.

  @on_load :load

  @client [
    cancel: 1
  ]

  @embedded []

  for {name, arity} <- @client ++ @embedded do
    arguments = Macro.generate_unique_arguments(arity, __MODULE__)
    def unquote(name)(unquote_splicing(arguments)), do: :erlang.nif_error(:not_loaded)
  end

  def load do
    :erlang.load_nif(Path.join(:code.priv_dir(:durable_streams), "durable_streams_elixir"), 0)
  end
end
