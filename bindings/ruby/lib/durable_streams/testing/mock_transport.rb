# frozen_string_literal: true

module DurableStreams
  module Testing
    # Writes down every request, answers those that were given an answer, and brings all others to
    # a server of its own.
    class MockTransport
      # What was asked, and the status of the answer. `body` is binary.
      Request = Struct.new(:method, :url, :path, :headers, :body, :status, keyword_init: true) do
        # The messages of an append or a creation.
        # @return [Array] decoded JSON messages, or the body alone
        def messages
          return [] if body.empty?
          return [body] unless headers["content-type"].to_s.start_with?("application/json")

          JsonBatch.new(source: Native::Batch.new(body), empty: false, next_offset: nil).items
        end
      end

      # What paths are joined to when nothing is configured.
      BASE_URL = "http://durable-streams.test"

      # @return [Server]
      attr_reader :server
      # @api private
      attr_reader :native

      def initialize
        @server = Server.start
        @native = Native::Mock.new(@server.url)
      end

      # Answers requests of a method to a path from now on.
      # @param method [Symbol, String] `:get`, `:post`, …
      # @param path [String] path of the URL
      # @param status [Integer]
      # @param body [String]
      # @param headers [Hash]
      # @return [self]
      def on(method, path, status: 200, body: "", headers: {})
        native.on(method.to_s.upcase, path, status, Pairs.texts(headers), body)
        self
      end

      # Makes a JSON stream that holds messages.
      # @param path [String] path of the URL
      # @param messages [Array]
      # @return [self]
      def seed_stream(path, messages)
        handle(path).create(content_type: :json).append_all(messages)
        self
      end

      # @return [Array<Request>] what was asked, in order
      def requests
        native.requests.map { |fields| Request.new(**fields).freeze }
      end

      # @param path [String] path of the URL
      # @return [Array] messages of a JSON stream, chunks of any other; empty when there is none
      def messages_for(path)
        handle(path).read_all.map { |message| message.is_a?(ByteChunk) ? message.data : message }
      rescue StreamNotFoundError
        []
      end

      # Forgets requests, answers and streams.
      # @return [nil]
      def clear
        native.clear
        server.clear_faults
        server.clear
      end

      # @return [nil]
      def stop
        server.stop
      end

      # @api private
      def base_url
        BASE_URL
      end

      private

      # Beside the transport: what a test prepares and looks at is not what the program asked.
      def handle(path)
        mock = Native.mock
        Native.mock = nil
        Stream.new(server.url + path, context: Context.new)
      ensure
        Native.mock = mock
      end
    end
  end
end
