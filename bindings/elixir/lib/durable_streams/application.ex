defmodule DurableStreams.Application do
  @moduledoc false
  use Application

  @impl true
  def start(_type, _arguments) do
    Supervisor.start_link([DurableStreams.Dispatcher, DurableStreams.Writers, DurableStreams.Storage],
      strategy: :one_for_one,
      name: DurableStreams.Supervisor
    )
  end
end
