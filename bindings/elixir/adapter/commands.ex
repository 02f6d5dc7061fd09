defmodule DurableStreams.Adapter.Commands do
  @moduledoc false
  # One function per command.

  alias DurableStreams.Adapter.{Dynamic, Outcome, Read, Session}
  alias DurableStreams.{Client, Error, JSON, Stream, Writer}

  @features ~w(batching sse longPoll auto streaming dynamicHeaders retryOptions batchItems strictZeroValidation
               configure etag cursor fork producerRestart requestCounter errorDetails appendProducer readers
               failingProvider sseIdle)
  @octets "application/octet-stream"
  # Longer than any batch takes to fill: only the flush sends it.
  @long_linger 60_000

  def perform(%{"type" => kind} = command, session) do
    run(kind, command, session)
  rescue
    error -> {Outcome.failure(kind, error), session}
  end

  defp run("init", command, session) do
    Session.forget(session)

    result =
      Outcome.success("init", %{
        clientName: "durable_streams (Elixir)",
        clientVersion: DurableStreams.version(),
        features: Map.new(@features, &{&1, true})
      })

    {result, Session.new(command["serverUrl"])}
  end

  defp run("configure", command, session),
    do: {Outcome.success("configure"), Session.limits(session, command)}

  defp run("shutdown", _command, session), do: {Outcome.success("shutdown"), session}

  defp run("set-dynamic-header", command, session) do
    headers = Map.put(session.headers, command["name"], Dynamic.new(command))
    {Outcome.success("set-dynamic-header"), %{session | headers: headers}}
  end

  defp run("set-dynamic-param", command, session) do
    params = Map.put(session.params, command["name"], Dynamic.new(command))
    {Outcome.success("set-dynamic-param"), %{session | params: params}}
  end

  defp run("clear-dynamic", _command, session),
    do: {Outcome.success("clear-dynamic"), %{session | headers: %{}, params: %{}}}

  defp run("create", command, session) do
    type = command["contentType"] || if(command["forkFrom"], do: nil, else: @octets)

    stream =
      Stream.create!(%{Session.stream(session, command) | content_type: nil},
        content_type: type,
        ttl_seconds: command["ttlSeconds"],
        expires_at: command["expiresAt"],
        data: command["data"],
        closed: command["closed"],
        fork_from: command["forkFrom"],
        fork_offset: command["forkOffset"],
        fork_sub_offset: command["forkSubOffset"]
      )

    result =
      Outcome.success("create", %{status: if(stream.created, do: 201, else: 200), offset: stream.next_offset})

    {result, Session.learn(session, command, stream.content_type)}
  end

  defp run("connect", command, session) do
    {result, session} = run("head", command, session)
    {%{result | type: "connect"}, session}
  end

  defp run("head", command, session) do
    found = session |> Session.stream(command) |> Stream.head!()

    result =
      Outcome.success("head", %{
        status: found.status,
        offset: found.offset,
        contentType: found.content_type,
        ttlSeconds: found.ttl_seconds,
        expiresAt: found.expires_at,
        headers: Map.new(found.headers),
        streamClosed: found.stream_closed
      })

    {result, Session.learn(session, command, found.content_type)}
  end

  defp run("append", command, session) do
    sent = Dynamic.sent(session, command)

    appended =
      session
      |> Session.stream(command, sent)
      |> Stream.append!(body(session, command),
        seq: command["seq"],
        producer_id: command["producerId"],
        epoch: command["producerEpoch"],
        producer_seq: command["producerSeq"]
      )

    fields = %{
      status: 200,
      offset: appended.next_offset,
      duplicate: if(command["producerId"], do: appended.duplicate),
      producerEpoch: appended.producer_epoch,
      producerSeq: appended.producer_seq
    }

    {Outcome.success("append", Map.merge(fields, Dynamic.fields(sent))), session}
  end

  defp run("delete", command, session) do
    session |> Session.stream(command) |> Stream.delete!()
    {Outcome.success("delete", %{status: 200}), Session.learn(session, command, nil)}
  end

  defp run("close", command, session) do
    data = if command["data"], do: body(session, command)

    closed =
      session |> Session.stream(command) |> Stream.close!(data: data, content_type: command["contentType"])

    {Outcome.success("close", %{status: 200, finalOffset: closed.final_offset || ""}), session}
  end

  # One read, or `readers` of the same at once.
  defp run("read", command, session) do
    case command["readers"] do
      nil -> {Read.run(session, command), session}
      count -> {Read.run_many(session, command, count), session}
    end
  end

  defp run("idempotent-append", command, session) do
    {writer, session} = kept(command, session)

    keeping(command, session, fn ->
      :ok = Writer.append(writer, command["data"])
      :ok = Writer.flush!(writer)
      last = Writer.last_result(writer)

      Outcome.success("idempotent-append", %{
        status: 200,
        offset: last.next_offset,
        duplicate: last.duplicate,
        producerEpoch: last.producer_epoch,
        producerSeq: last.producer_seq
      })
    end)
  end

  defp run("idempotent-append-batch", command, session) do
    most = command["maxInFlight"] || 1

    options =
      if most > 1,
        do: [max_in_flight: most, max_batch_size: 1, linger_ms: 0],
        else: [max_in_flight: 1, linger_ms: @long_linger]

    writer = opened(command, session, options)

    try do
      :ok = Writer.append_all(writer, command["items"])
      :ok = Writer.flush!(writer)
      last = Writer.last_result(writer)

      result =
        Outcome.success("idempotent-append-batch", %{
          status: 200,
          duplicate: last.duplicate,
          producerEpoch: last.producer_epoch,
          producerSeq: last.producer_seq
        })

      {result, session}
    after
      Writer.close(writer)
    end
  end

  defp run("idempotent-close", command, session) do
    {writer, session} = kept(command, session)

    keeping(command, session, fn ->
      closed = Writer.close_stream!(writer, command["data"])
      Outcome.success("idempotent-close", %{status: 200, finalOffset: closed.final_offset})
    end)
  end

  defp run("idempotent-detach", command, session) do
    {writer, writers} = Map.pop(session.writers, key(command))
    session = %{session | writers: writers}

    keeping(command, session, fn ->
      if writer, do: :ok = Writer.close!(writer)
      Outcome.success("idempotent-detach", %{status: 200})
    end)
  end

  # Starts the writer's next epoch; it stays under the epoch it was named with.
  defp run("idempotent-restart", command, session) do
    {writer, session} = kept(command, session)

    keeping(command, session, fn ->
      :ok = Writer.restart!(writer)
      Outcome.success("idempotent-restart", %{status: 200, producerEpoch: Writer.epoch(writer)})
    end)
  end

  defp run("validate", %{"target" => target}, session) do
    validate(target, session)
    {Outcome.success("validate"), session}
  end

  defp run(kind, _command, _session),
    do: raise(Outcome.NotSupported, message: "there is no command #{inspect(kind)}")

  # A failure must not lose what the session has learned.
  defp keeping(command, session, work) do
    {work.(), session}
  rescue
    error -> {Outcome.failure(command["type"], error), session}
  end

  # An item of an array stays one message: JSON text travels inside an array.
  defp body(_session, %{"binary" => true, "data" => data}), do: Base.decode64!(data)

  defp body(session, command) do
    data = command["data"] || ""
    is_value = Session.is_json(session, command) and match?({:ok, _}, JSON.decode(data))
    if is_value, do: "[" <> data <> "]", else: data
  end

  defp kept(command, session) do
    key = key(command)

    case session.writers do
      %{^key => writer} ->
        {writer, session}

      writers ->
        writer = opened(command, session, max_in_flight: 1, linger_ms: 0)
        {writer, %{session | writers: Map.put(writers, key, writer)}}
    end
  end

  defp key(command), do: {command["path"], command["producerId"], command["epoch"]}

  defp opened(command, session, options) do
    start(
      session,
      [
        stream: Session.stream(session, command),
        producer_id: command["producerId"],
        epoch: command["epoch"] || 0,
        auto_claim: command["autoClaim"] == true,
        on_error: fn _error, _messages -> :ok end
      ] ++ options
    )
  end

  defp start(session, options) do
    case Session.start_writer(session, options) do
      {:ok, writer} -> writer
      {:error, {:invalid_argument, text}} -> raise ArgumentError, text
      {:error, reason} -> raise Error, reason: reason, code: "INTERNAL_ERROR"
    end
  end

  defp validate(%{"target" => "retry-options"} = target, _session) do
    retry =
      for {name, option} <- [
            {"maxRetries", :max_retries},
            {"initialDelayMs", :initial_delay},
            {"maxDelayMs", :max_delay},
            {"multiplier", :multiplier}
          ],
          is_map_key(target, name),
          do: {option, target[name]}

    Client.new("http://127.0.0.1:9", retry: retry)
  end

  defp validate(%{"target" => "idempotent-producer"} = target, session) do
    options =
      for {name, option} <- [
            {"epoch", :epoch},
            {"maxBatchBytes", :max_batch_bytes},
            {"maxBatchItems", :max_batch_size},
            {"maxInFlight", :max_in_flight},
            {"lingerMs", :linger_ms}
          ],
          is_map_key(target, name),
          do: {option, target[name]}

    stream = "http://127.0.0.1:9" |> Client.new() |> Client.stream("/validated")
    id = target["producerId"] || "validated"
    start(session, [stream: Stream.with_content_type(stream, "text/plain"), producer_id: id] ++ options)
  end

  defp validate(%{"target" => other}, _session),
    do: raise(Outcome.NotSupported, message: "there is no target #{inspect(other)}")
end
