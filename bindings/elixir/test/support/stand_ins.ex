defmodule Jason do
  @moduledoc "As much of the library as an example of the client's page uses."

  def decode!(items) when is_list(items), do: items
end

defmodule Experimental.Flow do
  @moduledoc "As much of the library as an example of the client's page uses, in one process."

  def from_enumerable(enumerable), do: enumerable
  def flat_map(flow, function), do: Stream.flat_map(flow, function)
  def map(flow, function), do: Stream.map(flow, function)
  def partition(flow), do: flow
  def reduce(flow, start, function), do: [Enum.reduce(flow, start.(), function)]
end
