defmodule DurableStreams.Call do
  @moduledoc false
  # Waits for an operation of `DurableStreams.Native`.

  alias DurableStreams.Native

  @doc """
  Starts an operation and waits for its outcome. After `timeout` ms it is cancelled, and its
  message never comes.
  """
  def await(start, timeout \\ :infinity) do
    ref = make_ref()
    start.(ref) |> outcome(ref, timeout)
  end

  @doc "The same for an operation that was started with `ref`."
  def outcome(operation, ref, timeout \\ :infinity) do
    receive do
      {^ref, result} -> result
    after
      timeout -> give_up(operation, ref)
    end
  end

  @doc "Cancels an operation whose outcome nobody wants."
  def abandon(operation, ref) do
    give_up(operation, ref)
    :ok
  end

  defp give_up(operation, ref) do
    if Native.cancel(operation) do
      {:error, %{reason: :timeout, code: "TIMEOUT", detail: "no answer in time"}}
    else
      # It was faster: the message is here, or about to be.
      receive do
        {^ref, result} -> result
      end
    end
  end
end
