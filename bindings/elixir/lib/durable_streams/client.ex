defmodule DurableStreams.Client do
  @moduledoc """
  Where streams are, and how requests to them are made. Plain data: it can be kept in a module
  attribute, sent to other processes and nodes, and used by any number of them. All clients
  share one pool of connections.

      client = DurableStreams.Client.new("https://streams.example.com", timeout: 60_000)
      orders = DurableStreams.Client.stream(client, "/orders")
  """

  alias DurableStreams.{Native, Request}

  @type headers :: Enumerable.t({atom() | String.t(), String.t() | (() -> String.t())})

  @type t :: %__MODULE__{
          base_url: String.t(),
          default_headers: headers(),
          params: headers(),
          timeout: pos_integer(),
          long_poll_timeout: pos_integer() | nil,
          sse_idle_timeout: pos_integer() | nil,
          connect_timeout: pos_integer() | nil,
          retry: keyword()
        }

  @enforce_keys [:base_url]
  defstruct [
    :base_url,
    :long_poll_timeout,
    :sse_idle_timeout,
    :connect_timeout,
    default_headers: %{},
    params: %{},
    timeout: 30_000,
    retry: []
  ]

  @retry_numbers [:max_retries, :initial_delay, :max_delay, :multiplier]

  @doc """
  Makes a client.

    * `:headers` - of every request. A value may be a function without arguments: it is called
      before every HTTP request, retries and reconnects included, in a process of its own
    * `:params` - query parameters of every request; functions as for headers
    * `:timeout` - limit of one exchange. Units: ms. Default: 30_000
    * `:long_poll_timeout` - limit of an unanswered long-poll. Units: ms
    * `:sse_idle_timeout` - longest silence of an SSE answer. Units: ms
    * `:connect_timeout` - limit of making a connection, on connections of its own. Units: ms
    * `:retry` - how requests are repeated: `:max_retries`, `:initial_delay`, `:max_delay`
      (Units: ms), `:multiplier`. Default: 3 retries after 100 ms, doubling, with jitter
  """
  @spec new(String.t(), keyword()) :: t()
  def new(base_url, opts \\ []) when is_binary(base_url) do
    opts =
      Keyword.validate!(opts, [
        :headers,
        :params,
        :timeout,
        :long_poll_timeout,
        :sse_idle_timeout,
        :connect_timeout,
        :retry
      ])

    retry = Keyword.validate!(opts[:retry] || [], @retry_numbers)
    check_retry!(retry)

    if Application.get_env(:durable_streams, :verify_ssl, true) != true do
      raise ArgumentError, "config :durable_streams, verify_ssl: certificates are always verified"
    end

    %__MODULE__{
      base_url: String.trim_trailing(base_url, "/"),
      default_headers: opts[:headers] || %{},
      params: opts[:params] || %{},
      timeout: opts[:timeout] || 30_000,
      long_poll_timeout: opts[:long_poll_timeout],
      sse_idle_timeout: opts[:sse_idle_timeout],
      connect_timeout: opts[:connect_timeout],
      retry: retry
    }
  end

  defp check_retry!([]), do: :ok

  # The core says what is wrong with the numbers; it is asked before a request needs them.
  defp check_retry!(retry) do
    handle = %{
      stream(%__MODULE__{base_url: "http://localhost", retry: retry}, "")
      | content_type: "text/plain"
    }

    with {:error, %{detail: detail}} <- handle |> Request.settings() |> Native.check_settings(),
         do: raise(ArgumentError, "retry: #{detail}")
  end

  @doc "A handle of the stream at `path` below the base URL. Nothing is sent."
  @spec stream(t(), String.t()) :: DurableStreams.Stream.t()
  def stream(%__MODULE__{} = client, path), do: DurableStreams.Stream.new(client, path)
end
