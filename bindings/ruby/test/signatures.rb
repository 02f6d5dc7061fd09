# frozen_string_literal: true

# The signatures in `sig/`: well formed, and true of what the tests call. Not one of the tests
# itself: every call is slower while it is checked.
require "logger"
require "rbconfig"
require "rbs"
require "rbs/cli"

SIGNATURES = %w[-r logger -r monitor -I].push(File.expand_path("../sig", __dir__)).freeze
# Others hand over, on purpose, what no signature allows.
TRUE_OF = %w[documents producer testing fibers].freeze

RBS::CLI.new(stdout: $stdout, stderr: $stderr).run([*SIGNATURES, "validate", "--silent"])
CHECKED = { "RUBYOPT" => "-rrbs/test/setup", "RBS_TEST_TARGET" => "DurableStreams,DurableStreams::*",
            "RBS_TEST_OPT" => SIGNATURES.join(" "), "RBS_TEST_RAISE" => "true", "RBS_TEST_LOGLEVEL" => "error" }.freeze
TRUE_OF.each do |name|
  file = File.expand_path("#{name}_test.rb", __dir__)
  system(CHECKED, RbConfig.ruby, file) || abort("#{file}: not as sig/ says")
end
