import DurableStreams
import DurableStreamsTesting
import Foundation
import Testing

@Suite struct Producing {
    @Test func everythingTakenIsStoredInOrder() async throws {
        try await withServer { server in
            let stream = try await DurableStream.create(url: server.url())
            let producer = IdempotentProducer(stream: stream, producerId: "p")
            for lux in 0..<1000 { producer.append(Reading(lux: lux)) }
            for lux in 1000..<2000 { await producer.appendString(#"{"lux":\#(lux)}"#) }
            await producer.appendBatch((2000..<3000).map { Data(#"{"lux":\#($0)}"#.utf8) })
            let flushed = try await producer.flush()
            #expect(producer.pendingMessages == 0)
            let batch = try await stream.readJSON(as: Reading.self)
            #expect(batch.map(\.lux) == Array(0..<3000))
            #expect(flushed.offset == batch.offset)
            try await producer.close()
            #expect(try await stream.head().streamClosed == false)
        }
    }

    @Test func anArrayStaysOneMessage() async throws {
        try await withServer { server in
            let stream = try await DurableStream.create(url: server.url())
            let producer = IdempotentProducer(stream: stream, producerId: "p")
            producer.append([1, 2])
            try await producer.close()
            #expect(try await stream.readJSON(as: [Int].self).items == [[1, 2]])
        }
    }

    @Test func textIsAValueOnlyOnJSONStreams() async throws {
        try await withServer { server in
            for (type, stored) in [("application/json", #"["a"]"#), ("text/plain", "a")] {
                let stream = try await DurableStream.create(url: server.url(String(type.suffix(4))), contentType: type)
                let producer = IdempotentProducer(stream: stream, producerId: "p")
                producer.append("a")
                try await producer.close()
                #expect(try await stream.readText().text == stored)
            }
        }
    }

    @Test func writtenAgainFromTheStartIsStoredOnce() async throws {
        try await withServer { server in
            let stream = try await DurableStream.create(url: server.url(), contentType: "text/plain")
            for isAgain in [false, true] {
                let producer = IdempotentProducer(stream: stream, producerId: "p")
                let receipt = try producer.appendWithReceipt(Data("a".utf8))
                #expect(try await receipt.acknowledged().isDuplicate == isAgain)
                #expect(try await producer.flush().duplicateCount == (isAgain ? 1 : 0))
                try await producer.close()
            }
            #expect(try await stream.readText().text == "a")
        }
    }

    @Test func staleEpochIsToldToTheListenerAndTheFlush() async throws {
        try await withServer { server in
            let stream = try await DurableStream.create(url: server.url(), contentType: "text/plain")
            let newer = IdempotentProducer(stream: stream, producerId: "p", epoch: 4)
            try await newer.appendAndWait(Data("new".utf8))
            let (errors, tell) = AsyncStream.makeStream(of: DurableStreamError.self)
            let older = IdempotentProducer(
                stream: stream, producerId: "p", epoch: 1,
                config: .init(onError: { if let error = $0 as? DurableStreamError { tell.yield(error) } }))
            older.append(Data("old".utf8))
            let flushed = await failure { try await older.flush() }
            #expect(flushed?.code == .staleEpoch)
            #expect(flushed?.details?["currentEpoch"] == "4")
            #expect(flushed?.details?["producerId"] == "p")
            #expect(await errors.first { _ in true }?.code == .staleEpoch)

            let claiming = IdempotentProducer(stream: stream, producerId: "p", epoch: 1, config: .init(autoClaim: true))
            try await claiming.appendAndWait(Data(" claimed".utf8))
            #expect(claiming.epoch == 5)
            #expect(try await stream.readText().text == "new claimed")
        }
    }

    @Test func afterCloseTheListenerIsTold() async throws {
        try await withServer { server in
            let stream = try await DurableStream.create(url: server.url(), contentType: "text/plain")
            let (errors, tell) = AsyncStream.makeStream(of: String.self)
            let producer = IdempotentProducer(
                stream: stream, producerId: "p",
                config: .init(onError: { tell.yield(($0 as? DurableStreamError)?.reason ?? "\($0)") }))
            try await producer.close()
            await producer.appendString("late")
            #expect(await errors.first { _ in true } == "ALREADY_CLOSED")
        }
    }

    @Test func closeStreamEndsItForEveryone() async throws {
        try await withServer { server in
            let stream = try await DurableStream.create(url: server.url(), contentType: "text/plain")
            let producer = IdempotentProducer(stream: stream, producerId: "p")
            await producer.appendString("a")
            let closed = try await producer.closeStream(data: Data("b".utf8))
            let all = try await stream.readText()
            #expect(all.text == "ab")
            #expect(all.streamClosed)
            #expect(all.offset == closed.finalOffset)
        }
    }

    @Test func settingsThatCannotBeUsedAreNamed() async throws {
        let stream = try DurableStream(url: try #require(URL(string: "http://127.0.0.1:9/x")))
        let settings: [(String, IdempotentProducer.Configuration)] = [
            ("maxBatchBytes", .init(maxBatchBytes: 0)), ("maxInFlight", .init(maxInFlight: 0)),
            ("lingerMs", .init(lingerMs: -1)),
        ]
        for (name, config) in settings {
            let producer = IdempotentProducer(stream: stream, producerId: "p", config: config)
            let error = await failure { try producer.check() }
            #expect(error?.code == .badRequest)
            #expect(error?.message.contains(name) == true)
        }
    }

    @Test func whatIsPendingIsCountedAndTheNewestReceiptKept() async throws {
        try await withServer { server in
            let stream = try await DurableStream.create(url: server.url(), contentType: "text/plain")
            let producer = IdempotentProducer(stream: stream, producerId: "p", config: .init(lingerMs: 60_000))
            #expect(producer.lastAcknowledged == nil)
            await producer.appendBatch([Data("ab".utf8), Data("c".utf8)])
            #expect(producer.pendingMessages == 2)
            #expect(producer.pendingBytes == 3)
            let flushed = try await producer.flush()
            #expect(producer.pendingBytes == 0)
            #expect(producer.lastAcknowledged?.offset == flushed.offset)
            #expect(producer.lastAcknowledged?.producerSeq == 0)
        }
    }

    @Test func aBatchIsTakenUpToWhatIsRefused() async throws {
        try await withServer { server in
            let stream = try await DurableStream.create(url: server.url())
            let (errors, tell) = AsyncStream.makeStream(of: DurableStreamError.self)
            let producer = IdempotentProducer(
                stream: stream, producerId: "p",
                config: .init(onError: { if let error = $0 as? DurableStreamError { tell.yield(error) } }))
            await producer.appendBatch([Data("1".utf8), Data("no json".utf8), Data("2".utf8)])
            #expect(await errors.first { _ in true }?.code == .badRequest)
            try await producer.flush()
            #expect(try await stream.readJSON(as: Int.self).items == [1])
        }
    }

    @Test func valuesThatAwaitRoomAreAllStored() async throws {
        try await withServer { server in
            let stream = try await DurableStream.create(url: server.url())
            let failed = Counter()
            let producer = IdempotentProducer(
                stream: stream, producerId: "p", config: .init(onError: { _ in failed.add() }, maxQueuedMessages: 8))
            for lux in 0..<500 { await producer.appendValue(Reading(lux: lux)) }
            try await producer.close()
            #expect(failed.count == 0)
            #expect(try await stream.readJSON(as: Reading.self).map(\.lux) == Array(0..<500))
        }
    }
}
