import Foundation

/// Where a reader of a stream stood, to be kept over the end of a process.
public struct SuspendedStreamState: Sendable, Hashable, Codable {
    /// The stream's URL.
    public let url: URL
    /// Where to go on.
    public let offset: Offset
    /// The stream's content type, if it was known.
    public let contentType: String?
    /// When the state was taken.
    public let suspendedAt: Date

    public init(url: URL, offset: Offset, contentType: String?, suspendedAt: Date = Date()) {
        self.url = url
        self.offset = offset
        self.contentType = contentType
        self.suspendedAt = suspendedAt
    }
}

extension DurableStream {
    /// Where the handle's reads stand: the offset after what was handed out last, or the beginning.
    public nonisolated func captureState() -> SuspendedStreamState {
        SuspendedStreamState(url: url, offset: handle.delivered ?? .start, contentType: contentType)
    }

    /// The messages after a captured state, live, until the stream is closed.
    public nonisolated func resumeMessages<T: Decodable & Sendable>(
        as type: T.Type, from state: SuspendedStreamState, decoder: JSONDecoder = JSONDecoder()
    ) -> StreamSequence<T> {
        messages(as: type, from: state.offset, decoder: decoder)
    }

    /// The messages after a captured state in batches with offsets, live, until the stream is closed.
    public nonisolated func resumeBatches<T: Decodable & Sendable>(
        as type: T.Type, from state: SuspendedStreamState, decoder: JSONDecoder = JSONDecoder()
    ) -> StreamSequence<JsonBatch<T>> {
        jsonBatches(as: type, from: state.offset, decoder: decoder)
    }
}

/// Keeps where streams stood while an app is in the background.
public actor StreamLifecycleManager {
    private var states: [URL: SuspendedStreamState] = [:]
    private var configurations: [URL: DurableStream.Configuration] = [:]

    public init() {}

    /// Writes what the handle still has to write, and keeps where its reads stand.
    @discardableResult
    public func suspend(_ stream: DurableStream) async throws -> SuspendedStreamState {
        try await stream.flush()
        let state = stream.captureState()
        states[state.url] = state
        return state
    }

    /// Keeps where a stream's reads stand.
    @discardableResult
    public func suspend(url: URL, offset: Offset, contentType: String? = nil) -> SuspendedStreamState {
        let state = SuspendedStreamState(url: url, offset: offset, contentType: contentType)
        states[url] = state
        return state
    }

    /// A handle of a stream that was suspended, and forgets that it was.
    /// Errors: `.badRequest` when it was not; those of `connect`.
    public func resume(
        for url: URL, config: DurableStream.Configuration? = nil
    ) async throws -> (stream: DurableStream, state: SuspendedStreamState) {
        guard let state = states[url] else { throw DurableStreamError.invalid("url was not suspended: \(url)") }
        let configuration = config ?? configurations[url] ?? .default
        let stream = try await DurableStream.connect(url: url, config: configuration)
        states[url] = nil
        return (stream, state)
    }

    /// What is kept of a stream, if it is suspended.
    public func getSuspendedState(for url: URL) -> SuspendedStreamState? { states[url] }

    /// Whether a stream is suspended.
    public func isSuspended(_ url: URL) -> Bool { states[url] != nil }

    /// The configuration that `resume` uses for a stream.
    public func setConfiguration(_ configuration: DurableStream.Configuration, for url: URL) {
        configurations[url] = configuration
    }

    /// Forgets all states and configurations.
    public func clearAll() {
        states = [:]
        configurations = [:]
    }

    /// Every stream that is suspended.
    public var suspendedURLs: [URL] { Array(states.keys) }
}
