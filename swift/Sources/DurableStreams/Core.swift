import Foundation
internal import DurableStreamsFFI
#if canImport(FoundationNetworking)
    import FoundationNetworking
#endif

/// Runs an operation of the core, perhaps of a producer. Cancelling the task cancels it at once.
/// Errors: `CancellationError`, `DurableStreamError`.
func inCore<T: Sendable>(
    producerId: String? = nil, _ operation: @Sendable (FfiCancel) async throws -> T
) async throws -> T {
    let cancel = FfiCancel()
    return try await withTaskCancellationHandler {
        do {
            return try await operation(cancel)
        } catch {
            throw translated(error, producerId)
        }
    } onCancel: {
        // A Swift task that is cancelled does not drop its Rust future.
        cancel.cancel()
    }
}

/// The same for what the core does without waiting.
func atOnce<T>(producerId: String? = nil, _ operation: () throws -> T) throws -> T {
    do {
        return try operation()
    } catch {
        throw translated(error, producerId)
    }
}

/// Errors of the core as the package's own, for what is not cancelled.
package func told<T>(_ operation: () async throws -> T) async throws -> T {
    do {
        return try await operation()
    } catch {
        throw translated(error, nil)
    }
}

private func translated(_ error: any Error, _ producerId: String?) -> any Error {
    switch error {
    case CoreError.Cancelled: CancellationError()
    case let error as CoreError: DurableStreamError(error.details, producerId: producerId)
    default: error
    }
}

/// The core's handle of a stream, and what is known of how it is used.
final class Handle: Sendable {
    let ffi: FfiStream
    let url: URL
    let configuration: DurableStream.Configuration
    private let lastDelivered = Locked<Offset?>(nil)
    private let learned = Locked<String?>(nil)

    init(url: URL, contentType: String?, configuration: DurableStream.Configuration) throws {
        self.url = url
        self.configuration = configuration
        let batching: Batching = configuration.batching.maxBytes > 0 ? .shared : .off
        ffi = try atOnce {
            try FfiStream(
                settings: configuration.settings, url: url.absoluteString, contentType: contentType, batching: batching)
        }
    }

    /// The same stream with more headers and parameters.
    func with(headers: HeadersRecord, params: ParamsRecord) throws -> Handle {
        if headers.isEmpty && params.isEmpty { return self }
        var configuration = configuration
        let names = Set(headers.keys.map { $0.lowercased() })
        configuration.headers = configuration.headers.filter { !names.contains($0.key.lowercased()) }
        configuration.headers.merge(headers) { _, new in new }
        configuration.params.merge(params) { _, new in new }
        return try Handle(url: url, contentType: contentType, configuration: configuration)
    }

    /// The offset after what was handed out last.
    var delivered: Offset? {
        get { lastDelivered.value }
        set { lastDelivered.value = newValue }
    }

    /// The content type as stated or learned.
    var contentType: String? {
        ffi.contentType() ?? learned.value
    }

    func learn(_ contentType: String?) {
        learned.value = contentType
    }
}

extension DurableStream.Configuration {
    var settings: ClientSettings {
        let source = DynamicValues(headers: headers, params: params)
        return ClientSettings(
            headers: source.fixedHeaders,
            params: source.fixedParams,
            provider: source.isEmpty ? nil : source,
            timeoutMs: timeout * 1000,
            longPollTimeoutMs: longPollTimeout * 1000,
            sseIdleTimeoutMs: sseIdleTimeout.map { $0 * 1000 },
            connectTimeoutMs: connectTimeout.map { $0 * 1000 },
            retry: retry?.settings,
            transport: session === URLSession.shared ? nil : SessionTransport(session)
        )
    }
}

extension RetryConfig {
    var settings: RetrySettings {
        RetrySettings(
            maxRetries: Double(maxAttempts - 1), initialDelayMs: Double(initialDelayMs),
            maxDelayMs: Double(maxDelayMs), multiplier: multiplier)
    }
}

/// Values that are computed for every request, as the core asks for them.
final class DynamicValues: ValueProvider {
    private let headers: HeadersRecord
    private let params: ParamsRecord

    init(headers: HeadersRecord, params: ParamsRecord) {
        self.headers = headers
        self.params = params
    }

    var isEmpty: Bool {
        !(headers.values.contains(where: \.isDynamic) || params.values.contains(where: \.isDynamic))
    }

    var fixedHeaders: [NameValue] { headers.fixed }
    var fixedParams: [NameValue] { params.fixed }

    func resolve() async throws -> Resolved {
        try await RaisedErrors.shared.keeping {
            Resolved(headers: try await headers.computed(), params: try await params.computed())
        }
    }
}

extension HeaderValue {
    var isDynamic: Bool {
        if case .provider = self { true } else { false }
    }
}

extension [String: HeaderValue] {
    fileprivate var fixed: [NameValue] {
        compactMap { name, value in
            if case .value(let value) = value { NameValue(name: name, value: value) } else { nil }
        }
    }

    fileprivate func computed() async throws -> [NameValue] {
        var pairs: [NameValue] = []
        for (name, value) in self {
            if case .provider(let provide) = value { pairs.append(NameValue(name: name, value: try await provide())) }
        }
        return pairs
    }
}

/// Headers by lowercase name; repeated ones are joined.
func dictionary(_ pairs: [NameValue]) -> [String: String] {
    Dictionary(pairs.map { ($0.name.lowercased(), $0.value) }) { $0 + ", " + $1 }
}

/// Pairs as the core takes them.
func nameValues(_ headers: [String: String]) -> [NameValue] {
    headers.map { NameValue(name: $0.key, value: $0.value) }
}

/// A value behind a lock.
final class Locked<T>: @unchecked Sendable {
    // Every access to `held` happens with the lock held.
    private let lock = NSLock()
    private var held: T

    init(_ value: T) {
        held = value
    }

    var value: T {
        get { lock.withLock { held } }
        set { lock.withLock { held = newValue } }
    }

    func update<R>(_ change: (inout T) throws -> R) rethrows -> R {
        try lock.withLock { try change(&held) }
    }
}
