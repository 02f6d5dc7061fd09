import DurableStreams
import Foundation

/// Longer than any batch takes to fill: only the flush sends it.
private let longLingerMs = 60_000

func idempotentAppend(_ session: Session, _ command: Command) async throws -> JSON {
    let producer = try kept(session, command)
    let receipt = try producer.appendWithReceipt(Data((command.data ?? "").utf8))
    try await producer.flush()
    let stored = try await receipt.acknowledged()
    return success("idempotent-append", fields(of: stored).merging(["offset": stored.offset?.rawValue]) { old, _ in old })
}

func idempotentAppendBatch(_ session: Session, _ command: Command) async throws -> JSON {
    var config = configuration(command)
    let most = command["maxInFlight"].integer ?? 1
    if most > 1 {
        (config.maxInFlight, config.maxBatchItems, config.lingerMs) = (most, 1, 0)
    } else {
        (config.maxInFlight, config.lingerMs) = (1, longLingerMs)
    }
    let producer = try opened(session, command, config)
    let items = command["items"].array?.compactMap(\.text) ?? []
    let receipts = try items.map { try producer.appendWithReceipt(Data($0.utf8)) }
    do {
        try await producer.flush()
    } catch {
        try? await producer.close()
        throw error
    }
    var last: AppendResult?
    for receipt in receipts { last = try await receipt.acknowledged() }
    try await producer.close()
    return success("idempotent-append-batch", last.map(fields(of:)) ?? ["status": 200])
}

func idempotentClose(_ session: Session, _ command: Command) async throws -> JSON {
    let closed = try await kept(session, command).closeStream(data: command.data.map { Data($0.utf8) })
    return success("idempotent-close", ["status": 200, "finalOffset": closed.finalOffset?.rawValue ?? ""])
}

func idempotentDetach(_ session: Session, _ command: Command) async throws -> JSON {
    try await session.producers.removeValue(forKey: key(command))?.close()
    return success("idempotent-detach", ["status": 200])
}

/// Starts the producer's next epoch; it stays under the epoch it was named with.
func idempotentRestart(_ session: Session, _ command: Command) async throws -> JSON {
    let producer = try kept(session, command)
    try await producer.restart()
    return success("idempotent-restart", ["status": 200, "producerEpoch": producer.epoch])
}

private func fields(of stored: AppendResult) -> [String: (any Sendable)?] {
    [
        "status": 200, "duplicate": stored.isDuplicate, "producerEpoch": stored.producerEpoch,
        "producerSeq": stored.producerSeq,
    ]
}

private func kept(_ session: Session, _ command: Command) throws -> IdempotentProducer {
    if let producer = session.producers[key(command)] { return producer }
    var config = configuration(command)
    (config.maxInFlight, config.lingerMs) = (1, 0)
    let producer = try opened(session, command, config)
    session.producers[key(command)] = producer
    return producer
}

private func opened(
    _ session: Session, _ command: Command, _ config: IdempotentProducer.Configuration
) throws -> IdempotentProducer {
    let producer = IdempotentProducer(
        stream: try session.stream(command), producerId: command.producerId, epoch: command.epoch, config: config)
    try producer.check()
    return producer
}

private func configuration(_ command: Command) -> IdempotentProducer.Configuration {
    IdempotentProducer.Configuration(autoClaim: command["autoClaim"].flag)
}

private func key(_ command: Command) -> ProducerKey {
    ProducerKey(path: command.path, producerId: command.producerId, epoch: command.epoch)
}
