import durable_streamsFFI

// A buffer has one owner, who hands it on: generated callbacks take what the core gave them into a task.
extension RustBuffer: @retroactive @unchecked Sendable {}
