# Serves two engines, each on a port of its own, until standard input ends: one through the plug
# behind a web server in Elixir, one through a listener. `cargo xtask test elixir` holds both to
# the public server suite.
alias DurableStreams.{Server, Storage}
alias DurableStreams.Test.PlugServer

settings = [storage: :memory, long_poll_timeout: 1000, webhooks: :dev]
{:ok, _} = Storage.start_link([name: Suite] ++ settings)

router = &PlugServer.forward(&1, "/v1/stream", DurableStreams.Protocol.Plug, storage: Suite)
{:ok, plug} = PlugServer.start_link(plug: router)
{:ok, listener} = Server.start_link(settings)

IO.puts(PlugServer.url(plug))
IO.puts("http://127.0.0.1:#{Server.port(listener)}")
IO.read(:stdio, :eof)
