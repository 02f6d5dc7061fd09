# frozen_string_literal: true

module DurableStreams
  module Testing
    # Matchers for RSpec, over what the mock transport has seen. Of a block they look at the
    # requests that it makes, else at all.
    #
    #     expect { publish(order) }.to have_appended_to("/orders").with("id" => 7)
    #     expect(DurableStreams::Testing).to have_made_request(:put).to("/orders")
    module Matchers
      # @param path [String] path of a URL
      # @return [AppendedTo]
      def have_appended_to(path)
        AppendedTo.new(path)
      end

      # @param method [Symbol, String] `:get`, `:post`, …
      # @return [MadeRequest]
      def have_made_request(method)
        MadeRequest.new(method)
      end

      # What both have in common.
      # @api private
      class Seen
        # RSpec asks.
        def supports_block_expectations?
          true
        end

        # RSpec asks.
        def supports_value_expectations?
          true
        end

        # @param actual [Proc, Object]
        # @return [Boolean]
        def matches?(actual)
          before = Testing.requests.size
          actual.respond_to?(:call) ? actual.call : before = 0
          @requests = Testing.requests.drop(before)
          found?
        end

        # @return [String]
        def failure_message
          "expected to #{description}, but saw #{seen}"
        end

        # @return [String]
        def failure_message_when_negated
          "expected not to #{description}, but saw #{seen}"
        end

        private

        def seen
          return "no request" if @requests.empty?

          @requests.map { |request| "#{request.method} #{request.path} #{request.body.inspect}" }.join(", ")
        end
      end

      # Matches when a message was appended, also one that the server refused.
      class AppendedTo < Seen
        # @param path [String]
        def initialize(path)
          super()
          @path = path
          @with_data = false
        end

        # @param data [Object] the message, or a matcher of it; a Hash as it comes out of JSON
        # @return [self]
        def with(data)
          @with_data = true
          @data = data.is_a?(Hash) || data.is_a?(Array) ? JSON.parse(Data.text(data)) : data
          self
        end

        # @return [String]
        def description
          "append#{" #{@data.inspect}" if @with_data} to #{@path}"
        end

        private

        def found?
          appends = @requests.select { |request| %w[POST PUT].include?(request.method) && request.path == @path }
          messages = appends.flat_map(&:messages)
          @with_data ? messages.any? { |message| matched?(message) } : messages.any?
        end

        # JSON text means the message that it is.
        def matched?(message)
          return true if @data === message || @data == message # rubocop:disable Style/CaseEquality

          @data.is_a?(String) && Native.json?(@data) && Native::Batch.new("[#{@data}]").part(0, 1).first == [message]
        end
      end

      # Matches when a request was made.
      class MadeRequest < Seen
        # @param method [Symbol, String]
        def initialize(method)
          super()
          @method = method.to_s.upcase
        end

        # @param path [String] path of the URL
        # @return [self]
        def to(path)
          @path = path
          self
        end

        # @param text [String, Regexp, Object] the body, or a matcher of it
        # @return [self]
        def with_body(text)
          @body = text
          self
        end

        # @return [String]
        def description
          ["make a #{@method} request", @path && "to #{@path}", @body && "with #{@body.inspect}"].compact.join(" ")
        end

        private

        def found?
          @requests.any? do |request|
            request.method == @method && (@path.nil? || request.path == @path) &&
              (@body.nil? || @body === request.body.dup.force_encoding(Encoding::UTF_8)) # rubocop:disable Style/CaseEquality
          end
        end
      end
    end
  end
end
