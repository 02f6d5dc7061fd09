import Foundation
internal import DurableStreamsFFI

/// A server inside this process, for tests: loopback, a free port, in memory.
public final class TestServer: Sendable {
    private let ffi: FfiServer

    private init(_ ffi: FfiServer) {
        self.ffi = ffi
    }

    /// Starts a server. `dataDirectory` keeps the streams over its end; `longPollTimeout` says how long a waiting
    /// request waits, in seconds.
    public static func start(
        port: Int? = nil, dataDirectory: String? = nil, longPollTimeout: TimeInterval? = nil
    ) async throws -> TestServer {
        let settings = ServerSettings(
            port: port.map { UInt16(clamping: $0) }, dataDir: dataDirectory,
            longPollTimeoutMs: longPollTimeout.map { UInt64($0 * 1000) })
        return TestServer(try await startServer(settings: settings))
    }

    /// The URL below which streams live.
    public var streamsURL: URL {
        guard let url = URL(string: ffi.streamsUrl()) else { preconditionFailure("the server's own URL is one") }
        return url
    }

    public var port: Int { Int(ffi.port()) }

    /// Lets the next requests for a path fail. `path` is the URL's path.
    public func injectFault(
        path: String, status: Int? = nil, delayMs: Int? = nil, dropConnection: Bool = false, count: Int? = nil,
        method: String? = nil
    ) async throws {
        try await ffi.injectFault(
            fault: FaultSettings(
                path: path, status: status.map { UInt16(clamping: $0) }, delayMs: delayMs.map { UInt64(clamping: $0) },
                dropConnection: dropConnection, count: count.map { UInt64(clamping: $0) }, method: method))
    }

    public func clearFaults() async throws {
        try await ffi.clearFaults()
    }

    /// Number of requests that wait for data.
    public func liveReaders() async throws -> Int {
        Int(try await ffi.liveReaders())
    }

    /// Deletes every stream.
    public func clear() async throws {
        try await ffi.clear()
    }

    /// Stops in order. Repeating does nothing.
    public func stop() async throws {
        try await ffi.stop()
    }
}
