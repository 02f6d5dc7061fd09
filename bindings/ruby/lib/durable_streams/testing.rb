# frozen_string_literal: true

require "durable_streams"

module DurableStreams
  # Help for tests of programs that use streams.
  module Testing
    # A real server inside this process, in memory, on a free loopback port.
    class Server
      # With a block: yields the server, stops it, returns the block's value.
      def self.start(**options)
        server = new(Native.wait { Native::Server.start(options) })
        return server unless block_given?

        begin
          yield server
        ensure
          server.stop
        end
      end

      def initialize(native)
        @native = native
      end

      def url
        @native.url
      end

      def port
        @native.port
      end

      # Lets requests to `path` fail: `status:`, `delay_ms:`, `drop_connection:`, `count:`,
      # `retry_after:`, `method:`.
      def inject_fault(path, **fault)
        Native.wait { @native.inject_fault({ path: path, **fault }) }
      end

      def clear_faults
        Native.wait { @native.clear_faults }
      end

      # Deletes every stream.
      def clear
        Native.wait { @native.clear }
      end

      # @return [Integer] long-polls and SSE answers under way
      def live_readers
        Native.wait { @native.live_readers }
      end

      def stop
        Native.wait { @native.stop }
      end
    end
  end
end
