defmodule DurableStreams.Test.Reading do
  @moduledoc "A struct whose JSON form is derived, where Elixir can do that."

  if Code.ensure_loaded?(JSON.Encoder), do: @derive({JSON.Encoder, only: [:kwh, :at]})
  defstruct [:kwh, :at, :secret]
end

defmodule DurableStreams.Test.Money do
  @moduledoc "A struct with a JSON form of its own."

  defstruct [:cents]

  if Code.ensure_loaded?(JSON.Encoder) do
    defimpl JSON.Encoder do
      def encode(money, encoder), do: encoder.("#{money.cents} cents", encoder)
    end
  end
end

defmodule DurableStreams.Test.Secret do
  @moduledoc "A struct without a JSON form."

  defstruct [:value]
end
