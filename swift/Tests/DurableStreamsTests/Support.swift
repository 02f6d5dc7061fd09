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
    let server = try await TestServer.start(longPollTimeout: longPollTimeout)
    do {
        let result = try await body(server)
        try await server.stop()
        return result
    } catch {
        try? await server.stop()
        throw error
    }
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
func all<T>(_ sequence: AsyncThrowingStream<T, any Error>) async throws -> [T] {
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
