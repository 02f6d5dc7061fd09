import Foundation

extension DurableStream {
    /// Creates a stream and returns its handle. The same settings on a stream that exists are success.
    /// Errors: `.conflictExists`, `.badRequest`.
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
        url: String, contentType: String = "application/json", ttlSeconds: Int? = nil, expiresAt: String? = nil,
        data: Data? = nil, closed: Bool = false, config: Configuration = .default
    ) async throws -> DurableStream {
        try await create(
            url: parsed(url), contentType: contentType, ttlSeconds: ttlSeconds, expiresAt: expiresAt, data: data,
            closed: closed, config: config)
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
    public static func connect(url: String, config: Configuration = .default) async throws -> DurableStream {
        try await connect(url: parsed(url), config: config)
    }

    /// Returns the handle of a stream that exists; see `connect(url:config:)`.
    public static func connect(url: URL, handleConfig: HandleConfiguration) async throws -> DurableStream {
        try await connected(DurableStream(url: url, handleConfig: handleConfig))
    }

    /// Returns the handle of a stream, which is created if it does not exist.
    public static func createOrConnect(
        url: URL, contentType: String = "application/json", ttlSeconds: Int? = nil, expiresAt: String? = nil,
        config: Configuration = .default
    ) async throws -> DurableStream {
        let stream = try DurableStream(url: url, config: config)
        return try await stream.createdOrConnected(contentType, ttlSeconds, expiresAt)
    }

    /// Returns the handle of a stream, which is created if it does not exist.
    public static func createOrConnect(
        url: URL, contentType: String = "application/json", ttlSeconds: Int? = nil, expiresAt: String? = nil,
        handleConfig: HandleConfiguration
    ) async throws -> DurableStream {
        let stream = try DurableStream(url: url, handleConfig: handleConfig)
        return try await stream.createdOrConnected(contentType, ttlSeconds, expiresAt)
    }

    /// Asks for what the server knows of a stream.
    public static func head(url: URL, config: Configuration = .default) async throws -> StreamInfo {
        try await DurableStream(url: url, config: config).head()
    }

    /// Deletes a stream with all its data.
    public static func delete(url: URL, config: Configuration = .default) async throws {
        try await DurableStream(url: url, config: config).delete()
    }

    /// Ends a stream for everyone.
    @discardableResult
    public static func close(
        url: URL, data: Data? = nil, contentType: String? = nil, config: Configuration = .default
    ) async throws -> CloseResult {
        try await DurableStream(url: url, config: config).close(data: data, contentType: contentType)
    }

    // The forms that take text. A text that is no URL is `.badRequest`.

    public static func create(_ urlString: String) async throws -> DurableStream {
        try await create(url: parsed(urlString))
    }
    public static func create(urlString: String) async throws -> DurableStream { try await create(urlString) }
    public static func connect(_ urlString: String) async throws -> DurableStream {
        try await connect(url: parsed(urlString))
    }
    public static func connect(urlString: String) async throws -> DurableStream { try await connect(urlString) }
    public static func createOrConnect(_ urlString: String) async throws -> DurableStream {
        try await createOrConnect(url: parsed(urlString))
    }
    public static func head(_ urlString: String) async throws -> StreamInfo { try await head(url: parsed(urlString)) }
    public static func delete(_ urlString: String) async throws { try await delete(url: parsed(urlString)) }

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

    private static func parsed(_ text: String) throws -> URL {
        guard let url = URL(string: text), url.scheme != nil else {
            throw DurableStreamError.invalid("url is no absolute URL: \(text)")
        }
        return url
    }
}

extension URL {
    /// The URL of a stream below this one, its name put behind the path as it is.
    public func appendingStreamPath(_ name: String) -> URL {
        var text = absoluteString
        while text.hasSuffix("/") { text.removeLast() }
        let rest = name.drop { $0 == "/" }
        return URL(string: text + "/" + rest) ?? appendingPathComponent(String(rest))
    }
}
