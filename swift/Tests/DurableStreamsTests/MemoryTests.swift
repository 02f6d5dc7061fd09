import DurableStreams
import DurableStreamsTesting
import Foundation
import Testing

@Suite struct Memory {
    @Test func tenThousandRoundsOfOpeningReadingAndCancellingLeaveNothingBehind() async throws {
        try await withServer(longPollTimeout: 60) { server in
            let stream = try await DurableStream.create(url: server.url(), contentType: "text/plain")
            try await stream.appendSync("a")
            func round(_ number: Int) async throws {
                let handle = try DurableStream(url: server.url(), contentType: "text/plain")
                let producer = IdempotentProducer(stream: handle, producerId: "p\(number % 8)", config: .init(autoClaim: true))
                for try await chunk in handle.byteChunks(from: .start, live: .catchUp) where chunk.upToDate { break }
                _ = producer.epoch
                let reader = Task { try await all(handle.byteChunks(from: .now)) }
                // Some are cancelled before their request, some while it waits.
                if number % 16 == 0 { try await server.until(liveReaders: 1) }
                reader.cancel()
                await #expect(throws: CancellationError.self) { try await reader.value }
            }
            // The allocator, the runtime and the server have what they keep after some rounds.
            for number in 0..<2000 { try await round(number) }
            try await settles(below: 4_194_304) {
                for number in 0..<10_000 { try await round(number) }
            }
            try await server.until(liveReaders: 0)
        }
    }

    @Test func bytesOutliveTheReadAndBelongToWhoeverHasThem() async throws {
        try await withServer { server in
            let stream = try await DurableStream.create(url: server.url(), contentType: "application/octet-stream")
            let sent = Data((0..<100_000).map { UInt8(truncatingIfNeeded: $0) })
            try await stream.append(data: sent)
            try await stream.close()
            var chunks = try await all(stream.byteChunks())
            var data = chunks.reduce(into: Data()) { $0.append($1.data) }
            #expect(data == sent)
            let kept = try #require(chunks.first?.data)
            data = kept
            data[0] = 255
            data.append(Data("more".utf8))
            #expect(kept == sent.prefix(kept.count))
            chunks = []
            var last = kept
            // The only one left: it is changed where it is.
            last[1] = 254
            #expect(last[1] == 254 && last.count == kept.count)
            last.append(1)
            #expect(last.count == kept.count + 1)
        }
    }

    @Test func memoryOfBatchesIsGivenBack() async throws {
        try await withServer { server in
            let stream = try await DurableStream.create(url: server.url(), contentType: "application/octet-stream")
            for _ in 0..<8 { try await stream.append(data: Data(count: 4_194_304)) }
            func readAll() async throws {
                var bytes = 0
                for try await chunk in stream.byteChunks(live: .catchUp) { bytes += chunk.data.count }
                #expect(bytes == 33_554_432)
            }
            for _ in 0..<5 { try await readAll() }
            // 640 MiB are read.
            try await settles(below: 50_331_648) {
                for _ in 0..<20 { try await readAll() }
            }
        }
    }
}

/// A leak grows with every lot; what runtime and allocator take for themselves now and then does not: one lot that
/// leaves nothing behind is enough.
private func settles(below most: Int, _ lot: () async throws -> Void) async throws {
    var grown: [Int] = []
    repeat {
        let before = try residentBytes()
        try await lot()
        grown.append(try residentBytes() - before)
    } while grown.last! >= most && grown.count < 5
    #expect(grown.last! < most, "every lot left more than \(most) bytes behind: \(grown)")
}

/// Memory of this process.
func residentBytes() throws -> Int {
    let status = try String(contentsOfFile: "/proc/self/status", encoding: .utf8)
    let line = try #require(status.split(separator: "\n").first { $0.hasPrefix("VmRSS:") })
    let kilobytes = try #require(line.split(separator: " ").compactMap { Int($0) }.first)
    return kilobytes * 1024
}
