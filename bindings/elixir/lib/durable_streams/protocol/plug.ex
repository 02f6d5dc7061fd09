defmodule DurableStreams.Protocol.Plug do
  @moduledoc """
  Serves the streams of the engine inside this VM over HTTP, below wherever it is mounted.

      # Phoenix router
      forward "/v1/stream", DurableStreams.Protocol.Plug

      # Plug.Router
      forward "/v1/stream", to: DurableStreams.Protocol.Plug

  | method | path | |
  |---|---|---|
  | PUT | `/:id` | create a stream |
  | POST | `/:id` | append, or close |
  | GET | `/:id?offset=X` | read |
  | GET | `/:id?offset=X&live=true` | read, or wait for data (`live=long-poll`) |
  | GET | `/:id?offset=X&live=sse` | read and go on, as server-sent events |
  | HEAD | `/:id` | metadata |
  | DELETE | `/:id` | delete |

  Every answer comes from the service of the standalone server, called inside the VM: this module
  hands requests over and answers back.

  ## Request bodies

  A body can be read once. `Plug.Parsers`, which Phoenix has in its endpoint, reads JSON bodies, so
  that an append of JSON comes too late; and `Plug.Head` turns HEAD into GET. Mount before both, in
  the endpoint:

      plug DurableStreams.Protocol.Plug, at: "/v1/stream"
      plug Plug.Parsers, ...

  A plug mounted with `:at` passes other requests on.

  ## Options

    * `:at` - the path to serve below, for use outside of a router's `forward`
    * `:storage` - the name of a `DurableStreams.Storage`; default is the application's own
    * `:read_timeout` - how long a client may pause inside a body, in milliseconds (default: 30_000)

  Nothing of the Plug package is needed to compile this module: functions of `Plug.Conn` are called
  on the module of the connection's struct.
  """

  alias DurableStreams.{Call, Native, Storage}
  alias DurableStreams.Protocol.BodyError

  @without_body ~w(GET HEAD DELETE OPTIONS)
  @chunk_bytes 1_000_000

  @doc "Checks the options once, when the router is compiled or started."
  @spec init(keyword()) :: map()
  def init(options) do
    options = Keyword.validate!(options, at: nil, storage: Storage, read_timeout: 30_000)
    at = options[:at] && for segment <- String.split(options[:at], "/"), segment != "", do: segment
    %{at: at, storage: options[:storage], read_timeout: options[:read_timeout]}
  end

  @doc "Answers a request, or passes it on when it is outside of `:at`."
  @spec call(conn, map()) :: conn when conn: map()
  def call(conn, %{at: nil} = options), do: serve(conn, mount(conn.script_name), conn.path_info, options)

  def call(conn, %{at: at} = options) do
    if List.starts_with?(conn.path_info, at),
      do: serve(conn, mount(conn.script_name ++ at), Enum.drop(conn.path_info, length(at)), options),
      else: conn
  end

  defp mount([]), do: ""
  defp mount(segments), do: "/" <> Enum.join(segments, "/")

  defp serve(conn, mount, below, options) do
    engine = Storage.engine(options.storage)
    {body, conn} = read_body(conn, engine, options)

    request = %{
      method: conn.method,
      mount: mount,
      target: target(conn, mount, below),
      headers: headers(conn),
      body: body,
      peer: peer(conn),
      port: conn.port,
      is_tls: conn.scheme == :https
    }

    case Call.await(&Native.keeper_call(&1, engine, request)) do
      {:ok, {status, headers, body}} -> conn |> put_headers(headers) |> answer(status, body) |> halt()
      {:error, %{detail: detail}} -> raise "the engine did not answer: #{detail}"
    end
  end

  # The path as the client spelled it: splitting and joining would lose empty segments. Unless a
  # plug before has routed the request elsewhere.
  defp target(conn, mount, below) do
    path = conn.request_path
    path = if String.starts_with?(path, mount), do: path, else: mount <> "/" <> Enum.join(below, "/")
    if conn.query_string == "", do: path, else: path <> "?" <> conn.query_string
  end

  defp headers(conn) do
    if List.keymember?(conn.req_headers, "host", 0),
      do: conn.req_headers,
      # HTTP/2 names the host elsewhere.
      else: [{"host", "#{conn.host}:#{conn.port}"} | conn.req_headers]
  end

  defp peer(%{remote_ip: ip}) when is_tuple(ip), do: ip |> :inet.ntoa() |> to_string()
  defp peer(_), do: nil

  defp read_body(%{method: method} = conn, _engine, _options) when method in @without_body, do: {[], conn}

  defp read_body(conn, engine, options) do
    {pieces, conn} = read_pieces(conn, [], Native.keeper_max_body_bytes(engine), options)
    if pieces == [], do: check_unread!(conn)
    {pieces, conn}
  end

  # Reads up to one piece beyond the limit, which the service then refuses.
  defp read_pieces(conn, pieces, left, options) do
    case module(conn).read_body(conn, length: @chunk_bytes, read_timeout: options.read_timeout) do
      {:ok, piece, conn} -> {finish(piece, pieces), conn}
      {:more, piece, conn} when byte_size(piece) > left -> {finish(piece, pieces), conn}
      {:more, piece, conn} -> read_pieces(conn, [piece | pieces], left - byte_size(piece), options)
      {:error, reason} -> raise BodyError, reason: reason
    end
  end

  defp finish("", pieces), do: Enum.reverse(pieces)
  defp finish(piece, pieces), do: Enum.reverse([piece | pieces])

  # An empty body is a request of its own meaning; one that somebody else has read must not look
  # like it.
  defp check_unread!(%{body_params: %{__struct__: _}}), do: :ok

  defp check_unread!(%{body_params: %{}} = conn) do
    case List.keyfind(conn.req_headers, "content-length", 0) do
      {_, length} when length != "0" -> raise BodyError, reason: :already_read
      _ -> :ok
    end
  end

  defp check_unread!(_), do: :ok

  # Plug's own default would otherwise stay where the service sets nothing.
  defp put_headers(conn, headers) do
    conn = module(conn).delete_resp_header(conn, "cache-control")

    headers
    |> Enum.group_by(&elem(&1, 0), &elem(&1, 1))
    |> Enum.reduce(conn, fn {name, values}, conn ->
      module(conn).put_resp_header(conn, name, Enum.join(values, ", "))
    end)
  end

  defp answer(conn, status, {:full, body}), do: module(conn).send_resp(conn, status, body)

  defp answer(conn, status, {:stream, rest}) do
    conn = module(conn).send_chunked(conn, status)

    try do
      stream(conn, rest)
    after
      # At once, not when this process's memory is collected.
      Native.keeper_let_go(rest)
    end
  end

  defp stream(conn, rest) do
    with {:ok, piece} <- Call.await(&Native.keeper_pull(&1, rest)),
         {:ok, conn} <- module(conn).chunk(conn, piece) do
      stream(conn, rest)
    else
      # The end; or the client has gone; or the engine could not go on, and the client comes back.
      _ -> conn
    end
  end

  defp halt(conn), do: module(conn).halt(conn)

  defp module(%{__struct__: module}), do: module
  defp module(_), do: Plug.Conn
end

defmodule DurableStreams.Protocol.BodyError do
  @moduledoc """
  Raised when the body of a request cannot be read: `reason` is what `Plug.Conn.read_body/2` said,
  or `:already_read` when another plug, such as `Plug.Parsers`, came first.
  """
  defexception [:reason, plug_status: 400]

  @impl true
  def message(%{reason: :already_read}) do
    "the request's body was read before DurableStreams.Protocol.Plug came: mount it before Plug.Parsers " <>
      "(`plug DurableStreams.Protocol.Plug, at: \"/v1/stream\"` in the endpoint)"
  end

  def message(%{reason: reason}), do: "the request's body could not be read: #{inspect(reason)}"
end
