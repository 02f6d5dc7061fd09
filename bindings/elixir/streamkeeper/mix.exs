defmodule Streamkeeper.MixProject do
  use Mix.Project

  def project do
    [
      app: :streamkeeper,
      version: "0.1.0",
      elixir: "~> 1.14",
      description:
        "Durable Streams embedded in Elixir applications: another name of the package durable_streams",
      package: [licenses: ["MIT", "Apache-2.0"], files: ~w(lib mix.exs README.md)],
      start_permanent: Mix.env() == :prod,
      deps: [durable_streams()]
    ]
  end

  def application, do: []

  # In a checkout, the one beside it.
  defp durable_streams do
    if File.exists?(Path.expand("../mix.exs", __DIR__)),
      do: {:durable_streams, path: ".."},
      else: {:durable_streams, "~> 0.1"}
  end
end
