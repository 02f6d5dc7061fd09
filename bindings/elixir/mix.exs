defmodule Mix.Tasks.Compile.DurableStreamsNif do
  @moduledoc """
  Builds the native library with cargo and puts it into `priv/`.

  `DURABLE_STREAMS_NIF` names a library that is built already; then cargo is not needed.
  `DURABLE_STREAMS_PROFILE` (`debug` or `release`) chooses how it is built; the default is
  `release` where Mix builds for production, as it does for dependencies.
  """
  use Mix.Task.Compiler

  @file_name "durable_streams_elixir"

  @impl true
  def run(_arguments) do
    built = System.get_env("DURABLE_STREAMS_NIF") || cargo_build()
    changed = install(built, Path.expand("priv/#{@file_name}.so", __DIR__))
    # Makes `priv` part of the build folder, which the code server looks into.
    Mix.Project.build_structure()
    {if(changed, do: :ok, else: :noop), []}
  end

  defp cargo_build do
    manifest = Path.expand("native/Cargo.toml", __DIR__)
    target = System.get_env("CARGO_TARGET_DIR") || target_dir()

    profile =
      System.get_env("DURABLE_STREAMS_PROFILE") || if(Mix.env() == :prod, do: "release", else: "debug")

    flags = if profile == "release", do: ["--release"], else: []

    arguments = ["build", "--quiet", "--manifest-path", manifest, "--target-dir", target | flags]

    case System.cmd("cargo", arguments, into: IO.stream(), stderr_to_stdout: true) do
      {_, 0} -> Path.join([target, profile, library_name()])
      {_, status} -> Mix.raise("cargo build ended with #{status}")
    end
  rescue
    error in ErlangError ->
      Mix.raise("cannot run cargo (#{inspect(error.original)}); install Rust from https://rustup.rs")
  end

  # In a checkout the target folder of the whole repository, whose builds can be used again.
  defp target_dir do
    repository = Path.expand("../..", __DIR__)

    if File.exists?(Path.join(repository, "bindings/elixir/mix.exs")),
      do: Path.join(repository, "target"),
      else: Path.expand("native/target", __DIR__)
  end

  defp library_name do
    case :os.type() do
      {:unix, :darwin} -> "lib#{@file_name}.dylib"
      {:unix, _} -> "lib#{@file_name}.so"
      {:win32, _} -> "#{@file_name}.dll"
    end
  end

  # Replaces the file instead of writing into it: another VM may have it loaded.
  defp install(built, wanted) do
    if File.exists?(wanted) and same?(built, wanted) do
      false
    else
      File.mkdir_p!(Path.dirname(wanted))
      temporary = "#{wanted}.#{System.pid()}"
      File.cp!(built, temporary)
      File.rename!(temporary, wanted)
      true
    end
  end

  defp same?(built, wanted) do
    built = File.stat!(built, time: :posix)
    wanted = File.stat!(wanted, time: :posix)
    built.size == wanted.size and built.mtime <= wanted.mtime
  end
end

defmodule DurableStreams.MixProject do
  use Mix.Project

  def project do
    [
      app: :durable_streams,
      version: "0.1.0",
      elixir: "~> 1.14",
      description: "Durable Streams: client, exactly-once writer and embedded server over one Rust core",
      package: [
        licenses: ["MIT", "Apache-2.0"],
        files: ~w(lib native/src native/Cargo.* mix.exs README.md LICENSE-*)
      ],
      compilers: [:durable_streams_nif] ++ Mix.compilers(),
      elixirc_paths: elixirc_paths(Mix.env()),
      elixirc_options: [warnings_as_errors: Mix.env() == :test],
      start_permanent: Mix.env() == :prod,
      deps: []
    ]
  end

  def application do
    [mod: {DurableStreams.Application, []}, extra_applications: [:logger]]
  end

  defp elixirc_paths(:test), do: ["lib", "test/support", "adapter"]
  defp elixirc_paths(_), do: ["lib"]
end
