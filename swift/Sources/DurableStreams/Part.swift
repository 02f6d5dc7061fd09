import Foundation
internal import DurableStreamsFFI

/// What one pull of a read brings.
struct Part: Sendable {
    /// The bytes, in the core's memory until the last `Data` of them is gone; on a JSON stream one JSON array. Empty
    /// if there is nothing to deliver.
    let data: Data
    let isJSON: Bool
    let nextOffset: Offset
    let upToDate: Bool
    let streamClosed: Bool
    let cursor: String?
    let status: Int

    init(_ piece: Piece) {
        data = piece.isEmpty ? Data() : piece.bytes.data
        isJSON = piece.isJson
        nextOffset = Offset(piece.nextOffset)
        upToDate = piece.upToDate
        streamClosed = piece.streamClosed
        cursor = piece.cursor
        status = Int(piece.status)
    }

    /// The messages of a JSON stream. Of other types: an array, or a lone value.
    func items<T: Decodable & Sendable>(_ type: T.Type, _ decoder: JSONDecoder) throws -> [T] {
        if data.isEmpty { return [] }
        do {
            return try decoder.decode([T].self, from: data)
        } catch {
            if !isJSON, let value = try? decoder.decode(T.self, from: data) { return [value] }
            throw DurableStreamError(
                code: .parseError, message: "the messages before offset \(nextOffset) are no \(type): \(error)",
                details: ["offset": nextOffset.rawValue], reason: "PARSE_ERROR", underlyingError: error)
        }
    }

    func json<T: Decodable & Sendable>(_ type: T.Type, _ decoder: JSONDecoder) throws -> JsonBatch<T> {
        JsonBatch(
            items: try items(type, decoder), offset: nextOffset, upToDate: upToDate, cursor: cursor,
            streamClosed: streamClosed)
    }

    var bytes: ByteChunk {
        ByteChunk(
            data: data, offset: nextOffset, upToDate: upToDate, cursor: cursor, streamClosed: streamClosed,
            status: status)
    }
}

extension FfiBytes {
    /// The bytes where they are. To be asked once: whoever has them may write to them.
    fileprivate var data: Data {
        guard let start = UnsafeMutableRawPointer(bitPattern: UInt(address())) else { return Data() }
        // The closure holds this object, and so the memory, until Foundation needs it no more.
        return Data(bytesNoCopy: start, count: Int(count()), deallocator: .custom { _, _ in withExtendedLifetime(self) {} })
    }
}
