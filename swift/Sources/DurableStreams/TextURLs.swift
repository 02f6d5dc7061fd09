import Foundation
#if canImport(FoundationNetworking)
    public import FoundationNetworking
#endif

// The forms that take a URL as text. A text that is no absolute URL is `.badRequest`, naming it.

extension DurableStream {
    /// A handle, without any request.
    /// Errors: `.badRequest` naming what cannot be used.
    public init(url: String, contentType: String? = nil, config: Configuration = .default) throws {
        try self.init(url: parsed(url), contentType: contentType, config: config)
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
        url: String, contentType: String = "application/json", ttlSeconds: Int? = nil, expiresAt: String? = nil,
        data: Data? = nil, closed: Bool = false, handleConfig: HandleConfiguration
    ) async throws -> DurableStream {
        try await create(
            url: parsed(url), contentType: contentType, ttlSeconds: ttlSeconds, expiresAt: expiresAt, data: data,
            closed: closed, handleConfig: handleConfig)
    }

    /// Returns the handle of a stream that exists; see `connect(url:config:)`.
    public static func connect(url: String, config: Configuration = .default) async throws -> DurableStream {
        try await connect(url: parsed(url), config: config)
    }

    /// Returns the handle of a stream that exists; see `connect(url:config:)`.
    public static func connect(url: String, handleConfig: HandleConfiguration) async throws -> DurableStream {
        try await connect(url: parsed(url), handleConfig: handleConfig)
    }

    /// Returns the handle of a stream, which is created if it does not exist; see `createOrConnect(url:config:)`.
    public static func createOrConnect(
        url: String, contentType: String = "application/json", ttlSeconds: Int? = nil, expiresAt: String? = nil,
        config: Configuration = .default
    ) async throws -> DurableStream {
        try await createOrConnect(
            url: parsed(url), contentType: contentType, ttlSeconds: ttlSeconds, expiresAt: expiresAt, config: config)
    }

    /// Asks for what the server knows of a stream; see `head(url:config:)`.
    public static func head(url: String, config: Configuration = .default) async throws -> StreamInfo {
        try await head(url: parsed(url), config: config)
    }

    /// Deletes a stream with all its data; see `delete(url:config:)`.
    public static func delete(url: String, config: Configuration = .default) async throws {
        try await delete(url: parsed(url), config: config)
    }

    /// Ends a stream for everyone; see `close(url:config:)`.
    @discardableResult
    public static func close(
        url: String, data: Data? = nil, contentType: String? = nil, config: Configuration = .default
    ) async throws -> CloseResult {
        try await close(url: parsed(url), data: data, contentType: contentType, config: config)
    }

    /// Creates a JSON stream and returns its handle; see `create(url:config:)`.
    public static func create(_ urlString: String) async throws -> DurableStream { try await create(url: urlString) }

    /// Creates a JSON stream and returns its handle; see `create(url:config:)`.
    public static func create(urlString: String) async throws -> DurableStream { try await create(url: urlString) }

    /// Returns the handle of a stream that exists; see `connect(url:config:)`.
    public static func connect(_ urlString: String) async throws -> DurableStream { try await connect(url: urlString) }

    /// Returns the handle of a stream that exists; see `connect(url:config:)`.
    public static func connect(urlString: String) async throws -> DurableStream { try await connect(url: urlString) }

    /// Returns the handle of a JSON stream, which is created if it does not exist; see `createOrConnect(url:config:)`.
    public static func createOrConnect(_ urlString: String) async throws -> DurableStream {
        try await createOrConnect(url: urlString)
    }

    /// Asks for what the server knows of a stream; see `head(url:config:)`.
    public static func head(_ urlString: String) async throws -> StreamInfo { try await head(url: urlString) }

    /// Deletes a stream with all its data; see `delete(url:config:)`.
    public static func delete(_ urlString: String) async throws { try await delete(url: urlString) }
}

/// Begins a read: returns when the first answer is there; see `stream(url:offset:)`.
public func stream(
    url: String, offset: Offset = .start, live: LiveMode = .catchUp, headers: HeadersRecord = [:],
    params: ParamsRecord = [:], session: URLSession = .shared
) async throws -> StreamResponse {
    try await stream(
        url: parsed(url), offset: offset, live: live, headers: headers, params: params, session: session)
}

private func parsed(_ text: String) throws -> URL {
    guard let url = URL(string: text), url.scheme != nil else {
        throw DurableStreamError.invalid("url is no absolute URL: \(text)")
    }
    return url
}
