defmodule DurableStreams.Adapter.Session do
  @moduledoc false
  # What is kept between commands: content types, writers, dynamic values, time limits.

  alias DurableStreams.Adapter.Dynamic
  alias DurableStreams.{Client, Writer}

  @octets "application/octet-stream"
  @limits %{
    "requestTimeoutMs" => :timeout,
    "longPollTimeoutMs" => :long_poll_timeout,
    "sseIdleTimeoutMs" => :sse_idle_timeout
  }

  defstruct [:server_url, :owner, content_types: %{}, writers: %{}, headers: %{}, params: %{}, limits: []]

  def new(server_url) do
    # Whoever starts a writer again after a crash is its supervisor; a new session is a new program.
    {:ok, owner} = Agent.start(fn -> Process.flag(:trap_exit, true) end)
    %__MODULE__{server_url: String.trim_trailing(server_url, "/"), owner: owner}
  end

  def start_writer(session, options), do: Agent.get(session.owner, fn _ -> Writer.start_link(options) end)

  # Lets everything go without a word, as a program that ends does.
  def forget(session) do
    for {_key, writer} <- session.writers, do: Process.exit(writer, :kill)
    Process.exit(session.owner, :kill)
  end

  def limits(session, command) do
    limits = for {name, option} <- @limits, is_map_key(command, name), do: {option, command[name]}
    %{session | limits: limits}
  end

  # The handle of a command, with the content type known from earlier ones.
  def stream(session, command, sent \\ nil) do
    {headers, params} = Dynamic.functions(sent)
    own = command["headers"] || %{}

    session.server_url
    |> Client.new(session.limits)
    |> Client.stream(command["path"])
    |> DurableStreams.Stream.with_content_type(content_type(session, command))
    |> DurableStreams.Stream.with_headers(Map.merge(headers, own))
    |> DurableStreams.Stream.with_params(params)
  end

  def content_type(session, command), do: Map.get(session.content_types, command["path"], @octets)

  def is_json(session, command) do
    type = command["contentType"] || content_type(session, command)
    String.starts_with?(type, "application/json")
  end

  # Remembers the content type of a path, or forgets it.
  def learn(session, command, nil),
    do: %{session | content_types: Map.delete(session.content_types, command["path"])}

  def learn(session, command, content_type),
    do: %{session | content_types: Map.put(session.content_types, command["path"], content_type)}
end
