import Foundation
internal import DurableStreamsFFI

/// A read under way. Pulled: nothing is asked of the server beyond one batch ahead of what was taken.
final class Pull: Sendable {
    private let reader: FfiReader
    private let handle: Handle
    private let first: Locked<Part?>

    init(
        _ handle: Handle, from offset: Offset, live: LiveMode, cursor: String? = nil, ifNoneMatch: String? = nil,
        wholeAnswers: Bool = false
    ) throws {
        let mode: DurableStreamsFFI.LiveMode =
            switch live {
            case .catchUp: .off
            case .longPoll: .longPoll
            case .sse: .sse
            case .auto: .auto
            }
        let settings = ReadSettings(
            offset: offset.rawValue.isEmpty ? nil : offset.rawValue, live: mode, cursor: cursor,
            ifNoneMatch: ifNoneMatch, maxBatchBytes: wholeAnswers ? Self.wholeAnswer : nil)
        reader = try atOnce { try FfiReader(stream: handle.ffi, settings: settings) }
        self.handle = handle
        first = Locked(nil)
    }

    /// No server sends more in one answer.
    private static let wholeAnswer: UInt32 = 268_435_456

    deinit {
        // Whoever drops a sequence wants its connection gone at once.
        reader.cancel()
    }

    func next() async throws -> Part? {
        let kept = first.update { kept in
            defer { kept = nil }
            return kept
        }
        var part = kept
        if part == nil {
            do {
                part = try await inCore { try await self.reader.nextPiece(cancel: $0) }.map(Part.init)
            } catch is CancellationError {
                // The core would keep the request for who asks next; nobody does.
                reader.cancel()
                throw CancellationError()
            }
        }
        if let part { handle.delivered = part.nextOffset }
        return part
    }

    /// Lets `next` return this part once more.
    func putBack(_ part: Part) {
        first.value = part
    }

    var state: ReadState { reader.state() }
}

/// Sequences of what a read brings.
extension Pull {
    func jsonBatches<T: Decodable & Sendable>(
        _ type: T.Type, _ decoder: JSONDecoder
    ) -> StreamSequence<JsonBatch<T>> {
        let decoder = Locked(decoder)
        return StreamSequence { try await self.next()?.json(type, decoder.value) }
    }

    func items<T: Decodable & Sendable>(
        _ type: T.Type, _ decoder: JSONDecoder
    ) -> StreamSequence<T> {
        let waiting = Locked<ArraySlice<T>>([])
        let decoder = Locked(decoder)
        return StreamSequence {
            while true {
                if let item = waiting.update({ $0.popFirst() }) { return item }
                guard let part = try await self.next() else { return nil }
                waiting.value = try part.items(type, decoder.value)[...]
            }
        }
    }

    /// With the batches without data: they say that everything has been read, or that the stream is closed.
    func byteChunks() -> StreamSequence<ByteChunk> {
        StreamSequence { try await self.next()?.bytes }
    }

    func textChunks() -> StreamSequence<TextChunk> {
        let begun = Locked(Data())
        return StreamSequence {
            guard let part = try await self.next() else {
                if begun.value.isEmpty { return nil }
                throw DurableStreamError.parseError("the stream ends inside a character")
            }
            let text = try begun.update { try takeText(&$0, part.data) }
            return TextChunk(
                text: text, offset: part.nextOffset, upToDate: part.upToDate, cursor: part.cursor,
                streamClosed: part.streamClosed)
        }
    }

    func events() -> StreamSequence<SSEEvent> {
        StreamSequence {
            while let part = try await self.next() {
                if part.data.isEmpty { continue }
                let text = String(data: part.data, encoding: .utf8) ?? part.data.base64EncodedString()
                return SSEEvent(event: "data", data: text, id: part.nextOffset.rawValue)
            }
            return nil
        }
    }
}

/// Whole characters of `begun` and `data`; what a character only begins with stays in `begun`.
func takeText(_ begun: inout Data, _ data: Data) throws -> String {
    begun.append(data)
    // A character of UTF-8 has at most 4 bytes, so at most 3 are left over.
    for left in 0...min(3, begun.count) {
        if let text = String(data: begun.dropLast(left), encoding: .utf8) {
            begun = Data(begun.suffix(left))
            return text
        }
    }
    throw DurableStreamError.parseError("the stream's bytes are no UTF-8")
}

extension DurableStream {
    /// One unit: what one answer of the server brings, with how to go on. `headers` go with every request of this read,
    /// instead of the handle's of the same names.
    /// Errors: `.notFound`, `.retentionExpired`, `.badRequest` for an offset the server did not issue.
    public nonisolated func read(
        offset: Offset = .start, live: LiveMode = .catchUp, headers: HeadersRecord = [:]
    ) async throws -> StreamResponse {
        try await StreamResponse.begin(handle.with(headers: headers, params: [:]), offset: offset, live: live)
    }

    /// All the text there is from an offset on.
    /// Errors: `.parseError` for what is no UTF-8; those of `read`.
    public nonisolated func readText(offset: Offset = .start) async throws -> TextResult {
        let all = try await readBytes(offset: offset)
        guard let text = String(data: all.data, encoding: .utf8) else {
            throw DurableStreamError.parseError("the stream's bytes are no UTF-8")
        }
        return TextResult(
            text: text, offset: all.offset, upToDate: all.upToDate, cursor: all.cursor, streamClosed: all.streamClosed)
    }

    /// All the bytes there are from an offset on.
    /// Shape: the bytes of the appends, one behind the other; of a JSON stream JSON arrays, one behind the other.
    /// Errors: those of `read`.
    public nonisolated func readBytes(offset: Offset = .start) async throws -> ByteResult {
        let pull = try Pull(handle, from: offset, live: .catchUp)
        var data = Data()
        while let part = try await pull.next() {
            // The first part is kept as it is: most reads have one.
            if data.isEmpty { data = part.data } else { data.append(part.data) }
        }
        let state = pull.state
        return ByteResult(
            data: data, offset: Offset(state.offset), upToDate: state.upToDate, cursor: state.cursor,
            streamClosed: state.streamClosed, status: Int(state.status))
    }

    /// All the messages there are from an offset on.
    /// Errors: `.parseError` for messages that are no `T`, with the `offset` behind them in the details; those of `read`.
    public nonisolated func readJSON<T: Decodable & Sendable>(
        as type: T.Type, offset: Offset = .start, decoder: JSONDecoder = JSONDecoder()
    ) async throws -> JsonBatch<T> {
        let pull = try Pull(handle, from: offset, live: .catchUp)
        var items: [T] = []
        while let part = try await pull.next() {
            items += try part.items(type, decoder)
        }
        let state = pull.state
        return JsonBatch(
            items: items, offset: Offset(state.offset), upToDate: state.upToDate, cursor: state.cursor,
            streamClosed: state.streamClosed)
    }

    /// The messages from an offset on, live over long-poll, until the stream is closed.
    /// Errors, at an element: `.parseError` for a batch whose messages are no `T`; those of `read`.
    public nonisolated func messages<T: Decodable & Sendable>(
        as type: T.Type, from offset: Offset = .start, decoder: JSONDecoder = JSONDecoder()
    ) -> StreamSequence<T> {
        sequence { try Pull(self.handle, from: offset, live: .longPoll).items(type, decoder) }
    }

    /// The messages from an offset on in batches with offsets, live over long-poll, until the stream is closed. There
    /// are batches without messages: they say that everything has been read, or that the stream is closed.
    /// Errors, at an element: `.parseError` for a batch whose messages are no `T`; those of `read`.
    public nonisolated func jsonBatches<T: Decodable & Sendable>(
        as type: T.Type, from offset: Offset = .start, decoder: JSONDecoder = JSONDecoder()
    ) -> StreamSequence<JsonBatch<T>> {
        sequence { try Pull(self.handle, from: offset, live: .longPoll).jsonBatches(type, decoder) }
    }

    /// The bytes from an offset on, live, until the stream is closed. There are chunks without bytes: they say that
    /// everything has been read, or that the stream is closed.
    ///
    /// `cursor` is that of an earlier live read; with `ifNoneMatch` the server answers 304 if what is there is known.
    /// Shape: bytes as they arrive; of a JSON stream one JSON array. Errors, at an element: those of `read`.
    public nonisolated func byteChunks(
        from offset: Offset = .start, live: LiveMode = .longPoll, cursor: String? = nil, ifNoneMatch: String? = nil
    ) -> StreamSequence<ByteChunk> {
        sequence {
            try Pull(self.handle, from: offset, live: live, cursor: cursor, ifNoneMatch: ifNoneMatch).byteChunks()
        }
    }

    /// The text from an offset on, live over long-poll, until the stream is closed. No character is cut.
    /// Errors, at an element: `.parseError` for what is no UTF-8; those of `read`.
    public nonisolated func textChunks(from offset: Offset = .start) -> StreamSequence<TextChunk> {
        sequence { try Pull(self.handle, from: offset, live: .longPoll).textChunks() }
    }

    /// The messages from an offset on over server-sent events, until the stream is closed.
    /// Errors, at an element: those of `messages`.
    public nonisolated func messagesSSE<T: Decodable & Sendable>(
        as type: T.Type, from offset: Offset = .start, decoder: JSONDecoder = JSONDecoder()
    ) -> StreamSequence<T> {
        sequence { try Pull(self.handle, from: offset, live: .sse).items(type, decoder) }
    }

    /// The data from an offset on as server-sent events, until the stream is closed. Control events are put into the
    /// `id` of the data they are about.
    /// Errors, at an element: those of `read`.
    public nonisolated func sseEvents(from offset: Offset = .start) -> StreamSequence<SSEEvent> {
        sequence { try Pull(self.handle, from: offset, live: .sse).events() }
    }
}
