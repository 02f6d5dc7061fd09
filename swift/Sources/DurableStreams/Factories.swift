import Foundation

extension DurableStream {
    /// Creates a stream and returns its handle. The same settings on a stream that exists are success.
    /// Units: `ttlSeconds` counts from the latest read or write; `expiresAt` is RFC 3339. There is one of them at most.
    /// Errors: `.conflictExists` if it exists with other settings, `.badRequest`.
    public static func create(
        url: URL, contentType: String = "application/json", ttlSeconds: Int? = nil, expiresAt: String? = nil,
        data: Data? = nil, closed: Bool = false, config: Configuration = .default
    ) async throws -> DurableStream {
        let stream = try DurableStream(url: url, contentType: contentType, config: config)
        try await stream.createStream(
            CreateOptions(
                contentType: contentType, ttlSeconds: ttlSeconds, expiresAt: expiresAt, data: data, closed: closed))
        return stream
    }

    /// Creates a stream and returns its handle; see `create(url:config:)`.
    public static func create(
        url: URL, contentType: String = "application/json", ttlSeconds: Int? = nil, expiresAt: String? = nil,
        data: Data? = nil, closed: Bool = false, handleConfig: HandleConfiguration
    ) async throws -> DurableStream {
        let stream = try DurableStream(url: url, contentType: contentType, handleConfig: handleConfig)
        try await stream.createStream(
            CreateOptions(
                contentType: contentType, ttlSeconds: ttlSeconds, expiresAt: expiresAt, data: data, closed: closed))
        return stream
    }

    /// Creates a stream that begins with another one's data, up to an offset, and returns its handle.
    /// Errors: `.notFound` (the source), `.conflictExists`.
    public static func fork(
        url: URL, from source: URL, offset: Offset? = nil, subOffset: Int? = nil, config: Configuration = .default
    ) async throws -> DurableStream {
        let stream = try DurableStream(url: url, config: config)
        try await stream.createStream(
            CreateOptions(forkFrom: source.absoluteString, forkOffset: offset, forkSubOffset: subOffset))
        return stream
    }

    /// Returns the handle of a stream that exists.
    /// Errors: `.notFound`.
    public static func connect(url: URL, config: Configuration = .default) async throws -> DurableStream {
        try await connected(DurableStream(url: url, config: config))
    }

    /// Returns the handle of a stream that exists; see `connect(url:config:)`.
    public static func connect(url: URL, handleConfig: HandleConfiguration) async throws -> DurableStream {
        try await connected(DurableStream(url: url, handleConfig: handleConfig))
    }

    /// Returns the handle of a stream, which is created if it does not exist. One that exists is taken as it is, whatever
    /// its settings are.
    /// Errors: `.badRequest`; `.notFound` if it was deleted at the same time.
    public static func createOrConnect(
        url: URL, contentType: String = "application/json", ttlSeconds: Int? = nil, expiresAt: String? = nil,
        config: Configuration = .default
    ) async throws -> DurableStream {
        let stream = try DurableStream(url: url, config: config)
        return try await stream.createdOrConnected(contentType, ttlSeconds, expiresAt)
    }

    /// Returns the handle of a stream, which is created if it does not exist; see `createOrConnect(url:config:)`.
    public static func createOrConnect(
        url: URL, contentType: String = "application/json", ttlSeconds: Int? = nil, expiresAt: String? = nil,
        handleConfig: HandleConfiguration
    ) async throws -> DurableStream {
        let stream = try DurableStream(url: url, handleConfig: handleConfig)
        return try await stream.createdOrConnected(contentType, ttlSeconds, expiresAt)
    }

    /// Asks for what the server knows of a stream.
    /// Errors: `.notFound`, `.retentionExpired`.
    public static func head(url: URL, config: Configuration = .default) async throws -> StreamInfo {
        try await DurableStream(url: url, config: config).head()
    }

    /// Deletes a stream with all its data.
    /// Errors: `.notFound`.
    public static func delete(url: URL, config: Configuration = .default) async throws {
        try await DurableStream(url: url, config: config).delete()
    }

    /// Ends a stream for everyone, with a last piece of data if there is one.
    /// Errors: `.notFound`; `.streamClosed` if there is data and the stream was closed before.
    @discardableResult
    public static func close(
        url: URL, data: Data? = nil, contentType: String? = nil, config: Configuration = .default
    ) async throws -> CloseResult {
        try await DurableStream(url: url, config: config).close(data: data, contentType: contentType)
    }

    private static func connected(_ stream: DurableStream) async throws -> DurableStream {
        let info = try await stream.head()
        stream.handle.learn(info.contentType)
        return stream
    }

    private nonisolated func createdOrConnected(
        _ contentType: String, _ ttlSeconds: Int?, _ expiresAt: String?
    ) async throws -> DurableStream {
        do {
            try await createStream(
                CreateOptions(contentType: contentType, ttlSeconds: ttlSeconds, expiresAt: expiresAt))
        } catch let error as DurableStreamError where error.code == .conflictExists {
            // It exists with other settings, which is what was asked for.
            return try await Self.connected(self)
        }
        return self
    }
}

extension URL {
    /// The URL of a stream below this one, its name put behind the path. What stands for itself in a URL stays as it
    /// is; a query stays behind the path.
    public func appendingStreamPath(_ name: String) -> URL {
        let text = absoluteString
        let end = text.firstIndex { $0 == "?" || $0 == "#" } ?? text.endIndex
        var base = text[..<end]
        while base.hasSuffix("/") { base.removeLast() }
        let rest = name.drop { $0 == "/" }
        return URL(string: "\(base)/\(rest)\(text[end...])") ?? appendingPathComponent(String(rest))
    }
}
