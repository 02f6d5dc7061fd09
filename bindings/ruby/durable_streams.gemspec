# frozen_string_literal: true

require_relative "lib/durable_streams/version"

# A gem with the extension inside, for the platform that builds it: its sources are a workspace
# of Rust that a gem cannot carry.
Gem::Specification.new do |spec|
  spec.name = "durable_streams"
  spec.version = DurableStreams::VERSION
  spec.summary = "Client for the Durable Streams protocol"
  spec.description = "Append-only streams over HTTP: read from any offset, follow live, write exactly once."
  spec.authors = ["The Durable Streams authors"]
  spec.licenses = ["MIT", "Apache-2.0"]
  spec.required_ruby_version = ">= 3.0"
  spec.platform = Gem::Platform::CURRENT
  spec.files = Dir.chdir(__dir__) { Dir["lib/**/*.{rb,so,bundle}", "README.md", "LICENSE-*"] }
  raise "build the extension first: rake compile" unless spec.files.any? { |file| file.end_with?(".so", ".bundle") }
end
