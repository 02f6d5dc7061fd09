import DurableStreams
import DurableStreamsTesting
import Foundation
import Testing

@Suite struct QuickStart {
    /// The README's example, but for the address and the end of the live read, which is awaited.
    @Test func readmeExample() async throws {
        try await withServer { server in
            let lamps = try await DurableStream.create(
                url: server.url("lamps").absoluteString,
                contentType: "application/json"
            )
            try await lamps.append(data: JSONEncoder().encode(Reading(lux: 310)))
            try await lamps.appendSync([Reading(lux: 322), Reading(lux: 318)])

            let page = try await lamps.readJSON(as: Reading.self)
            #expect(page.map(\.lux) == [310, 322, 318])

            let tail = Task {
                var seen: [Int] = []
                for try await batch in lamps.jsonBatches(as: Reading.self, from: page.offset) {
                    seen += batch.items.map(\.lux)
                    if seen.count == 1000 { break }
                }
                return seen
            }

            let producer = IdempotentProducer(stream: lamps, producerId: "gateway-7", config: .init(autoClaim: true))
            for lux in 0..<1000 { producer.append(Reading(lux: lux)) }
            try await producer.flush()
            try await producer.close()
            #expect(try await tail.value == Array(0..<1000))
        }
    }
}
