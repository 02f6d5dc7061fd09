import Foundation
internal import DurableStreamsFFI
#if canImport(FoundationNetworking)
    public import FoundationNetworking
#endif

/// A header's or a parameter's value.
public enum HeaderValue: Sendable, ExpressibleByStringLiteral, ExpressibleByStringInterpolation {
    case value(String)
    /// Asked before every HTTP request, retries and reconnects included. An error fails the request, which is not
    /// sent.
    case provider(@Sendable () async throws -> String)

    public init(stringLiteral value: String) {
        self = .value(value)
    }
}

/// Headers by name.
public typealias HeadersRecord = [String: HeaderValue]

/// A query parameter's value.
public typealias ParamValue = HeaderValue

/// Query parameters by name.
public typealias ParamsRecord = [String: ParamValue]

/// How concurrent appends travel together.
public struct BatchingConfig: Sendable, Hashable {
    /// Bound of a batch. Units: bytes. 0 sends every append on its own.
    public var maxBytes: Int
    /// How long a batch waits for more. Units: ms.
    public var lingerMs: Int
    /// Unacknowledged batches under way at once.
    public var maxInFlight: Int

    public init(maxBytes: Int = 1_048_576, lingerMs: Int = 5, maxInFlight: Int = 5) {
        self.maxBytes = maxBytes
        self.lingerMs = lingerMs
        self.maxInFlight = maxInFlight
    }

    public init(maxBytes: Int = 1_048_576, linger: Duration, maxInFlight: Int = 5) {
        self.init(maxBytes: maxBytes, lingerMs: milliseconds(linger), maxInFlight: maxInFlight)
    }

    /// 1 MiB, 5 ms, 5 batches under way.
    public static let `default` = BatchingConfig()
    /// 4 MiB, 20 ms, 10 batches under way.
    public static let highThroughput = BatchingConfig(maxBytes: 4_194_304, lingerMs: 20, maxInFlight: 10)
    /// 64 KiB, 1 ms, 5 batches under way.
    public static let lowLatency = BatchingConfig(maxBytes: 65_536, lingerMs: 1, maxInFlight: 5)
    /// Every append is a request of its own.
    public static let disabled = BatchingConfig(maxBytes: 0, lingerMs: 0, maxInFlight: 1)
}

/// How requests are repeated.
public struct RetryConfig: Sendable, Hashable {
    /// How many times a request is sent at most. At least 1.
    public var maxAttempts: Int
    /// Units: ms.
    public var initialDelayMs: Int
    /// Units: ms.
    public var maxDelayMs: Int
    /// What a delay is multiplied with for the next one.
    public var multiplier: Double
    /// Share of a delay that `delayForAttempt` varies by. The client itself draws each delay between nothing and
    /// its bound, which spreads repeats furthest.
    public var jitter: Double

    public init(
        maxAttempts: Int = 3, initialDelayMs: Int = 100, maxDelayMs: Int = 5000, multiplier: Double = 2,
        jitter: Double = 0.2
    ) {
        self.maxAttempts = maxAttempts
        self.initialDelayMs = initialDelayMs
        self.maxDelayMs = maxDelayMs
        self.multiplier = multiplier
        self.jitter = jitter
    }

    public init(
        maxAttempts: Int = 3, initialDelay: Duration, maxDelay: Duration, multiplier: Double = 2, jitter: Double = 0.2
    ) {
        self.init(
            maxAttempts: maxAttempts, initialDelayMs: milliseconds(initialDelay), maxDelayMs: milliseconds(maxDelay),
            multiplier: multiplier, jitter: jitter)
    }

    /// 3 attempts, from 100 ms to 5 s, jitter 0.2.
    public static let `default` = RetryConfig()
    /// One attempt.
    public static let none = RetryConfig(maxAttempts: 1)
    /// 5 attempts, from 50 ms to 10 s, jitter 0.3.
    public static let aggressive = RetryConfig(maxAttempts: 5, initialDelayMs: 50, maxDelayMs: 10_000, jitter: 0.3)

    /// The delay before the attempt with this number, counted from 0, varied by `jitter`.
    public func delayForAttempt(_ attempt: Int) -> Duration {
        let bound = min(Double(initialDelayMs) * pow(multiplier, Double(attempt)), Double(maxDelayMs))
        return .milliseconds(Int64(bound * (1 + Double.random(in: -jitter...max(jitter, -jitter)))))
    }

    /// Whether a failure like this may pass when the request is sent again, and `attempt` attempts were not too many.
    /// The core decides by the same table. It does not repeat a plain append that may be stored already: see
    /// `mayBeApplied`.
    public func shouldRetry(_ error: DurableStreamError, attempt: Int) -> Bool {
        guard attempt < maxAttempts else { return false }
        if let status = error.status { return isTransientStatus(status: UInt16(clamping: status)) }
        return [.rateLimited, .serverBusy, .timeout, .networkError].contains(error.code)
    }
}

/// HTTP settings of a handle.
public struct HTTPConfig: Sendable {
    /// Limit of one exchange. Units: seconds.
    public var timeout: TimeInterval
    /// Limit of an unanswered long-poll. Units: seconds.
    public var longPollTimeout: TimeInterval
    /// A session whose configuration requests are made with; without one the core's own connections are used.
    public var session: URLSession?

    public init(timeout: TimeInterval = 30, longPollTimeout: TimeInterval = 65, session: URLSession? = nil) {
        self.timeout = timeout
        self.longPollTimeout = longPollTimeout
        self.session = session
    }

    /// 30 s, 65 s for a long-poll, the core's own connections.
    public static let `default` = HTTPConfig()
}

/// Exactly-once appends of a handle.
public enum IdempotentProducerConfig: Sendable {
    case disabled
    /// Every append of the handle goes through a producer of this name.
    case enabled(
        producerId: String, initialEpoch: Int = 0, autoClaimOnStaleEpoch: Bool = true,
        onError: (@Sendable (any Error) -> Void)? = nil)
}

/// Everything that can be set for a handle.
public struct HandleConfiguration: Sendable {
    /// Whether appends go through a producer.
    public var idempotentProducer: IdempotentProducerConfig
    /// How concurrent appends travel together.
    public var batching: BatchingConfig
    /// HTTP settings.
    public var http: HTTPConfig
    /// How requests are repeated.
    public var retry: RetryConfig
    /// Headers of every request.
    public var headers: HeadersRecord
    /// Query parameters of every request.
    public var params: ParamsRecord

    public init(
        idempotentProducer: IdempotentProducerConfig = .disabled, batching: BatchingConfig = .default,
        http: HTTPConfig = .default, retry: RetryConfig = .default, headers: HeadersRecord = [:],
        params: ParamsRecord = [:]
    ) {
        self.idempotentProducer = idempotentProducer
        self.batching = batching
        self.http = http
        self.retry = retry
        self.headers = headers
        self.params = params
    }

    /// No producer, the presets of the parts.
    public static let `default` = HandleConfiguration()

    /// The part that a handle without a producer has, too.
    var basic: DurableStream.Configuration {
        DurableStream.Configuration(
            headers: headers, params: params, timeout: http.timeout, longPollTimeout: http.longPollTimeout,
            session: http.session ?? .shared, retry: retry, batching: batching)
    }
}

extension DurableStream {
    /// Settings of a handle. Times in seconds.
    public struct Configuration: Sendable {
        /// Headers of every request.
        public var headers: HeadersRecord
        /// Query parameters of every request.
        public var params: ParamsRecord
        /// Limit of one exchange.
        public var timeout: TimeInterval
        /// Limit of an unanswered long-poll.
        public var longPollTimeout: TimeInterval
        /// `.shared` stands for the core's own connections. Any other session: requests are made with its
        /// configuration.
        public var session: URLSession
        /// How requests are repeated; absent: up to three times, from 100 ms to 30 s.
        public var retry: RetryConfig?
        /// How concurrent appends travel together: whether they share requests.
        public var batching: BatchingConfig
        /// Limit of the silence of server-sent events; absent: 90 seconds.
        public var sseIdleTimeout: TimeInterval?
        /// Limit of making a connection; absent: 10 seconds.
        public var connectTimeout: TimeInterval?

        public init(
            headers: HeadersRecord = [:], params: ParamsRecord = [:], timeout: TimeInterval = 30,
            longPollTimeout: TimeInterval = 65, session: URLSession = .shared, retry: RetryConfig? = nil,
            batching: BatchingConfig = .disabled, sseIdleTimeout: TimeInterval? = nil,
            connectTimeout: TimeInterval? = nil
        ) {
            self.headers = headers
            self.params = params
            self.timeout = timeout
            self.longPollTimeout = longPollTimeout
            self.session = session
            self.retry = retry
            self.batching = batching
            self.sseIdleTimeout = sseIdleTimeout
            self.connectTimeout = connectTimeout
        }

        /// 30 s, 65 s for a long-poll, the core's own connections and retries, no batching.
        public static let `default` = Configuration()
    }
}

/// What this library is.
public enum ClientInfo {
    /// The name requests carry.
    public static let name = "durable-streams-swift"
    /// The version of the package.
    public static let version = "0.1.0"
}

private func milliseconds(_ duration: Duration) -> Int {
    let (seconds, attoseconds) = duration.components
    return Int(seconds) * 1000 + Int(attoseconds / 1_000_000_000_000_000)
}
