defmodule DurableStreams.Test.PlugServer do
  @moduledoc """
  A small HTTP/1.1 server in front of one plug, for tests. As in the servers people use, each
  request runs in a process of its own, which is killed when the client hangs up.
  """
  use GenServer

  defmodule Adapter do
    @moduledoc false
    # The callbacks of `Plug.Conn.Adapter` over a socket.
    defstruct [:socket, :method, body: "", chunked: false]

    def read_req_body(%{body: body} = state, options) do
      length = options[:length]

      case body do
        <<piece::binary-size(length), rest::binary>> when rest != "" ->
          {:more, piece, %{state | body: rest}}

        whole ->
          {:ok, whole, %{state | body: ""}}
      end
    end

    def send_resp(state, status, headers, body) do
      body = IO.iodata_to_binary(body)
      # A 204 or 304 has no body, and says no length.
      length = if status in [204, 304], do: [], else: [{"content-length", "#{byte_size(body)}"}]
      body = if state.method == "HEAD", do: "", else: body
      send!(state, [head(status, length ++ headers), body])
      {:ok, nil, state}
    end

    def send_chunked(state, status, headers) do
      send!(state, head(status, [{"transfer-encoding", "chunked"} | headers]))
      {:ok, nil, %{state | chunked: true}}
    end

    def chunk(state, data) do
      length = data |> IO.iodata_length() |> Integer.to_string(16)
      :gen_tcp.send(state.socket, [length, "\r\n", data, "\r\n"])
    end

    def finish(%{chunked: true} = state), do: send!(state, "0\r\n\r\n")
    def finish(_state), do: :ok

    # Whoever has gone does not need it.
    defp send!(state, data), do: _ = :gen_tcp.send(state.socket, data)

    defp head(status, headers) do
      [
        "HTTP/1.1 #{status} Status\r\n",
        for({name, value} <- headers, do: [name, ": ", value, "\r\n"]),
        "\r\n"
      ]
    end
  end

  def start_link(options), do: GenServer.start_link(__MODULE__, options)
  def url(server), do: GenServer.call(server, :url)

  @doc "What a router does for `forward path, to: plug`; other requests are answered 404."
  def forward(conn, path, plug, options \\ []) do
    at = for segment <- String.split(path, "/"), segment != "", do: segment

    if List.starts_with?(conn.path_info, at) do
      below = Enum.drop(conn.path_info, length(at))
      plug.call(%{conn | script_name: conn.script_name ++ at, path_info: below}, plug.init(options))
    else
      Plug.Conn.send_resp(conn, 404, "no route")
    end
  end

  @impl true
  def init(options) do
    {:ok, listener} =
      :gen_tcp.listen(options[:port] || 0, [
        :binary,
        ip: {127, 0, 0, 1},
        active: false,
        nodelay: true,
        backlog: 512,
        reuseaddr: true
      ])

    {:ok, port} = :inet.port(listener)
    plug = Keyword.fetch!(options, :plug)
    acceptors = for _ <- 1..8, do: spawn_link(fn -> accept(listener, port, plug) end)
    {:ok, %{port: port, listener: listener, acceptors: acceptors}}
  end

  @impl true
  def handle_call(:url, _from, state), do: {:reply, "http://127.0.0.1:#{state.port}", state}

  defp accept(listener, port, plug) do
    case :gen_tcp.accept(listener) do
      {:ok, socket} ->
        connection = spawn(fn -> receive do: (:go -> serve(socket, "", port, plug)) end)
        :ok = :gen_tcp.controlling_process(socket, connection)
        send(connection, :go)
        accept(listener, port, plug)

      {:error, _} ->
        :ok
    end
  end

  defp serve(socket, buffer, port, plug) do
    with {:ok, {method, target}, buffer} <- request_line(socket, buffer),
         {:ok, headers, buffer} <- headers(socket, buffer, []),
         {:ok, body, buffer} <- body(socket, buffer, headers) do
      conn = conn(socket, port, method, target, headers, body)
      {worker, monitor} = spawn_monitor(fn -> run(conn, plug) end)
      :ok = :inet.setopts(socket, active: :once)
      wait(socket, buffer, worker, monitor, port, plug, List.keyfind(headers, "connection", 0))
    else
      _ -> :gen_tcp.close(socket)
    end
  end

  defp run(conn, plug) do
    %{adapter: {Adapter, state}} = plug.(conn)
    Adapter.finish(state)
  end

  defp wait(socket, buffer, worker, monitor, port, plug, connection) do
    receive do
      {:DOWN, ^monitor, _, _, :normal} when connection != {"connection", "close"} ->
        :ok = deactivate(socket)
        serve(socket, drain(buffer), port, plug)

      {:DOWN, ^monitor, _, _, _} ->
        :gen_tcp.close(socket)

      {:tcp, _, data} ->
        _ = :inet.setopts(socket, active: :once)
        wait(socket, buffer <> data, worker, monitor, port, plug, connection)

      {:tcp_closed, _} ->
        Process.exit(worker, :kill)

      {:tcp_error, _, _} ->
        Process.exit(worker, :kill)
    end
  end

  defp deactivate(socket) do
    case :inet.setopts(socket, active: false) do
      :ok -> :ok
      {:error, _} -> :ok
    end
  end

  # What came between the answer's end and the socket's becoming passive.
  defp drain(buffer) do
    receive do
      {:tcp, _, data} -> drain(buffer <> data)
    after
      0 -> buffer
    end
  end

  defp conn(socket, port, method, target, headers, body) do
    {path, query} =
      case String.split(target, "?", parts: 2) do
        [path, query] -> {path, query}
        [path] -> {path, ""}
      end

    %Plug.Conn{
      adapter: {Adapter, %Adapter{socket: socket, method: method, body: body}},
      method: method,
      host: "127.0.0.1",
      port: port,
      request_path: path,
      path_info: for(segment <- String.split(path, "/"), segment != "", do: segment),
      query_string: query,
      req_headers: headers
    }
  end

  defp request_line(socket, buffer) do
    with {:ok, {:http_request, method, target, _}, buffer} <- packet(socket, :http_bin, buffer) do
      {:abs_path, path} = if is_tuple(target), do: target, else: {:abs_path, target}
      {:ok, {to_string(method), path}, buffer}
    end
  end

  defp headers(socket, buffer, headers) do
    case packet(socket, :httph_bin, buffer) do
      {:ok, {:http_header, _, _, name, value}, buffer} ->
        headers(socket, buffer, [{String.downcase(name), value} | headers])

      {:ok, :http_eoh, buffer} ->
        {:ok, Enum.reverse(headers), buffer}

      other ->
        other
    end
  end

  defp body(socket, buffer, headers) do
    case {List.keyfind(headers, "content-length", 0), List.keyfind(headers, "transfer-encoding", 0)} do
      {nil, nil} -> {:ok, "", buffer}
      {{_, length}, _} -> take(socket, buffer, String.to_integer(length))
      {_, {_, "chunked"}} -> chunks(socket, buffer, [])
    end
  end

  defp chunks(socket, buffer, pieces) do
    with {:ok, line, buffer} <- packet(socket, :line, buffer) do
      size = line |> String.trim() |> String.to_integer(16)

      with {:ok, piece, buffer} <- take(socket, buffer, size + 2) do
        piece = binary_part(piece, 0, size)

        if size == 0,
          do: {:ok, IO.iodata_to_binary(Enum.reverse(pieces)), buffer},
          else: chunks(socket, buffer, [piece | pieces])
      end
    end
  end

  defp take(_socket, buffer, size) when byte_size(buffer) >= size do
    <<taken::binary-size(size), rest::binary>> = buffer
    {:ok, taken, rest}
  end

  defp take(socket, buffer, size) do
    with {:ok, data} <- :gen_tcp.recv(socket, size - byte_size(buffer)),
         do: take(socket, buffer <> data, size)
  end

  defp packet(socket, type, buffer) do
    case :erlang.decode_packet(type, buffer, []) do
      {:ok, packet, rest} -> {:ok, packet, rest}
      {:more, _} -> with {:ok, data} <- :gen_tcp.recv(socket, 0), do: packet(socket, type, buffer <> data)
      {:error, reason} -> {:error, reason}
    end
  end
end
