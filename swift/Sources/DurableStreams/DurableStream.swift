import Foundation
internal import DurableStreamsFFI

/// A handle to one stream. Copies of the reference share connections and what is known of the stream.
///
/// Releasing a handle ends nothing but the handle: only `close` ends the stream.
public actor DurableStream {
    /// The stream's URL.
    public nonisolated let url: URL
    nonisolated let handle: Handle
    private nonisolated let producer: IdempotentProducer?

    /// A handle, without any request.
    /// Errors: `.badRequest` naming a setting that cannot be used.
    public init(url: URL, contentType: String? = nil, config: Configuration = .default) throws {
        self.url = url
        handle = try Handle(url: url, contentType: contentType, configuration: config)
        producer = nil
    }

    /// A handle, without any request, whose appends go through a producer if the configuration says so.
    public init(url: URL, contentType: String? = nil, handleConfig: HandleConfiguration) throws {
        self.url = url
        let handle = try Handle(url: url, contentType: contentType, configuration: handleConfig.basic)
        self.handle = handle
        switch handleConfig.idempotentProducer {
        case .disabled: producer = nil
        case .enabled(let producerId, let initialEpoch, let autoClaim, let onError):
            let batching = handleConfig.batching
            let config = IdempotentProducer.Configuration(
                autoClaim: autoClaim, maxBatchBytes: max(batching.maxBytes, 1), lingerMs: batching.lingerMs,
                maxInFlight: batching.maxInFlight, onError: onError)
            producer = IdempotentProducer(handle: handle, producerId: producerId, epoch: initialEpoch, config: config)
        }
    }

    /// The content type, if it was stated or learned.
    public nonisolated var contentType: String? { handle.contentType }

    /// Creates the stream. The same settings on a stream that exists are success.
    /// Errors: `.conflictExists`, `.badRequest`, `.notFound` (the source of a fork).
    @discardableResult
    public nonisolated func createStream(_ options: CreateOptions = CreateOptions()) async throws -> CreateResult {
        let settings = CreateSettings(
            contentType: options.contentType, ttlSeconds: options.ttlSeconds.map(Double.init),
            expiresAt: options.expiresAt, body: options.data, closed: options.closed, forkFrom: options.forkFrom,
            forkOffset: options.forkOffset?.rawValue,
            forkSubOffset: try options.forkSubOffset.map { try positive($0, "forkSubOffset") },
            headers: nameValues(options.headers))
        let created = try await inCore { try await self.handle.ffi.create(settings: settings, cancel: $0) }
        return CreateResult(
            isNew: created.isNew, contentType: created.contentType, offset: created.nextOffset.map { Offset($0) },
            streamClosed: created.closed, status: Int(created.told.status), headers: dictionary(created.told.headers),
            attempts: Int(created.told.attempts))
    }

    /// Asks for what the server knows of the stream.
    /// Errors: `.notFound`, `.retentionExpired`.
    public nonisolated func head() async throws -> StreamInfo {
        let head = try await inCore { try await self.handle.ffi.head(cancel: $0) }
        return StreamInfo(
            offset: Offset(head.offset), contentType: head.contentType, etag: head.etag,
            cacheControl: head.cacheControl, streamClosed: head.closed, ttlSeconds: head.ttlSeconds.map { Int($0) },
            expiresAt: head.expiresAt, status: Int(head.told.status), headers: dictionary(head.told.headers),
            attempts: Int(head.told.attempts))
    }

    /// Deletes the stream with all its data.
    /// Errors: `.notFound`.
    public nonisolated func delete() async throws {
        _ = try await inCore { try await self.handle.ffi.deleteStream(cancel: $0) }
    }

    /// Appends and returns once the server has stored it.
    ///
    /// Shape: the bytes as they are. On a JSON stream they are JSON text; the elements of a top-level array become
    /// messages of their own. Errors: `.notFound`, `.streamClosed`, `.conflictSeq`, `.conflict` (content type).
    @discardableResult
    public nonisolated func append(
        data: Data, contentType: String? = nil, seq: Int? = nil, ifMatch: String? = nil, headers: [String: String] = [:]
    ) async throws -> AppendResult {
        if let producer, contentType == nil, seq == nil, ifMatch == nil, headers.isEmpty {
            return try await producer.appendAndWait(data)
        }
        let settings = AppendSettings(
            seq: seq.map { String($0) }, ifMatch: ifMatch, contentType: contentType, headers: nameValues(headers))
        return try await append(data, settings)
    }

    /// Appends and returns once the server has stored it; see `append(data:)`.
    @discardableResult
    public nonisolated func appendSync(
        _ data: Data, contentType: String? = nil, seq: Int? = nil
    ) async throws -> AppendResult {
        try await append(data: data, contentType: contentType, seq: seq)
    }

    /// Appends text and returns once the server has stored it.
    @discardableResult
    public nonisolated func appendSync(_ text: String) async throws -> AppendResult {
        try await append(data: Data(text.utf8))
    }

    /// Appends a value as JSON and returns once the server has stored it. The elements of an array become messages
    /// of their own.
    @discardableResult
    public nonisolated func appendSync<T: Encodable>(
        _ value: T, encoder: JSONEncoder = JSONEncoder()
    ) async throws -> AppendResult {
        try await append(data: encoder.encode(value))
    }

    /// Appends with producer numbers that the caller counts. Sent again with the same numbers it is stored once.
    /// Errors: `.staleEpoch`, `.sequenceGap`, and those of `append`.
    @discardableResult
    public nonisolated func appendWithProducer(
        _ data: Data, producerId: String, epoch: Int, seq: Int, contentType: String? = nil,
        additionalHeaders: [String: String] = [:]
    ) async throws -> AppendResult {
        let settings = AppendSettings(
            contentType: contentType, producerId: producerId, producerEpoch: try positive(epoch, "epoch"),
            producerSeq: try positive(seq, "seq"), headers: nameValues(additionalHeaders))
        return try await append(data, settings)
    }

    private nonisolated func append(_ data: Data, _ settings: AppendSettings) async throws -> AppendResult {
        // Whatever is not an array for certain is one message or bytes, and may share a request with others.
        let kind: MessageKind = data.first { !$0.isJSONSpace } == UInt8(ascii: "[") ? .body : .text
        return AppendResult(
            try await inCore { try await self.handle.ffi.append(data: data, kind: kind, settings: settings, cancel: $0) })
    }

    /// Ends the stream for everyone, with a last piece of data if there is one.
    /// Errors: `.notFound`; `.streamClosed` if there is data and the stream was closed before.
    @discardableResult
    public nonisolated func close(data: Data? = nil, contentType: String? = nil) async throws -> CloseResult {
        let closed = try await inCore {
            try await self.handle.ffi.closeStream(last: data, kind: .body, contentType: contentType, cancel: $0)
        }
        return CloseResult(
            finalOffset: closed.finalOffset.map { Offset($0) }, status: Int(closed.told.status),
            headers: dictionary(closed.told.headers), attempts: Int(closed.told.attempts))
    }

    /// Waits until everything appended through the handle's producer is stored. Without a producer there is nothing
    /// to wait for.
    public nonisolated func flush() async throws {
        try await producer?.flush()
    }
}

extension UInt8 {
    /// Space between the tokens of JSON.
    fileprivate var isJSONSpace: Bool { self == 0x20 || (0x09...0x0D).contains(self) }
}

extension AppendResult {
    init(_ appended: Appended) {
        self.init(
            offset: appended.nextOffset.map { Offset($0) }, isDuplicate: appended.duplicate,
            producerEpoch: appended.producerEpoch.map { Int($0) }, producerSeq: appended.producerSeq.map { Int($0) },
            etag: appended.etag, headers: dictionary(appended.told.headers), streamClosed: appended.closed,
            status: Int(appended.told.status), attempts: Int(appended.told.attempts))
    }
}

/// A number the core takes without a sign.
func positive(_ number: Int, _ name: String) throws -> UInt64 {
    guard let number = UInt64(exactly: number) else { throw DurableStreamError.invalid("\(name) is negative: \(number)") }
    return number
}
