import Foundation
internal import DurableStreamsFFI

extension DurableStream {
    /// Appends data that is still being made, as one append: stored whole or not at all. It returns once the server has
    /// stored it. The request is sent once and never repeated, and does not go through the handle's producer.
    ///
    /// Shape: the pieces one behind the other are the bytes as they are; on a JSON stream they are JSON text, and the
    /// elements of a top-level array become messages of their own.
    /// Errors: those of `append(data:)`; what `pieces` throws, as the `underlyingError`.
    @discardableResult
    public nonisolated func append<Pieces: AsyncSequence & Sendable>(
        streaming pieces: Pieces, contentType: String? = nil, seq: Int? = nil, ifMatch: String? = nil,
        headers: [String: String] = [:]
    ) async throws -> AppendResult where Pieces.Element == Data {
        let settings = AppendSettings(
            seq: seq.map { String($0) }, ifMatch: ifMatch, contentType: contentType, headers: nameValues(headers))
        let source = StreamedBody(pieces)
        return AppendResult(
            try await inCore { try await self.handle.ffi.appendStreaming(source: source, settings: settings, cancel: $0) })
    }
}

/// A sequence of the user as the core pulls it.
private final class StreamedBody<Pieces: AsyncSequence>: BodySource, @unchecked Sendable where Pieces.Element == Data {
    // The core asks for a piece when it has the one before: there is one caller at a time.
    private var iterator: Pieces.AsyncIterator

    init(_ pieces: Pieces) {
        iterator = pieces.makeAsyncIterator()
    }

    func piece() async throws -> Data? {
        try await RaisedErrors.shared.keeping {
            var iterator = iterator
            defer { self.iterator = iterator }
            return try await iterator.next()
        }
    }
}
