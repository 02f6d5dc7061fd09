# frozen_string_literal: true

require_relative "lib/durable_streams/version"
require_relative "ext/durable_streams/gather"

# Two gems come of it. With NATIVE=1, for the platform that builds it: the extension is inside, and
# installing it needs neither Rust nor a network. Without: the sources are inside, the Rust
# workspace among them, and installing it builds the extension.
Gem::Specification.new do |spec|
  spec.name = "durable_streams"
  spec.version = DurableStreams::VERSION
  spec.summary = "Client for the Durable Streams protocol"
  spec.description = "Append-only streams over HTTP: read from any offset, follow live, write exactly once."
  spec.authors = ["The Durable Streams authors"]
  spec.licenses = ["MIT", "Apache-2.0"]
  spec.required_ruby_version = ">= 3.0"
  spec.metadata = { "rubygems_mfa_required" => "true" }
  spec.files = Dir.chdir(__dir__) { Dir["lib/**/*.rb", "sig/**/*.rbs", "examples/**/*.rb", "README.md", "LICENSE-*", ".yardopts"] }
  if ENV["NATIVE"]
    extension = Dir.chdir(__dir__) { Dir["lib/durable_streams/*.{so,bundle}"] }
    raise "build the extension first: rake compile" if extension.empty?

    spec.platform = Gem::Platform::CURRENT
    spec.files += extension
  else
    Gather.call
    spec.extensions = ["ext/durable_streams/extconf.rb"]
    spec.files += Dir.chdir(__dir__) { Dir["ext/durable_streams/*.rb", "rust/**/*"].select { |path| File.file?(path) } }
  end
end
