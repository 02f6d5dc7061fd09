defmodule Plug.Conn.Unfetched do
  @moduledoc false
  defstruct [:aspect]
end

defmodule Plug.Conn do
  @moduledoc """
  As much of `Plug.Conn` as `DurableStreams.Protocol.Plug` may rely on, after Plug's documentation:
  the same fields, functions and results, and adapters of the same callbacks.
  """
  defstruct adapter: nil,
            assigns: %{},
            body_params: %Plug.Conn.Unfetched{aspect: :body_params},
            halted: false,
            host: "www.example.com",
            method: "GET",
            path_info: [],
            port: 80,
            private: %{},
            query_string: "",
            remote_ip: {127, 0, 0, 1},
            req_headers: [],
            request_path: "/",
            resp_body: nil,
            resp_headers: [{"cache-control", "max-age=0, private, must-revalidate"}],
            scheme: :http,
            script_name: [],
            state: :unset,
            status: nil

  def read_body(%{adapter: {module, state}} = conn, options) do
    case module.read_req_body(state, options) do
      {tag, data, state} when tag in [:ok, :more] -> {tag, data, %{conn | adapter: {module, state}}}
      {:error, reason} -> {:error, reason}
    end
  end

  def put_resp_header(%{state: :unset} = conn, name, value) when is_binary(value) do
    if name != String.downcase(name), do: raise(ArgumentError, "header #{inspect(name)} is not lower case")
    if String.contains?(value, ["\r", "\n"]), do: raise(ArgumentError, "header #{name} is split")
    %{conn | resp_headers: List.keystore(conn.resp_headers, name, 0, {name, value})}
  end

  def delete_resp_header(%{state: :unset} = conn, name) do
    %{conn | resp_headers: List.keydelete(conn.resp_headers, name, 0)}
  end

  def send_resp(%{state: :unset, adapter: {module, state}} = conn, status, body) when is_integer(status) do
    {:ok, body, state} = module.send_resp(state, status, conn.resp_headers, body)
    %{conn | adapter: {module, state}, status: status, state: :sent, resp_body: body}
  end

  def send_chunked(%{state: :unset, adapter: {module, state}} = conn, status) when is_integer(status) do
    {:ok, body, state} = module.send_chunked(state, status, conn.resp_headers)
    %{conn | adapter: {module, state}, status: status, state: :chunked, resp_body: body}
  end

  def chunk(%{state: :chunked, adapter: {module, state}} = conn, data) do
    if IO.iodata_length(data) == 0 do
      {:ok, conn}
    else
      case module.chunk(state, data) do
        :ok -> {:ok, conn}
        {:ok, body, state} -> {:ok, %{conn | adapter: {module, state}, resp_body: body}}
        {:error, reason} -> {:error, reason}
      end
    end
  end

  def halt(conn), do: %{conn | halted: true}
end
