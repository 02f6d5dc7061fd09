# frozen_string_literal: true

# app/controllers/events_controller.rb
#
# Passes a stream on to browsers as server-sent events. The id of each event is the offset behind
# it: a browser that comes back sends it, and goes on where it was.
class EventsController < ApplicationController
  include ActionController::Live

  def index
    response.headers["Content-Type"] = "text/event-stream"
    events = ActionController::Live::SSE.new(response.stream)
    offset = request.headers["Last-Event-ID"] || "-1"
    RAILS_DURABLE_STREAMS.stream(EventPublisher::STREAM).read(offset: offset, live: :sse) do |reader|
      reader.each_batch { |batch| events.write(batch.items, id: batch.offset) unless batch.empty? }
    end
  rescue ActionController::Live::ClientDisconnected
    # The browser has gone, and with it the read.
  ensure
    events&.close
  end
end
