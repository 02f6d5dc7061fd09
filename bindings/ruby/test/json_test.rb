# frozen_string_literal: true

require_relative "helper"
require "bigdecimal"

# The extension makes objects and text as Ruby's own JSON does.
class JsonTest < Minitest::Test
  NESTED = { "a" => [1, -2, 0, 2.5, -0.125, 1e300, 1.5e-9, 10**30, -(10**25), 2**62, 2**63, -(2**63)],
             "text" => ["", "plain", "tab\tquote\"back\\slash/\n\r\b\f\u0001\u001f", "ä€🦀", "\u2028"],
             "nested" => { "empty" => {}, "list" => [], "deep" => [[[{ "x" => [nil, true, false] }]]] },
             "many" => (0...40).to_h { |n| ["key#{n}", n] } }.freeze

  def decode(text)
    DurableStreams::Native::Batch.new(text).part(0, 1 << 40).first
  end

  def parse_error(text)
    assert_raises(DurableStreams::ParseError, text) { decode(text) }
  end

  def test_objects_are_those_of_json
    text = JSON.generate([NESTED, NESTED, 7, "x", nil])
    assert_equal JSON.parse(text), decode(text)
    spaced = JSON.pretty_generate([NESTED])
    assert_equal JSON.parse(spaced), decode(" #{spaced}\n")
    ['[{"a":1,"a":2}]', '["\\u00e4\\ud83e\\udd80\\/"]', '[{"k\\u0065y":1}]', "[-0, -0.0, 1E2, 1e-2]", "[]"].each do |each|
      assert_equal JSON.parse(each), decode(each), each
    end
    assert_equal [{ "lone" => 1 }], decode('{"lone":1}')
  end

  def test_random_objects_survive_both_ways
    random = Random.new(7)
    500.times do
      value = [sample(random, 4)]
      assert_equal value, JSON.parse(DurableStreams::Data.text(value))
      assert_equal value, decode(JSON.generate(value))
    end
  end

  def sample(random, depth)
    case random.rand(depth.positive? ? 9 : 7)
    when 0 then random.rand(-(2**70)..(2**70))
    when 1 then random.rand(-1000..1000)
    when 2 then (random.rand - 0.5) * (10.0**random.rand(-20..20))
    when 3 then [nil, true, false].sample(random: random)
    when 4, 5 then Array.new(random.rand(30)) { [random.rand(0x20..0x7f), random.rand(0..0x1f), 0x1f980, 0xe4].sample(random: random) }.pack("U*")
    when 6 then ""
    when 7 then Array.new(random.rand(5)) { sample(random, depth - 1) }
    else Array.new(random.rand(12)) { |n| ["k#{random.rand(3)}#{n}", sample(random, depth - 1)] }.to_h
    end
  end

  def test_strings_are_utf8_and_keys_frozen
    item = decode('[{"key":"ä"}]').first
    assert_equal [Encoding::UTF_8, Encoding::UTF_8], [item["key"].encoding, item.keys.first.encoding]
    assert_predicate item["key"], :valid_encoding?
    refute_predicate item["key"], :frozen?
    assert_predicate item.keys.first, :frozen?
  end

  def test_what_is_no_json_is_refused_with_its_place
    ["", "[1", "[1]]", "[01]", "{", '{"a"}', '{"a":}', "{a:1}", "[1,]", '["', '["\\x"]', "[\"\u0001\"]", "[NaN]", "[tru]",
     "[\"\xff\"]", "#{'[' * 150}#{']' * 150}"].each { |text| parse_error(text) }
    assert_match(/at byte 3/, parse_error("[1,x]").message)
    assert_equal "PARSE_ERROR", parse_error("x").code
  end

  def test_part_by_part_is_the_whole
    messages = Array.new(1000) { |n| { "n" => n, "odd#{n % 7}" => [n] } }
    batch = DurableStreams::Native::Batch.new(JSON.generate(messages))
    found = []
    at = 0
    while at
      part, at = batch.part(at, 13)
      assert_operator part.size, :<=, 13
      found.concat(part)
    end
    assert_equal messages, found
  end

  def test_text_is_what_json_writes
    [{ symbol: :value, "s" => 1 }, [1.0, 100.0, 0.1, 1e15, 123_456.789, -0.0, 1e16, 1e-5, 1e22, 9_007_199_254_740_993.0],
     7, 2**80, true, ["us".encode("US-ASCII")], ["é".encode("ISO-8859-1")], NESTED["nested"], NESTED["many"]].each do |value|
      assert_equal JSON.generate(value), DurableStreams::Data.text(value)
    end
    assert_equal '{"a":[1,2.5,null,"x"],"b":true}', DurableStreams::Data.text({ a: [1, 2.5, nil, "x"], "b" => true })
  end

  # Answers to to_json as applications define it.
  class Money
    def to_json(*) = '{"cents":5}'
  end

  # A Hash with a form of its own.
  class Loud < Hash
    def to_json(*) = '"LOUD"'
  end

  def test_other_classes_are_asked
    assert_equal '{"price":{"cents":5}}', DurableStreams::Data.text({ price: Money.new })
    assert_equal '["LOUD"]', DurableStreams::Data.text([Loud.new])
    assert_equal JSON.generate([Time.at(0), BigDecimal("1.5"), { 1 => 2 }]),
                 DurableStreams::Data.text([Time.at(0), BigDecimal("1.5"), { 1 => 2 }])
  end

  def test_what_json_cannot_say_is_an_argument_error
    circle = []
    circle << circle
    [[Float::NAN], [-Float::INFINITY], circle, ["\xff"], nil, :symbol, Object.new].each do |value|
      assert_raises(ArgumentError, value.class.to_s) { DurableStreams::Data.text(value) }
    end
  end

  def test_the_collector_may_come_at_any_moment
    text = JSON.generate([NESTED, NESTED])
    expected = JSON.parse(text)
    GC.stress = true
    decoded = decode(text)
    encoded = DurableStreams::Data.text(expected)
    GC.stress = false
    assert_equal expected, decoded
    assert_equal expected, JSON.parse(encoded)
  ensure
    GC.stress = false
  end
end
