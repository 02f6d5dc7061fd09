# frozen_string_literal: true

module DurableStreams
  module Testing
    # One server for all tests of a process, empty between them: starting one takes longer.
    # @api private
    module Shared
      @guard = Mutex.new

      class << self
        # @return [Server] started on first use; another one in the child of a fork
        def server
          @guard.synchronize do
            @server = nil unless @generation == Native.generation
            @generation = Native.generation
            @server ||= Server.start
          end
        end

        # Yields with a server that is empty, and empties it.
        def clean
          yield
        ensure
          if @server && @generation == Native.generation
            @server.clear_faults
            @server.clear
          end
        end

        # Stops it.
        def stop
          @guard.synchronize do
            @server.stop if @server && @generation == Native.generation
            @server = nil
          end
        end
      end
    end
  end
end
