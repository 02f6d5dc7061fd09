# frozen_string_literal: true

module DurableStreams
  VERSION = "0.1.0"
end
