# frozen_string_literal: true

# Writes parcels through a producer and reads them back:
#
#     ruby -Ilib examples/parcels.rb http://localhost:4437/v1/stream
#
# Without a URL it starts a server of its own.
require "durable_streams/testing"

def run(base_url)
  headers = { "Authorization" => -> { "Bearer #{ENV.fetch('TOKEN', 'dev')}" } }
  DurableStreams::Client.open(base_url: base_url, headers: headers) do |client|
    parcels = client.stream("/parcels")
    parcels.create(content_type: "application/json")

    DurableStreams::Producer.open(stream: parcels, producer_id: "dock-4", auto_claim: true) do |dock|
      3.times { |n| dock << { "parcel" => n }.to_json }
    end

    parcels.read(offset: "-1").each do |batch|
      batch.items.each { |item| puts item["parcel"] }
      puts "next: #{batch.offset}"
    end
  end
end

ARGV.empty? ? DurableStreams::Testing::Server.start { |server| run(server.url) } : run(ARGV.first)
