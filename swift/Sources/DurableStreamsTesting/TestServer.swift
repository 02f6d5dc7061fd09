import DurableStreams
import Foundation
internal import DurableStreamsFFI

/// A server inside this process, for tests: loopback, a free port, in memory. It stops when it is released, or in
/// order with `stop`.
public final class TestServer: Sendable {
    private let ffi: FfiServer

    private init(_ ffi: FfiServer) {
        self.ffi = ffi
    }

    /// Starts a server on a free port, or on `port`. `dataDirectory` keeps the streams over its end; `prefix` is the
    /// path below which streams live, `/` if absent.
    /// Units: `longPollTimeout`, how long a waiting request waits, in seconds; absent: 30.
    /// Errors: `.badRequest` for a port or a directory that cannot be used.
    public static func start(
        port: Int? = nil, dataDirectory: String? = nil, prefix: String? = nil, longPollTimeout: TimeInterval? = nil
    ) async throws -> TestServer {
        let settings = ServerSettings(
            port: port.map { UInt16(clamping: $0) }, dataDir: dataDirectory, prefix: prefix,
            longPollTimeoutMs: longPollTimeout.map { UInt64(max(0, $0 * 1000)) })
        return TestServer(try await told { try await startServer(settings: settings) })
    }

    /// Starts a server for the time of `body`, and stops it in order.
    public static func with<T>(
        longPollTimeout: TimeInterval? = nil, _ body: (TestServer) async throws -> T
    ) async throws -> T {
        let server = try await start(longPollTimeout: longPollTimeout)
        do {
            let result = try await body(server)
            try await server.stop()
            return result
        } catch {
            try? await server.stop()
            throw error
        }
    }

    /// The URL below which streams live.
    public var streamsURL: URL {
        guard let url = URL(string: ffi.streamsUrl()) else { preconditionFailure("the server's own URL is one") }
        return url
    }

    /// The port listened on.
    public var port: Int { Int(ffi.port()) }

    /// An event that a read over server-sent events did not ask for.
    public struct Event: Sendable, Hashable {
        /// Its type.
        public var type: String
        /// Its payload.
        public var data: String

        public init(type: String, data: String) {
            self.type = type
            self.data = data
        }
    }

    /// Lets the next requests for a path fail. `path` is the URL's path. Without an argument for it nothing happens.
    ///
    /// - Parameters:
    ///   - status: Answers this status instead.
    ///   - delayMs: Waits before anything else, in milliseconds; `jitterMs` adds at most so much at random.
    ///   - dropConnection: Cuts the connection without an answer.
    ///   - truncateBodyBytes: Cuts the body of a read to so many bytes.
    ///   - corruptBody: Spoils the body of a read.
    ///   - event: Is sent first in an answer of server-sent events.
    ///   - retryAfter: How long the answer asks to wait, in seconds.
    ///   - probability: Chance to hit, from 0 to 1; absent: always.
    ///   - count: How many requests it hits; absent: one.
    ///   - method: Only requests of this method.
    public func injectFault(
        path: String, status: Int? = nil, delayMs: Int? = nil, jitterMs: Int = 0, dropConnection: Bool = false,
        truncateBodyBytes: Int? = nil, corruptBody: Bool = false, event: Event? = nil, retryAfter: Int? = nil,
        probability: Double? = nil, count: Int? = nil, method: String? = nil
    ) async throws {
        let fault = FaultSettings(
            path: path, status: status.map { UInt16(clamping: $0) }, delayMs: delayMs.map { UInt64(clamping: $0) },
            dropConnection: dropConnection, truncateBodyBytes: truncateBodyBytes.map { UInt32(clamping: $0) },
            count: count.map { UInt64(clamping: $0) }, retryAfter: retryAfter.map { UInt64(clamping: $0) },
            method: method, jitterMs: UInt64(clamping: jitterMs), corruptBody: corruptBody,
            injectSseEvent: event.map { SseEvent(eventType: $0.type, data: $0.data) }, probability: probability)
        try await told { try await self.ffi.injectFault(fault: fault) }
    }

    /// Forgets all faults.
    public func clearFaults() async throws {
        try await told { try await self.ffi.clearFaults() }
    }

    /// Number of requests that wait for data.
    public func liveReaders() async throws -> Int {
        try await told { Int(try await self.ffi.liveReaders()) }
    }

    /// Deletes every stream.
    public func clear() async throws {
        try await told { try await self.ffi.clear() }
    }

    /// Stops in order: live reads end, everything under way finishes. Repeating does nothing.
    public func stop() async throws {
        try await told { try await self.ffi.stop() }
    }
}
