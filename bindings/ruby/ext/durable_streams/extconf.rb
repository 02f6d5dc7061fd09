# frozen_string_literal: true

# Writes a Makefile that builds the extension with cargo, for `gem install`. Whoever installs from
# crates that are there already sets CARGO_NET_OFFLINE=true; CARGO_TARGET_DIR keeps what was built;
# DURABLE_STREAMS_PROFILE=dev builds quickly.
require "rbconfig"

OLDEST_RUST = "1.95"

cargo = ENV.fetch("CARGO", "cargo")
version = begin
  IO.popen([cargo, "--version"], &:read)[/\d+\.\d+/]
rescue SystemCallError
  nil
end
if version.nil? || Gem::Version.new(version) < Gem::Version.new(OLDEST_RUST)
  abort "durable_streams: found #{version ? "Rust #{version}" : 'no Rust'}; install Rust #{OLDEST_RUST} or newer " \
        "(https://rustup.rs) and libclang, or take the gem for your platform"
end

gathered = File.expand_path("../../rust/bindings/ruby/ext/durable_streams", __dir__)
package = File.directory?(gathered) ? gathered : __dir__
profile = ENV.fetch("DURABLE_STREAMS_PROFILE", "release")
target = ENV.fetch("CARGO_TARGET_DIR", File.join(__dir__, "target"))
prefix, suffix, extension =
  case RbConfig::CONFIG["host_os"]
  when /darwin/ then %w[lib dylib bundle]
  when /mswin|mingw/ then ["", "dll", "so"]
  else %w[lib so so]
  end
built = File.join(target, profile == "dev" ? "debug" : profile, "#{prefix}durable_streams_ruby.#{suffix}")
# What was built is large; only a folder of the caller's own is kept.
tidy = ENV.key?("CARGO_TARGET_DIR") ? "@:" : "rm -rf #{target}"

# RubyGems says where the extension belongs: newer ones to make, older ones here.
File.write("Makefile", <<~MAKEFILE)
  sitearchdir = #{RbConfig::CONFIG["sitearchdir"]}
  folder = $(DESTDIR)$(sitearchdir)/durable_streams

  all:
  \t#{cargo} build --profile #{profile} --manifest-path "#{package}/Cargo.toml" --target-dir "#{target}"

  install: all
  \tmkdir -p "$(folder)"
  \tcp "#{built}" "$(folder)/durable_streams_ruby.#{extension}"
  \t-strip -S "$(folder)/durable_streams_ruby.#{extension}"
  \t#{tidy}

  clean:
  \t@:

  .PHONY: all install clean
MAKEFILE
