# frozen_string_literal: true

require_relative "helper"
require "rbconfig"

# The collector may come at any allocation, and may move objects together when it comes. What it
# moves while the extension works is seen in a process of its own, whose collector comes often and
# always looks at everything.
class CollectorTest < StreamTest
  OFTEN = %w[RUBY_GC_MALLOC_LIMIT RUBY_GC_MALLOC_LIMIT_MAX RUBY_GC_OLDMALLOC_LIMIT RUBY_GC_OLDMALLOC_LIMIT_MAX]
          .to_h { |name| [name, "65536"] }.freeze

  # Runs a program while the collector moves objects, and returns what it printed.
  def moving(program, *arguments)
    program = "require 'json'; require 'durable_streams'; GC.auto_compact = true; #{program}"
    IO.popen([OFTEN, RbConfig.ruby, *LIBRARY, "-e", program, *arguments], &:read).tap do |printed|
      assert_predicate $?, :success?, printed
    end
  end

  # Everything is moved that may be.
  def move_all
    GC.verify_compaction_references(toward: :empty)
  end

  def test_keys_are_found_again_where_they_were
    printed = moving(<<~'RUBY')
      before = GC.stat(:compact_count)
      14.times do |round|
        keys = Array.new(40) { |n| "key #{n} of round #{round}" }
        # Texts of large integers are garbage at once, and lie before the keys, which come later.
        garbage = Array.new(6000 + 800 * round) { "1" + "0" * 200 }
        message = "{#{keys.map { |key| %("#{key}":"#{'text' * 10}") }.join(",")}}"
        text = "[[#{garbage.join(",")}],#{([message] * 60).join(",")}]"
        messages, = DurableStreams::Native::Batch.new(text).part(0, 1 << 40)
        messages.drop(1).each { |each| puts "wrong: #{each}" if each.keys != keys || each.values.uniq != ["text" * 10] }
      end
      puts GC.stat(:compact_count) - before
    RUBY
    assert_match(/\A\d+\n\z/, printed)
    assert_operator Integer(printed), :>, 10
  end

  def test_messages_survive_while_objects_move
    json_stream("/moving")
    printed = moving(<<~'RUBY', @server.url)
      client = DurableStreams::Client.new(base_url: ARGV[0], headers: { "X-Asked" => -> { "a" * 100 } })
      stream = client.stream("/moving")
      messages = Array.new(5000) { |n| { "number" => n, "big" => 10**40 + n, "list #{n % 50}" => ["text" * 10, n * 0.5, nil] } }
      DurableStreams::Producer.open(stream: stream, producer_id: "p", auto_claim: true) do |producer|
        messages.each { |message| producer << message }
      end
      before = GC.stat(:compact_count)
      puts stream.read_all == messages
      stream.read(live: :off).each { |batch| puts batch.items.all? { |item| item["number"].is_a?(Integer) } }
      puts GC.stat(:compact_count) > before
    RUBY
    assert_equal ["true"], printed.lines.map(&:chomp).uniq
    assert_operator printed.lines.size, :>=, 3
  end

  def test_encoding_sees_objects_where_they_are
    printed = moving(<<~'RUBY')
      value = { "list" => Array.new(50) { |n| { "n#{n}": n, "text #{n}" => ["é" * 20, :symbol, 1.5, 2**70] } } }
      expected = JSON.generate(value)
      before = GC.stat(:compact_count)
      puts 300.times.map { DurableStreams::Data.text(value) == expected }.uniq.inspect
      GC.compact
      puts DurableStreams::Data.text(value) == expected
      puts GC.stat(:compact_count) > before
    RUBY
    assert_equal %w[[true] true true], printed.split
  end

  def test_handles_work_after_they_have_moved
    asked = 0
    client = DurableStreams::Client.new(base_url: @server.url, headers: { "X-Asked" => -> { (asked += 1).to_s } })
    stream = json_stream(client: client)
    producer = DurableStreams::Producer.open(stream: stream, producer_id: "p", auto_claim: true)
    reader = stream.read(live: :long_poll).each
    batches = []
    3.times do |n|
      move_all
      producer << { "n" => n }
      producer.flush
      batches << reader.next until batches.sum { |batch| batch.items.size } > n
    end
    move_all
    assert_equal [0, 1, 2], batches.flat_map(&:items).map { |item| item["n"] }
    producer.close
    assert_operator asked, :>, 3
  end

  def test_under_stress_everything_is_marked
    client = DurableStreams::Client.new(base_url: @server.url, headers: { "X-Asked" => -> { "yes" } })
    stream = json_stream(client: client)
    messages = [{ "a" => [1, 2.5, "ä", nil], "bé" => { "c" => 10**30 } }] * 3
    GC.stress = true
    stream.append_all(messages)
    read = stream.read_all
    refused = assert_raises(DurableStreams::ParseError) { DurableStreams::Native::Batch.new('[{"a":[1,{}}').part(0, 9) }
    GC.stress = false
    assert_equal messages, read
    assert_match(/at byte/, refused.message)
  ensure
    GC.stress = false
  end
end
