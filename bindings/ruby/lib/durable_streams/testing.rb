# frozen_string_literal: true

require "durable_streams"
require_relative "testing/server"
require_relative "testing/mock_transport"
require_relative "testing/matchers"

module DurableStreams
  # Help for tests of programs that use streams: {Server}, a real server in memory; and a mock
  # transport, which leads every handle made while it is installed to such a server, whatever
  # host the program names, and writes down what was asked.
  module Testing
    class << self
      # Installs the mock transport for handles made from now on.
      # @return [MockTransport]
      def install!
        Native.mock ||= MockTransport.new
      end

      # Removes the mock transport with everything in it.
      # @return [nil]
      def reset!
        mock = Native.mock
        Native.mock = nil
        mock&.stop
        nil
      end

      # Forgets requests, answers and streams; the mock transport stays installed.
      # @return [nil]
      def clear!
        Native.mock&.clear
        nil
      end

      # @return [Boolean]
      def installed?
        !Native.mock.nil?
      end

      # @return [MockTransport, nil]
      def mock_transport
        Native.mock
      end

      # @param path [String] path of a URL
      # @return [Array] messages of a JSON stream, chunks of any other; empty when there is none
      # @raise [RuntimeError] when no mock transport is installed
      def messages_for(path)
        installed.messages_for(path)
      end

      # @return [Array<MockTransport::Request>] what was asked, in order
      # @raise [RuntimeError] when no mock transport is installed
      def requests
        installed.requests
      end

      private

      def installed
        mock_transport || raise("call DurableStreams::Testing.install! first")
      end
    end
  end
end

RSpec.configure { |config| config.include DurableStreams::Testing::Matchers } if defined?(RSpec::Core)
