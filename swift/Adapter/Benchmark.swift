import DurableStreams
import Foundation

/// Timed work (adapter protocol, section 6).
func benchmark(_ session: Session, _ command: Command) async throws -> JSON {
    let work = command["operation"]
    let stream = try session.stream(Command(fields: .object(["path": work["path"]])))
    let size = work["size"].integer ?? 0
    let contentType = work["contentType"].text
    let clock = ContinuousClock()
    var metrics: [String: Int] = [:]
    var took: Duration = .zero
    switch work["op"].text ?? "" {
    case "append":
        let body = Data(repeating: UInt8(ascii: "x"), count: size)
        took = try await clock.measure { try await stream.appendSync(body) }
        metrics = ["bytesTransferred": size]
    case "create":
        took = try await clock.measure { try await stream.createStream(CreateOptions(contentType: contentType)) }
    case "read":
        let started = clock.now
        let bytes = try await stream.readBytes(offset: Offset(work["offset"].text ?? "-1"))
        took = clock.now - started
        metrics = ["bytesTransferred": bytes.data.count]
    case "roundtrip":
        try await stream.createStream(CreateOptions(contentType: contentType))
        let fill = String(repeating: "x", count: size)
        let body = contentType?.hasPrefix("application/json") == true ? "\"\(fill)\"" : fill
        let started = clock.now
        let live: LiveMode = work["live"].text == "sse" ? .sse : .longPoll
        async let received = firstData(stream.byteChunks(live: live))
        try await stream.appendSync(body)
        let count = try await received
        took = clock.now - started
        metrics = ["bytesTransferred": body.utf8.count + count]
    case "throughput_append":
        try await stream.createStream()
        let body = Data(repeating: UInt8(ascii: "x"), count: size)
        let count = work["count"].integer ?? 0
        // The path repeats over iterations; a fixed id would measure deduplication.
        let producer = IdempotentProducer(stream: stream, producerId: "bench-\(UUID().uuidString)")
        let started = clock.now
        for _ in 0..<count { await producer.appendData(body) }
        try await producer.flush()
        took = clock.now - started
        try await producer.close()
        metrics = ["bytesTransferred": count * size, "messagesProcessed": count]
    case "throughput_read":
        let started = clock.now
        let batch = try await stream.readJSON(as: Value.self)
        took = clock.now - started
        metrics = [
            "bytesTransferred": try await stream.readBytes().data.count, "messagesProcessed": batch.count,
        ]
    default:
        throw NotSupported(message: "there is no benchmark \(work["op"].text ?? "")")
    }
    let (seconds, attoseconds) = took.components
    let nanoseconds = seconds * 1_000_000_000 + attoseconds / 1_000_000_000
    return success(
        "benchmark",
        ["iterationId": command["iterationId"].text, "durationNs": String(nanoseconds), "metrics": metrics])
}

private func firstData(_ chunks: StreamSequence<ByteChunk>) async throws -> Int {
    for try await chunk in chunks where !chunk.data.isEmpty { return chunk.data.count }
    return 0
}
