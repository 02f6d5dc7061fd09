# frozen_string_literal: true

# The Ruby client behind the conformance kit's adapter protocol: one JSON command per line on
# standard input, one JSON result per line on standard output.
$LOAD_PATH.unshift(File.expand_path("../lib", __dir__))

require "json"
require "durable_streams"
require_relative "outcome"
require_relative "session"
require_relative "commands"

$stdout.sync = true
$stdin.set_encoding(Encoding::UTF_8)
commands = Commands.new
while (line = $stdin.gets)
  next if line.strip.empty?

  begin
    command = JSON.parse(line)
  rescue JSON::ParserError => e
    puts JSON.generate(Outcome.error("init", "PARSE_ERROR", e.message))
    next
  end
  # ASCII only, so that nothing in it can be taken for the end of the line.
  puts JSON.generate(commands.perform(command), ascii_only: true)
  break if command["type"] == "shutdown"
end
