# frozen_string_literal: true

# No client at all: Net::HTTP on one connection and JSON, with the protocol followed by hand:
# `plain.rb WHAT SERVER`.
require "net/http"
require_relative "work"

SERVER = ARGV.fetch(1)

def connected(&block)
  uri = URI(SERVER)
  Net::HTTP.start(uri.host, uri.port, &block)
end

def created(name, content_type)
  uri = URI(Work.new_url(SERVER, name))
  connected { |http| http.put(uri.path, "", "Content-Type" => content_type).value }
  uri.path
end

# The bodies of a catch-up read. Net::HTTP asks for compressed ones, unless it is told not to.
def pages(url, headers = {})
  connected do |http|
    offset = "-1"
    loop do
      answer = http.get("#{URI(url).path}?offset=#{offset}", headers)
      answer.value
      yield answer.body
      break if answer["stream-up-to-date"]

      offset = answer["stream-next-offset"]
    end
  end
end

def read_json(headers = {})
  sum = 0
  taken = Work.seconds do
    pages(Work.json_url(SERVER), headers) { |page| JSON.parse(page).each { |message| sum += message["n"] } }
  end
  Work.expect(sum, Work::SUM)
  Work.report(messages_per_second: Work::MESSAGES / taken)
end

def read_json_uncompressed
  read_json({ "Accept-Encoding" => "identity" })
end

def read_bytes
  count = 0
  taken = Work.seconds { pages(Work.bytes_url(SERVER)) { |page| count += page.bytesize } }
  Work.expect(count, Work::READ_BYTES)
  Work.report(mib_per_second: (count >> 20) / taken)
end

def produce(name, content_type, messages)
  path = created(name, content_type)
  taken = Work.seconds do
    connected do |http|
      messages.each_slice(Work::BATCH) { |slice| http.post(path, yield(slice), "Content-Type" => content_type).value }
    end
  end
  Work.report(messages_per_second: messages.size / taken)
end

def produce_json
  produce("plain-json", "application/json", Array.new(Work::MESSAGES) { |number| Work.message(number) }) do |slice|
    JSON.generate(slice)
  end
end

def produce_bytes
  produce("plain-bytes", "application/octet-stream", Array.new(Work::MESSAGES) { "x" * Work::MESSAGE_BYTES }, &:join)
end

# The least that bytes one by one cost without a client: a request each.
def produce_bytes_singly
  path = created("plain-single", "application/octet-stream")
  count = 2_000
  message = "x" * Work::MESSAGE_BYTES
  taken = Work.seconds do
    connected { |http| count.times { http.post(path, message, "Content-Type" => "application/octet-stream").value } }
  end
  Work.report(messages_per_second: count / taken)
end

WORK = { "read-json" => :read_json, "read-json-uncompressed" => :read_json_uncompressed, "read-bytes" => :read_bytes,
         "produce-json" => :produce_json, "produce-bytes" => :produce_bytes, "produce-bytes-singly" => :produce_bytes_singly }.freeze
send(WORK.fetch(ARGV.fetch(0)))
