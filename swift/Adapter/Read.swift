import DurableStreams
import Foundation

/// What a read has collected.
private actor Collected {
    private var chunks: [JSON] = []
    private var last: ByteChunk?
    private let from: String

    init(from: String) {
        self.from = from
    }

    /// Takes a chunk and says whether the read goes on.
    func take(_ chunk: ByteChunk, most: Int, waitsForUpToDate: Bool) -> Bool {
        last = chunk
        if !chunk.data.isEmpty {
            let offset = chunk.offset.rawValue
            if let text = String(data: chunk.data, encoding: .utf8) {
                chunks.append(["data": text, "offset": offset])
            } else {
                chunks.append(["data": chunk.data.base64EncodedString(), "offset": offset, "binary": true])
            }
        }
        return !(chunks.count >= most || waitsForUpToDate && chunk.upToDate || chunk.streamClosed)
    }

    func result(_ sent: Sent) -> JSON {
        let fields: [String: (any Sendable)?] = [
            "status": last?.status ?? 200, "chunks": chunks, "offset": last?.offset.rawValue ?? from,
            // If nothing ever arrives, there is nothing the reader is behind of.
            "upToDate": last?.upToDate ?? true, "streamClosed": last?.streamClosed ?? false, "cursor": last?.cursor,
        ]
        return success("read", fields.merging(sent.fields) { old, _ in old })
    }
}

/// One read, or `readers` of the same at once.
func read(_ session: Session, _ command: Command) async throws -> JSON {
    guard let count = command["readers"].integer else { return try await oneRead(session, command) }
    let results = try await withThrowingTaskGroup(of: Line.self) { group in
        for _ in 0..<count { group.addTask { Line(fields: try await oneRead(session, command)) } }
        return try await group.reduce(into: [JSON]()) { $0.append($1.fields) }
    }
    return success("read", ["results": results])
}

/// A result on its way between tasks.
private struct Line: Sendable {
    let fields: JSON
}

private func oneRead(_ session: Session, _ command: Command) async throws -> JSON {
    let live: LiveMode =
        switch command["live"] {
        case .flag(true): .auto
        case .string("long-poll"): .longPoll
        case .string("sse"): .sse
        default: .catchUp
        }
    let sent = session.sent(command)
    let from = command["offset"].text ?? "-1"
    let chunks = try session.stream(command, sent).byteChunks(
        from: Offset(from), live: live, cursor: command["cursor"].text, ifNoneMatch: command["ifNoneMatch"].text)
    let collected = Collected(from: from)
    let most = command["maxChunks"].integer ?? 100
    let waits = command["waitForUpToDate"].flag
    let milliseconds = command["timeoutMs"].integer ?? 5000
    let reading = Task {
        for try await chunk in chunks {
            guard await collected.take(chunk, most: most, waitsForUpToDate: waits) else { break }
        }
    }
    let alarm = Task {
        try await Task.sleep(for: .milliseconds(milliseconds))
        reading.cancel()
    }
    defer { alarm.cancel() }
    do {
        try await reading.value
    } catch is CancellationError {
        // Running out of time is a success with what there is.
    }
    return await collected.result(sent)
}
