# frozen_string_literal: true

# Client for the Durable Streams protocol.
module DurableStreams
end

require "json"
require "logger"
require "time"
require_relative "durable_streams/version"
require_relative "durable_streams/errors"
require_relative "durable_streams/types"
require "durable_streams/durable_streams_ruby"
require_relative "durable_streams/native"
require_relative "durable_streams/context"
require_relative "durable_streams/client"
require_relative "durable_streams/reader"
require_relative "durable_streams/stream"
require_relative "durable_streams/producer"
require_relative "durable_streams/module_functions"
