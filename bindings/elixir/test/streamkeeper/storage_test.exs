defmodule DurableStreams.Streamkeeper.StorageTest do
  use ExUnit.Case, async: true

  alias DurableStreams.{Server, Storage}
  alias DurableStreams.Test.Http

  setup %{test: test} do
    dir = Path.join(System.tmp_dir!(), "durable-streams-#{System.pid()}-#{:erlang.phash2(test)}")
    on_exit(fn -> File.rm_rf!(dir) end)
    {:ok, dir: dir, options: [name: :"#{test}", storage: {:file, dir}]}
  end

  defp exchange(options) do
    {:ok, server} = Server.start_link(storage: options[:name])
    url = Server.url(server) <> "/a"
    {status, _, _} = Http.request("PUT", url, [{"content-type", "text/plain"}], "kept")
    {200, _, body} = Http.request("GET", url)
    Server.stop(server)
    {status, body}
  end

  test "a directory keeps what was written, and belongs to one engine at a time", %{options: options} do
    Process.flag(:trap_exit, true)
    start_supervised!({Storage, options})
    assert exchange(options) == {201, "kept"}
    assert {:error, text} = Storage.start_link(Keyword.put(options, :name, :another))
    assert text =~ "lock" or text =~ "use"
    stop_supervised!(options[:name])
    start_supervised!({Storage, options})
    # The stream was there.
    assert exchange(options) == {200, "kept"}
  end

  test "an engine whose process was killed is closed before its directory is opened again", %{
    options: options
  } do
    pid = start_supervised!({Storage, options})
    assert exchange(options) == {201, "kept"}
    monitor = Process.monitor(pid)
    Process.exit(pid, :kill)
    assert_receive {:DOWN, ^monitor, _, _, :killed}
    wait_for_another(options[:name], pid)
    assert exchange(options) == {200, "kept"}
  end

  # The name is taken before the storage is open; asking the process waits for that.
  defp wait_for_another(name, former) do
    case Process.whereis(name) do
      pid when pid in [nil, former] ->
        Process.sleep(1)
        wait_for_another(name, former)

      pid ->
        GenServer.call(pid, :engine)
    end
  end

  test "settings that mean nothing are refused by name" do
    Process.flag(:trap_exit, true)

    for {options, named} <- [
          {[storage: :disk], ":disk"},
          {[max_messages: 1], "max_messages"},
          {[webhooks: :all], "webhooks"},
          {[storage: {:file, "/proc/nowhere"}], "nowhere"}
        ] do
      assert {:error, text} = Storage.start_link([name: nil] ++ options)
      assert text =~ named
    end
  end

  test "a program that is only a client can do without an engine" do
    start_supervised!({Storage, name: :none_at_all, storage: :none})
    error = assert_raise ArgumentError, fn -> Storage.engine(:none_at_all) end
    assert error.message =~ "no engine is running"
  end
end
