defmodule DurableStreams.Test.Http do
  @moduledoc "Requests over a bare socket, one connection each, seen as they come."

  @patience 20_000

  @doc "Sends a request and reads the whole answer: `{status, headers, body}`."
  def request(method, url, headers \\ [], body \\ "") do
    connection = open(method, url, headers, body)
    {status, headers} = head(connection)
    answer = if method == "HEAD" or status in [204, 304], do: "", else: rest(headers)
    close(connection)
    {status, headers, answer}
  end

  @doc "Sends a request; the process that calls reads the answer."
  def open(method, url, headers \\ [], body \\ "") do
    %URI{host: host, port: port, path: path, query: query} = URI.parse(url)

    {:ok, socket} =
      :gen_tcp.connect(String.to_charlist(host), port, [:binary, active: false, nodelay: true], @patience)

    target = if query, do: "#{path}?#{query}", else: path || "/"
    length = if body == "", do: [], else: [{"content-length", "#{byte_size(body)}"}]

    :ok =
      :gen_tcp.send(socket, [
        "#{method} #{target} HTTP/1.1\r\nhost: #{host}:#{port}\r\n",
        for({name, value} <- length ++ headers, do: [name, ": ", value, "\r\n"]),
        "\r\n",
        body
      ])

    Process.put(__MODULE__, {socket, ""})
    socket
  end

  @doc "Status and headers, names in lower case."
  def head(_connection) do
    {:http_response, _, status, _} = packet(:http_bin)
    {status, headers(%{})}
  end

  defp headers(map) do
    case packet(:httph_bin) do
      :http_eoh -> map
      {:http_header, _, _, name, value} -> headers(Map.put(map, String.downcase(name), value))
    end
  end

  @doc "Chunks of the answer, up to the one that brings this text."
  def chunks_until(connection, text, so_far \\ "") do
    if String.contains?(so_far, text) do
      so_far
    else
      case chunk() do
        :done -> raise "the answer ended before #{inspect(text)}: #{inspect(so_far)}"
        chunk -> chunks_until(connection, text, so_far <> chunk)
      end
    end
  end

  @doc "Whether the other side ended the connection, after whatever it still sent."
  def ended?(connection) do
    case :gen_tcp.recv(connection, 0, @patience) do
      {:ok, _} -> ended?(connection)
      {:error, :closed} -> true
      {:error, :timeout} -> false
    end
  end

  def close(connection), do: :gen_tcp.close(connection)

  defp rest(%{"content-length" => length}), do: take(String.to_integer(length))
  defp rest(%{"transfer-encoding" => "chunked"}), do: all_chunks("")

  defp all_chunks(so_far) do
    case chunk() do
      :done -> so_far
      chunk -> all_chunks(so_far <> chunk)
    end
  end

  defp chunk do
    size = :line |> packet() |> String.trim() |> String.to_integer(16)
    chunk = binary_part(take(size + 2), 0, size)
    if size == 0, do: :done, else: chunk
  end

  defp take(size) do
    case Process.get(__MODULE__) do
      {socket, buffer} when byte_size(buffer) >= size ->
        <<taken::binary-size(size), rest::binary>> = buffer
        Process.put(__MODULE__, {socket, rest})
        taken

      more ->
        receive_more(more)
        take(size)
    end
  end

  defp packet(type) do
    {socket, buffer} = Process.get(__MODULE__)

    case :erlang.decode_packet(type, buffer, []) do
      {:ok, packet, rest} ->
        Process.put(__MODULE__, {socket, rest})
        packet

      {:more, _} ->
        receive_more({socket, buffer})
        packet(type)
    end
  end

  defp receive_more({socket, buffer}) do
    {:ok, data} = :gen_tcp.recv(socket, 0, @patience)
    Process.put(__MODULE__, {socket, buffer <> data})
  end
end
