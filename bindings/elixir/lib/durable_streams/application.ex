defmodule DurableStreams.Application do
  @moduledoc false
  use Application

  @impl true
  def start(_type, _arguments) do
    children = []
    Supervisor.start_link(children, strategy: :one_for_one, name: DurableStreams.Supervisor)
  end
end
