import DurableStreams
import DurableStreamsTesting
import Foundation
import Testing

struct Reading: Codable, Sendable, Equatable {
    let lux: Int
}

/// A server of the test's own, which ends with it.
func withServer<T>(
    longPollTimeout: TimeInterval? = nil, _ body: (TestServer) async throws -> T
) async throws -> T {
    try await TestServer.with(longPollTimeout: longPollTimeout, body)
}

/// Counts, from any thread.
final class Counter: @unchecked Sendable {
    private let lock = NSLock()
    private var held = 0

    var count: Int { lock.withLock { held } }

    func add() { lock.withLock { held += 1 } }
}

extension TestServer {
    func url(_ name: String = "lamps") -> URL {
        streamsURL.appendingStreamPath(name)
    }

    /// Waits until so many requests wait for data.
    func until(liveReaders wanted: Int, within limit: Duration = .seconds(20)) async throws {
        let deadline = ContinuousClock.now + limit
        while try await liveReaders() != wanted {
            try #require(ContinuousClock.now < deadline, "not \(wanted) live readers in time")
            // The server tells the number and no change of it.
            try await Task.sleep(for: .milliseconds(2))
        }
    }
}

/// What a sequence brings until it ends.
func all<T>(_ sequence: StreamSequence<T>) async throws -> [T] {
    var items: [T] = []
    for try await item in sequence { items.append(item) }
    return items
}

/// The client's error of an operation that must fail.
func failure(_ operation: () async throws -> Void) async -> DurableStreamError? {
    do {
        try await operation()
        return nil
    } catch {
        return error as? DurableStreamError
    }
}
