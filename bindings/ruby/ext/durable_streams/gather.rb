# frozen_string_literal: true

require "fileutils"

# Copies the Rust sources that the extension is built from into `rust/`, as a gem must carry them:
# a workspace like the one they come from, with the members that are needed. Does nothing where
# there is only the copy, in the gem.
module Gather
  GEM = File.expand_path("../..", __dir__)
  REPOSITORY = File.expand_path("../..", GEM)
  COPY = File.join(GEM, "rust")
  MEMBERS = %w[bindings/shared core core/protocol server].freeze
  # Lies at the same depth in both, so that its paths hold.
  EXTENSION = "bindings/ruby/ext/durable_streams"

  module_function

  def call
    return unless File.exist?(File.join(REPOSITORY, "core/Cargo.toml"))

    FileUtils.rm_rf(COPY)
    [*MEMBERS, EXTENSION].each do |package|
      ["Cargo.toml", "Cargo.lock", *Dir.chdir(File.join(REPOSITORY, package)) { Dir["src/**/*.rs"] }].each do |file|
        copy(File.join(package, file))
      end
    end
    members = MEMBERS.map(&:inspect).join(", ")
    workspace = File.read(File.join(REPOSITORY, "Cargo.toml"))
    workspace.sub!(/^members = \[.*?\]$/m, "members = [#{members}]") || raise("Cargo.toml names no members")
    File.write(File.join(COPY, "Cargo.toml"), workspace)
  end

  def copy(file)
    from = File.join(REPOSITORY, file)
    return unless File.exist?(from)

    to = File.join(COPY, file)
    FileUtils.mkdir_p(File.dirname(to))
    FileUtils.cp(from, to)
  end
end
