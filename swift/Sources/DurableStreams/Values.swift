import Foundation

/// How a read goes on at the end of what there is.
public enum LiveMode: String, Sendable, Hashable, Codable, CaseIterable {
    /// It ends.
    case catchUp
    /// It repeats requests that wait for data.
    case longPoll
    /// It holds one answer open that data is sent into.
    case sse
    /// Server-sent events where the content type allows them, else long-poll.
    case auto
}

/// Messages of a JSON stream, and where to go on after them.
public struct JsonBatch<T: Sendable>: Sendable {
    /// The messages.
    public let items: [T]
    /// Where to resume after these items.
    public let offset: Offset
    /// Everything there was has been read.
    public let upToDate: Bool
    /// Cursor for a later live read.
    public let cursor: String?
    /// The stream is closed and this is its end.
    public let streamClosed: Bool

    public init(items: [T], offset: Offset, upToDate: Bool, cursor: String? = nil, streamClosed: Bool = false) {
        self.items = items
        self.offset = offset
        self.upToDate = upToDate
        self.cursor = cursor
        self.streamClosed = streamClosed
    }
}

extension JsonBatch: Sequence {
    /// Iterates over the items.
    public func makeIterator() -> IndexingIterator<[T]> { items.makeIterator() }
    /// How many items there are.
    public var count: Int { items.count }
    /// Whether there is no item.
    public var isEmpty: Bool { items.isEmpty }
    /// The first item.
    public var first: T? { items.first }
    /// The last item.
    public var last: T? { items.last }
}

extension JsonBatch: Equatable where T: Equatable {}

/// Bytes of a stream, and where to go on after them.
public struct ByteChunk: Sendable, Hashable {
    /// The bytes; of a JSON stream one JSON array.
    public let data: Data
    /// Where to resume after these bytes.
    public let offset: Offset
    /// Everything there was has been read.
    public let upToDate: Bool
    /// Cursor for a later live read.
    public let cursor: String?
    /// The stream is closed and this is its end.
    public let streamClosed: Bool
    /// Status of the HTTP answer it came with.
    public let status: Int

    public init(
        data: Data, offset: Offset, upToDate: Bool, cursor: String? = nil, streamClosed: Bool = false, status: Int = 200
    ) {
        self.data = data
        self.offset = offset
        self.upToDate = upToDate
        self.cursor = cursor
        self.streamClosed = streamClosed
        self.status = status
    }
}

/// Text of a stream, and where to go on after it. Never cut inside a character.
public struct TextChunk: Sendable, Hashable {
    /// The text.
    public let text: String
    /// Where to resume after this text.
    public let offset: Offset
    /// Everything there was has been read.
    public let upToDate: Bool
    /// Cursor for a later live read.
    public let cursor: String?
    /// The stream is closed and this is its end.
    public let streamClosed: Bool

    public init(text: String, offset: Offset, upToDate: Bool, cursor: String? = nil, streamClosed: Bool = false) {
        self.text = text
        self.offset = offset
        self.upToDate = upToDate
        self.cursor = cursor
        self.streamClosed = streamClosed
    }
}

/// The text there is from an offset on.
public typealias TextResult = TextChunk

/// The bytes there are from an offset on.
public typealias ByteResult = ByteChunk

/// An event of a read over server-sent events, put together with the control event that makes it final.
public struct SSEEvent: Sendable, Hashable {
    /// Its type, if it has one.
    public let event: String?
    /// Its data; of a binary stream base64.
    public let data: String
    /// Where to resume after this event.
    public let id: String?
    /// Units: ms.
    public let retry: Int?

    public init(event: String? = nil, data: String, id: String? = nil, retry: Int? = nil) {
        self.event = event
        self.data = data
        self.id = id
        self.retry = retry
    }

    /// The type of the event; `message` when it has none.
    public var effectiveEvent: String { event ?? "message" }
}

/// What a server tells about a stream.
public struct StreamInfo: Sendable, Hashable {
    /// The end of the stream.
    public let offset: Offset?
    /// Content type as stored.
    public let contentType: String?
    /// Entity tag, if the server sends one.
    public let etag: String?
    /// How caches may keep it.
    public let cacheControl: String?
    /// Whether the stream is closed.
    public let streamClosed: Bool
    /// Sliding time to live as configured. Units: seconds.
    public let ttlSeconds: Int?
    /// Fixed deadline, RFC 3339.
    public let expiresAt: String?
    /// HTTP status of the answer.
    public let status: Int
    /// Headers of the answer, by lowercase name.
    public let headers: [String: String]
    /// How many times the request was sent.
    public let attempts: Int

    public init(
        offset: Offset?, contentType: String?, etag: String? = nil, cacheControl: String? = nil,
        streamClosed: Bool = false, ttlSeconds: Int? = nil, expiresAt: String? = nil, status: Int = 200,
        headers: [String: String] = [:], attempts: Int = 1
    ) {
        self.offset = offset
        self.contentType = contentType
        self.etag = etag
        self.cacheControl = cacheControl
        self.streamClosed = streamClosed
        self.ttlSeconds = ttlSeconds
        self.expiresAt = expiresAt
        self.status = status
        self.headers = headers
        self.attempts = attempts
    }

    /// Whether the server knows the stream.
    public var exists: Bool { (200..<300).contains(status) }
}

/// What is to be created; what is absent is not sent.
public struct CreateOptions: Sendable, Hashable {
    /// Content type; a fork inherits its source's.
    public var contentType: String?
    /// Sliding time to live.
    public var ttlSeconds: Int?
    /// Fixed deadline, RFC 3339.
    public var expiresAt: String?
    /// First data.
    public var data: Data?
    /// Creates the stream closed.
    public var closed: Bool
    /// Source of a fork: a name or a URL on the same server.
    public var forkFrom: String?
    /// Where the fork diverges.
    public var forkOffset: Offset?
    /// How far into the unit at the fork offset. Units: bytes or messages.
    public var forkSubOffset: Int?
    /// Headers of this request.
    public var headers: [String: String]

    public init(
        contentType: String? = nil, ttlSeconds: Int? = nil, expiresAt: String? = nil, data: Data? = nil,
        closed: Bool = false, forkFrom: String? = nil, forkOffset: Offset? = nil, forkSubOffset: Int? = nil,
        headers: [String: String] = [:]
    ) {
        self.contentType = contentType
        self.ttlSeconds = ttlSeconds
        self.expiresAt = expiresAt
        self.data = data
        self.closed = closed
        self.forkFrom = forkFrom
        self.forkOffset = forkOffset
        self.forkSubOffset = forkSubOffset
        self.headers = headers
    }
}

/// A created stream.
public struct CreateResult: Sendable, Hashable {
    /// Whether this call created it; otherwise it existed with the same settings.
    public let isNew: Bool
    /// Content type as stored.
    public let contentType: String?
    /// The end of the stream.
    public let offset: Offset?
    /// Whether the stream is closed.
    public let streamClosed: Bool
    /// HTTP status of the answer.
    public let status: Int
    /// Headers of the answer, by lowercase name.
    public let headers: [String: String]
    /// How many times the request was sent.
    public let attempts: Int
}

/// A stored append.
public struct AppendResult: Sendable, Hashable {
    /// The new end of the stream; a server may leave it out for duplicates.
    public let offset: Offset?
    /// Whether the server had stored this producer's request before.
    public let isDuplicate: Bool
    /// Epoch in force, for a producer's request.
    public let producerEpoch: Int?
    /// Highest stored sequence number, for a producer's request.
    public let producerSeq: Int?
    /// Entity tag, if the server sends one.
    public let etag: String?
    /// Headers of the answer, by lowercase name; of a producer's batch none are kept.
    public let headers: [String: String]
    /// Whether the stream is closed now.
    public let streamClosed: Bool
    /// HTTP status of the answer; absent for a producer's batch.
    public let status: Int?
    /// How many times the request was sent; absent for a producer's batch.
    public let attempts: Int?

    public init(
        offset: Offset?, isDuplicate: Bool = false, producerEpoch: Int? = nil, producerSeq: Int? = nil,
        etag: String? = nil, headers: [String: String] = [:], streamClosed: Bool = false, status: Int? = nil,
        attempts: Int? = nil
    ) {
        self.offset = offset
        self.isDuplicate = isDuplicate
        self.producerEpoch = producerEpoch
        self.producerSeq = producerSeq
        self.etag = etag
        self.headers = headers
        self.streamClosed = streamClosed
        self.status = status
        self.attempts = attempts
    }
}

/// A closed stream.
public struct CloseResult: Sendable, Hashable {
    /// The end of the stream, which no longer moves.
    public let finalOffset: Offset?
    /// HTTP status of the answer; absent when a producer closed the stream.
    public let status: Int?
    /// Headers of the answer, by lowercase name.
    public let headers: [String: String]
    /// How many times the request was sent; absent when a producer closed the stream.
    public let attempts: Int?

    public init(finalOffset: Offset?, status: Int? = nil, headers: [String: String] = [:], attempts: Int? = nil) {
        self.finalOffset = finalOffset
        self.status = status
        self.headers = headers
        self.attempts = attempts
    }
}

/// What a flush achieved.
public struct FlushResult: Sendable, Hashable {
    /// The end of the stream after the latest stored batch.
    public let offset: Offset?
    /// How many appends whose receipts were awaited since the last flush had been stored before.
    public let duplicateCount: Int

    public init(offset: Offset?, duplicateCount: Int) {
        self.offset = offset
        self.duplicateCount = duplicateCount
    }
}
