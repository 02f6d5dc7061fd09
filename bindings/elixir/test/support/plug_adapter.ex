defmodule DurableStreams.Test.PlugAdapter do
  @moduledoc """
  A connection without a socket, for tests: a body that comes in the pieces it was given in, and
  chunks that go to a process, which may say how sending each of them ended.
  """
  defstruct pieces: [], observer: nil

  @doc "A connection as a server would make it."
  def conn(method, target, options \\ []) do
    {path, query} =
      case String.split(target, "?", parts: 2) do
        [path, query] -> {path, query}
        [path] -> {path, ""}
      end

    state = %__MODULE__{pieces: options[:body] || [], observer: options[:observer]}

    struct!(
      %Plug.Conn{
        adapter: {__MODULE__, state},
        method: method,
        request_path: path,
        path_info: for(segment <- String.split(path, "/"), segment != "", do: segment),
        query_string: query,
        req_headers: options[:headers] || [{"host", "www.example.com"}]
      },
      Keyword.drop(options, [:body, :observer, :headers])
    )
  end

  def read_req_body(%{pieces: [{:error, reason}]}, _options), do: {:error, reason}
  def read_req_body(%{pieces: []} = state, _options), do: {:ok, "", state}
  def read_req_body(%{pieces: [last]} = state, _options), do: {:ok, last, %{state | pieces: []}}

  def read_req_body(%{pieces: [piece | pieces]} = state, _options),
    do: {:more, piece, %{state | pieces: pieces}}

  def send_resp(state, _status, _headers, body), do: {:ok, IO.iodata_to_binary(body), state}
  def send_chunked(state, _status, _headers), do: {:ok, "", state}

  def chunk(%{observer: observer}, data) do
    send(observer, {:chunk, self(), data})

    receive do
      {:sent, outcome} -> outcome
    end
  end
end
