# frozen_string_literal: true

require_relative "spec_helper"

# The published documentation's example.
RSpec.describe "EventService", :durable_streams do
  let(:client) { DurableStreams::Client.new(base_url: test_server_url) }
  let(:stream) { client.stream("/test-stream") }

  before do
    stream.create(content_type: "application/json")
  end

  it "publishes events" do
    stream.append({ event: "test" })

    items = stream.read.first.items
    expect(items).to include(hash_including("event" => "test"))
  end

  it "finds the server empty" do
    expect(stream).to have_messages
  end

  it "has a matcher for what a stream holds" do
    stream.append({ event: "test" })
    stream.append([1])
    expect(stream).to have_messages(include("event" => "test"), [1])
    expect(stream).not_to have_messages([1])
    expect(stream).to exist
    expect { expect(stream).to have_messages(1) }.to raise_error(RSpec::Expectations::ExpectationNotMetError, /holds/)
  end

  it "can break the network" do
    streams_server.inject_fault("/test-stream", status: 503, count: 1)
    expect(stream.head).not_to be_closed
  end
end

RSpec.describe "A program with URLs of its own", durable_streams: :mock do
  let(:orders) { DurableStreams.create("https://streams.example.com/v1/orders") }

  it "is seen to append" do
    expect { orders.append({ id: 7 }) }.to have_appended_to("/v1/orders").with(id: 7)
    expect { orders.append('{"id":8}') }.to have_appended_to("/v1/orders").with('{"id":8}')
    expect { orders.append({ id: 9 }) }.not_to have_appended_to("/v1/orders").with({ "id" => 8 })
    expect { orders.append({ id: 9, at: 1 }) }.to have_appended_to("/v1/orders").with(hash_including("id" => 9))
    expect { orders.head }.not_to have_appended_to("/v1/orders")
    expect(DurableStreams::Testing).to have_appended_to("/v1/orders")
    expect(DurableStreams::Testing).not_to have_appended_to("/v1")
  end

  it "is seen to ask" do
    expect { orders }.to have_made_request(:put).to("/v1/orders")
    expect { orders.append("1") }.to have_made_request(:post).to("/v1/orders").with_body("[1]")
    expect { orders.append("2") }.not_to have_made_request(:post).with_body(/1/)
    expect { expect { nil }.to have_made_request(:get) }
      .to raise_error(RSpec::Expectations::ExpectationNotMetError, "expected to make a GET request, but saw no request")
  end

  it "gets the answers it is given" do
    streams_mock.on(:head, "/v1/orders", status: 403)
    expect { orders.head }.to raise_error(DurableStreams::ForbiddenError)
  end
end
