# frozen_string_literal: true

module DurableStreams
  module Testing
    # A real server inside this process, in memory, on a free loopback port.
    class Server
      # With a block: yields the server, stops it, returns the block's value.
      # @param options [Hash] `host:`, `port:`, `data_dir:` (durable, in that folder), `prefix:` (the
      #   path below which streams live), `long_poll_timeout_ms:`
      # @yieldparam server [Server]
      # @return [Server, Object]
      def self.start(**options)
        server = new(Native.wait { Native::Server.start(options) })
        return server unless block_given?

        begin
          yield server
        ensure
          server.stop
        end
      end

      # @api private
      def initialize(native)
        @native = native
      end

      # @return [String] the server's origin
      def url
        @native.url
      end

      # @return [String] the URL below which streams live
      def streams_url
        @native.streams_url
      end

      # @return [Integer]
      def port
        @native.port
      end

      # Lets requests to a path fail.
      # @param path [String] path of the URL
      # @param fault [Hash] `status:`, `retry_after:` (seconds), `delay_ms:`, `jitter_ms:`,
      #   `drop_connection:`, `truncate_body_bytes:`, `corrupt_body:`, `inject_sse_event:` (type and
      #   payload), `probability:`, `method:` (only this one), `count:` (1 when absent)
      # @return [nil]
      def inject_fault(path, **fault)
        Native.wait { @native.inject_fault({ path: path, **fault }) }
      end

      # Forgets all faults.
      # @return [nil]
      def clear_faults
        Native.wait { @native.clear_faults }
      end

      # Deletes every stream.
      # @return [nil]
      def clear
        Native.wait { @native.clear }
      end

      # @return [Integer] long-polls and SSE answers under way
      def live_readers
        Native.wait { @native.live_readers }
      end

      # Stops in order: live reads end, everything under way finishes. Safe to repeat.
      # @return [nil]
      def stop
        Native.wait { @native.stop }
      end
    end
  end
end
