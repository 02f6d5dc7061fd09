defmodule DurableStreams.Streamkeeper.LiveViewTest do
  use ExUnit.Case, async: true

  alias DurableStreams.LiveView

  setup %{test: test} do
    id = "live_view/#{test}"
    {:ok, _} = DurableStreams.create(id, content_type: "application/json")
    {:ok, id: id, socket: LiveView.init(%{assigns: %{}})}
  end

  # The next news, as a LiveView takes them.
  defp next(socket) do
    receive do
      message ->
        assert LiveView.stream_message?(message)
        LiveView.handle_message(message, socket)
    after
      20_000 -> flunk("nothing came")
    end
  end

  defp texts(messages), do: Enum.map(messages, & &1.data)

  test "hands out what is there, then what comes, then the end", %{id: id, socket: socket} do
    {:ok, _} = DurableStreams.append(id, "[1,2]")
    assert {LiveView.status(socket), LiveView.listening?(socket)} == {:idle, false}
    socket = LiveView.listen(socket, id)
    assert {LiveView.status(socket), LiveView.stream_id(socket)} == {:catching_up, id}
    assert {:data, messages, socket} = next(socket)
    assert texts(messages) == ["1", "2"]
    assert LiveView.offset(socket) == List.last(messages).offset
    assert {:status, :live, socket} = next(socket)
    {:ok, offset} = DurableStreams.append(id, "3")
    assert {:data, [%{data: "3", offset: ^offset}], socket} = next(socket)
    :ok = DurableStreams.close(id)
    assert {:complete, socket} = next(socket)
    assert {LiveView.status(socket), LiveView.listening?(socket)} == {:complete, false}
  end

  test "stopped, it goes on later from where it was", %{id: id, socket: socket} do
    for n <- 1..2, do: {:ok, _} = DurableStreams.append(id, "#{n}")
    socket = LiveView.listen(socket, id)
    assert {:data, _, socket} = next(socket)
    socket = LiveView.stop(socket)
    {:ok, _} = DurableStreams.append(id, "3")
    socket = LiveView.listen(socket, id)
    assert texts(until_data(socket)) == ["3"]
    assert LiveView.offset(LiveView.reset(socket)) == "-1"
  end

  # News of the reader that was stopped may lie before.
  defp until_data(socket) do
    case next(socket) do
      {:data, messages, _} -> messages
      {:status, _, socket} -> until_data(socket)
    end
  end

  test "a busy LiveView is not flooded", %{id: id, socket: socket} do
    {:ok, _} = DurableStreams.append(id, "0")
    socket = LiveView.listen(socket, id)
    assert_receive {LiveView, _, {:data, _, _}} = first, 20_000
    for n <- 1..50, do: {:ok, _} = DurableStreams.append(id, "#{n}")
    assert Process.info(self(), :message_queue_len) == {:message_queue_len, 0}
    assert {:data, [_], socket} = LiveView.handle_message(first, socket)
    assert {:status, :live, socket} = next(socket)
    assert {:data, messages, _} = next(socket)
    assert texts(messages) == Enum.map(1..50, &"#{&1}")
  end

  test "a stream that is not there, or goes, is an error", %{id: id, socket: socket} do
    assert {:error, :not_found, socket} = next(LiveView.listen(socket, id <> "/none"))
    assert {LiveView.status(socket), socket.assigns.ds_error} == {:error, :not_found}
    socket = LiveView.listen(socket, id)
    assert {:status, :live, socket} = next(socket)
    :ok = DurableStreams.delete(id)
    assert {:error, :not_found, _} = next(socket)
  end

  test "the reader ends with its LiveView", %{id: id} do
    test = self()

    {view, monitor} =
      spawn_monitor(fn ->
        socket = LiveView.listen(LiveView.init(%{assigns: %{}}), id)
        send(test, socket.assigns.ds_reader)
        receive do: (:crash -> exit(:crashed))
      end)

    assert_receive {reader, _} when is_pid(reader), 20_000
    reader = Process.monitor(reader)
    send(view, :crash)
    assert_receive {:DOWN, ^monitor, _, _, :crashed}, 20_000
    assert_receive {:DOWN, ^reader, _, _, :crashed}, 20_000
  end
end
