import DurableStreams
import DurableStreamsTesting
import Foundation
import Testing

@Suite struct QuickStart {
    /// The documented example, but for the address, and what is printed is looked at. The README's programs run in a
    /// package of their own (`cargo xtask test swift`).
    @Test func documentedExample() async throws {
        try await withServer(longPollTimeout: 60) { server in
            let lamps = try await DurableStream.create(
                url: server.url("lamps").absoluteString,
                contentType: "application/json",
                ttlSeconds: 600
            )
            let encoder = JSONEncoder()
            for lux in [310, 322, 318] {
                try await lamps.append(data: encoder.encode(Reading(lux: lux)))
            }

            let page = try await lamps.readJSON(as: Reading.self, offset: .start)
            var read: [Int] = []
            for reading in page { read.append(reading.lux) }
            #expect(read == [310, 322, 318])

            let (batches, tell) = AsyncStream.makeStream(of: JsonBatch<Reading>.self)
            let tail = Task {
                for try await batch in lamps.jsonBatches(as: Reading.self, from: page.offset) where !batch.isEmpty {
                    tell.yield(batch)
                }
            }
            try await server.until(liveReaders: 1)
            try await lamps.append(data: encoder.encode(Reading(lux: 325)))
            let batch = await batches.first { _ in true }
            #expect(batch?.items == [Reading(lux: 325)])
            #expect(try await batch?.offset == lamps.head().offset)
            tail.cancel()
            await #expect(throws: CancellationError.self) { try await tail.value }
        }
    }
}
