# frozen_string_literal: true

require_relative "helper"
require "rbconfig"

# What is tested is what is said to be tested.
class PackageTest < Minitest::Test
  def test_the_gem_comes_from_where_it_should
    loaded = $LOADED_FEATURES.grep(%r{/durable_streams(\.rb|/durable_streams_ruby\.(so|bundle))\z})
    assert_equal 2, loaded.size
    home = ENV["DURABLE_STREAMS_INSTALLED"] || File.expand_path("..", __dir__)
    loaded.each { |path| assert path.start_with?(File.realpath(home)), "#{path} is not in #{home}" }
  end

  def test_the_example_runs
    printed = IO.popen([RbConfig.ruby, *LIBRARY, File.expand_path("../examples/parcels.rb", __dir__)], &:readlines)
    assert_equal %w[0 1 2], printed.first(3).map(&:strip)
    assert_match(/\Anext: \S+/, printed.last)
  end
end
