# frozen_string_literal: true

# app/services/event_publisher.rb
#
# What a model or a service calls: one append, stored when it returns.
class EventPublisher
  STREAM = "/events"

  # Once, in a migration or `db/seeds.rb`; again is no error.
  def self.prepare
    RAILS_DURABLE_STREAMS.stream(STREAM).create(content_type: "application/json")
  end

  def self.publish(event)
    RAILS_DURABLE_STREAMS.stream(STREAM).append(event.to_json)
  end
end
