# frozen_string_literal: true

$LOAD_PATH.unshift(File.expand_path("../lib", __dir__)) unless ENV["DURABLE_STREAMS_INSTALLED"]

require "durable_streams/rspec"
