# frozen_string_literal: true

# config/initializers/durable_streams.rb
#
# One client for the whole application. With `preload_app!` Puma makes it in the master and the
# workers go on with it; a Producer is made in the worker (`on_worker_boot`), where it is used.
require "durable_streams"

DurableStreams.logger = Rails.logger

RAILS_DURABLE_STREAMS = DurableStreams::Client.new(
  base_url: ENV.fetch("STREAMS_URL"),
  # A callable is asked before every request: a token that was renewed is used at once.
  headers: { "Authorization" => -> { "Bearer #{ENV.fetch('STREAMS_TOKEN')}" } }
)
