defmodule DurableStreams.Native do
  @moduledoc false
  # The native library. Functions whose first argument is `ref` start an operation and return a
  # handle of it; its outcome arrives as `{ref, result}`. `DurableStreams.Call` waits for that.

  @on_load :load

  @client [
    cancel: 1,
    json_encode: 1,
    json_encode_dirty: 1,
    json_decode: 1,
    json_decode_dirty: 1,
    dispatch_here: 0,
    answer: 3,
    answer_failed: 3,
    check_settings: 1,
    create: 3,
    append: 4,
    append_stream: 3,
    body_push: 3,
    close_stream: 3,
    delete: 2,
    head: 2,
    reader_open: 2,
    reader_next: 3,
    reader_close: 1,
    producer_open: 3,
    producer_append: 2,
    producer_append_json: 2,
    producer_append_all: 2,
    producer_epoch: 1,
    producer_room: 2,
    producer_append_sync: 3,
    producer_flush: 2,
    producer_detach: 2,
    producer_restart: 2,
    producer_close_stream: 3,
    producer_state: 1,
    producer_drop: 1,
    server_start: 2,
    server_inject_fault: 3,
    server_clear_faults: 2,
    server_live_readers: 2,
    server_clear: 2,
    server_stop: 2
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
