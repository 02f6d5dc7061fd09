# frozen_string_literal: true

module DurableStreams
  # Version of the gem.
  VERSION = "0.1.0"
end
