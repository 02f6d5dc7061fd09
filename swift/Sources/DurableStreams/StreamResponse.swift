import Foundation
internal import DurableStreamsFFI
#if canImport(FoundationNetworking)
    public import FoundationNetworking
#endif

/// What is to be read.
public struct StreamOptions: Sendable {
    /// The stream's URL.
    public var url: URL
    /// Where to start.
    public var offset: Offset
    /// How to go on at the end of what there is.
    public var live: LiveMode
    /// Headers of every request.
    public var headers: HeadersRecord
    /// Query parameters of every request.
    public var params: ParamsRecord
    /// Limit of one exchange. Units: seconds.
    public var timeout: TimeInterval
    /// A session whose configuration requests are made with; `.shared` stands for the core's own connections.
    public var session: URLSession

    public init(
        url: URL, offset: Offset = .start, live: LiveMode = .catchUp, headers: HeadersRecord = [:],
        params: ParamsRecord = [:], timeout: TimeInterval = 30, session: URLSession = .shared
    ) {
        self.url = url
        self.offset = offset
        self.live = live
        self.headers = headers
        self.params = params
        self.timeout = timeout
        self.session = session
    }
}

/// Begins a read: returns when the first answer is there.
/// Errors: those of `DurableStream.read`.
public func stream(
    url: URL, offset: Offset = .start, live: LiveMode = .catchUp, headers: HeadersRecord = [:],
    params: ParamsRecord = [:], session: URLSession = .shared
) async throws -> StreamResponse {
    try await stream(
        StreamOptions(url: url, offset: offset, live: live, headers: headers, params: params, session: session))
}

/// Begins a read: returns when the first answer is there.
/// Errors: those of `DurableStream.read`.
public func stream(_ options: StreamOptions) async throws -> StreamResponse {
    let configuration = DurableStream.Configuration(
        headers: options.headers, params: options.params, timeout: options.timeout, session: options.session)
    let handle = try Handle(url: options.url, contentType: nil, configuration: configuration)
    return try await StreamResponse.begin(handle, offset: options.offset, live: options.live)
}

/// The first answer of a read, and the way to the others.
///
/// `data`, `json`, `text` and `bytes` are about the first answer alone; `upToDate` says whether there is more.
/// The sequences begin with the first answer and go on from there, live if the read is. There is one pass: the second
/// sequence ends with `.badRequest`.
public struct StreamResponse: Sendable {
    /// The first answer's bytes; of a JSON stream one JSON array.
    public let data: Data
    /// Where to resume after `data`.
    public let offset: Offset
    /// Everything there was has been read.
    public let upToDate: Bool
    /// Cursor for a later live read.
    public let cursor: String?
    /// The stream's content type.
    public let contentType: String?
    /// HTTP status of the first answer.
    public let status: Int
    /// Where the read began.
    public let startOffset: Offset
    /// How the read goes on.
    public let live: LiveMode
    /// The stream is closed and this is its end.
    public let streamClosed: Bool
    /// Headers of the answer, by lowercase name.
    public let headers: [String: String]
    private let first: Part?
    private let pull: Locked<Pull?>

    static func begin(_ handle: Handle, offset: Offset, live: LiveMode) async throws -> StreamResponse {
        let pull = try Pull(handle, from: offset, live: live, wholeAnswers: true)
        let first = try await pull.next()
        return StreamResponse(pull, first, startOffset: offset, live: live)
    }

    private init(_ pull: Pull, _ first: Part?, startOffset: Offset, live: LiveMode) {
        let state = pull.state
        data = first?.data ?? Data()
        offset = first?.nextOffset ?? Offset(state.offset)
        upToDate = first?.upToDate ?? state.upToDate
        cursor = first?.cursor ?? state.cursor
        contentType = state.contentType
        status = first?.status ?? Int(state.status)
        streamClosed = first?.streamClosed ?? state.streamClosed
        headers = dictionary(state.headers)
        self.startOffset = startOffset
        self.live = live
        self.first = first
        if let first { pull.putBack(first) }
        self.pull = Locked(pull)
    }

    /// The first answer's messages.
    /// Errors: `.parseError` for messages that are no `T`.
    public func json<T: Decodable & Sendable>(
        as type: T.Type, decoder: JSONDecoder = JSONDecoder()
    ) throws -> JsonBatch<T> {
        if let first { return try first.json(type, decoder) }
        return JsonBatch(items: [], offset: offset, upToDate: upToDate, cursor: cursor, streamClosed: streamClosed)
    }

    /// The first answer's text.
    /// Errors: `.parseError` for what is no UTF-8.
    public func text() throws -> TextResult {
        guard let text = String(data: data, encoding: .utf8) else {
            throw DurableStreamError.parseError("the answer's bytes are no UTF-8")
        }
        return TextResult(text: text, offset: offset, upToDate: upToDate, cursor: cursor, streamClosed: streamClosed)
    }

    /// The first answer's bytes.
    public func bytes() -> ByteResult {
        ByteResult(
            data: data, offset: offset, upToDate: upToDate, cursor: cursor, streamClosed: streamClosed, status: status)
    }

    /// The messages in batches with offsets.
    public func jsonStream<T: Decodable & Sendable>(
        as type: T.Type, decoder: JSONDecoder = JSONDecoder()
    ) -> StreamSequence<JsonBatch<T>> {
        sequence { try take().jsonBatches(type, decoder) }
    }

    /// The messages one by one.
    public func jsonItems<T: Decodable & Sendable>(
        as type: T.Type, decoder: JSONDecoder = JSONDecoder()
    ) -> StreamSequence<T> {
        sequence { try take().items(type, decoder) }
    }

    /// The bytes with offsets.
    public func byteStream() -> StreamSequence<ByteChunk> {
        sequence { try take().byteChunks() }
    }

    /// The text with offsets.
    public func textStream() -> StreamSequence<TextChunk> {
        sequence { try take().textChunks() }
    }

    /// Ends the read and aborts its connection. Repeating does nothing.
    public func cancel() {
        pull.value = nil
    }

    private func take() throws -> Pull {
        let taken = pull.update { pull in
            defer { pull = nil }
            return pull
        }
        guard let taken else { throw DurableStreamError.invalid("the response was used before, or cancelled") }
        return taken
    }
}
