defmodule DurableStreams.Native do
  @moduledoc false
  # The native library. Functions whose first argument is `ref` start an operation and return a
  # handle of it; its outcome arrives as `{ref, result}`. `DurableStreams.Call` waits for that.

  @on_load :load

  @client [
    cancel: 1
  ]

  @embedded [
    keeper_open: 2,
    keeper_stop: 2,
    keeper_live_readers: 1,
    keeper_max_body_bytes: 1,
    keeper_listen: 4,
    keeper_stop_listening: 2,
    keeper_call: 3,
    keeper_pull: 2,
    keeper_let_go: 1,
    keeper_create: 4,
    keeper_append: 5,
    keeper_close: 3,
    keeper_delete: 3,
    keeper_metadata: 3,
    keeper_read: 5,
    keeper_read_messages: 5
  ]

  for {name, arity} <- @client ++ @embedded do
    arguments = Macro.generate_unique_arguments(arity, __MODULE__)
    def unquote(name)(unquote_splicing(arguments)), do: :erlang.nif_error(:not_loaded)
  end

  def load do
    :erlang.load_nif(Path.join(:code.priv_dir(:durable_streams), "durable_streams_elixir"), 0)
  end
end
