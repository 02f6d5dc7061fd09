import DurableStreams
import DurableStreamsTesting
import Foundation
import Testing

@Suite struct Writing {
    /// The published example: a text as URL, and `append(data:)`.
    @Test func installationPageExample() async throws {
        try await withServer { server in
            let jsonData = Data(#"{"event":"user.created"}"#.utf8)
            let address = server.url("my-stream").absoluteString

            let stream = try await DurableStream.create(
                url: address,
                contentType: "application/json"
            )
            try await stream.append(data: jsonData)

            let stored = try await stream.readJSON(as: [String: String].self)
            #expect(stored.items == [["event": "user.created"]])
        }
    }

    @Test func createdTwiceIsOneStream() async throws {
        try await withServer { server in
            _ = try await DurableStream.create(url: server.url())
            _ = try await DurableStream.create(url: server.url())
            let again = try await DurableStream(url: server.url()).createStream(
                CreateOptions(contentType: "application/json"))
            #expect(!again.isNew)
            let error = await failure { _ = try await DurableStream.create(url: server.url(), contentType: "text/plain") }
            #expect(error?.code == .conflictExists)
            #expect(error?.status == 409)
        }
    }

    @Test func createOrConnectTakesWhatIsThere() async throws {
        try await withServer { server in
            _ = try await DurableStream.create(url: server.url(), contentType: "text/plain", data: Data("a".utf8))
            let stream = try await DurableStream.createOrConnect(url: server.url())
            try await stream.appendSync("b")
            #expect(try await stream.readText().text == "ab")
        }
    }

    @Test func missingStreamIsNotFound() async throws {
        try await withServer { server in
            let error = await failure { _ = try await DurableStream.connect(url: server.url("missing")) }
            #expect(error?.code == .notFound)
            #expect(error?.status == 404)
            #expect(error?.reason == "NOT_FOUND")
        }
    }

    @Test func aTextThatIsNoURLIsRefused() async {
        let error = await failure { _ = try await DurableStream.create(url: "no url at all") }
        #expect(error?.code == .badRequest)
        #expect(error?.status == nil)
    }

    @Test func arraysFlattenOnce() async throws {
        try await withServer { server in
            let stream = try await DurableStream.create(url: server.url())
            try await stream.appendSync([Reading(lux: 1), Reading(lux: 2)])
            try await stream.appendSync(Reading(lux: 3))
            let batch = try await stream.readJSON(as: Reading.self)
            #expect(batch.map(\.lux) == [1, 2, 3])
            #expect(batch.upToDate)
        }
    }

    @Test func closedStreamTakesNothing() async throws {
        try await withServer { server in
            let stream = try await DurableStream.create(url: server.url(), contentType: "text/plain")
            let closed = try await stream.close(data: Data("last".utf8))
            let info = try await stream.head()
            #expect(closed.finalOffset == info.offset)
            #expect(info.streamClosed)
            let error = await failure { try await stream.appendSync("more") }
            #expect(error?.code == .streamClosed)
            #expect(error?.details?["offset"] == closed.finalOffset?.rawValue)
        }
    }

    @Test func deletedStreamIsGone() async throws {
        try await withServer { server in
            let stream = try await DurableStream.create(url: server.url())
            try await stream.delete()
            #expect(await failure { _ = try await stream.head() }?.code == .notFound)
        }
    }

    @Test func sequenceTokensMustRise() async throws {
        try await withServer { server in
            let stream = try await DurableStream.create(url: server.url(), contentType: "text/plain")
            try await stream.appendSync(Data("a".utf8), seq: 5)
            let error = await failure { try await stream.appendSync(Data("b".utf8), seq: 4) }
            #expect(error?.code == .conflictSeq)
        }
    }

    @Test func producerNumbersOfTheCallerAreStoredOnce() async throws {
        try await withServer { server in
            let stream = try await DurableStream.create(url: server.url(), contentType: "text/plain")
            let append = {
                try await stream.appendWithProducer(Data("a".utf8), producerId: "p", epoch: 0, seq: 0)
            }
            #expect(try await append().isDuplicate == false)
            #expect(try await append().isDuplicate)
            #expect(try await stream.readText().text == "a")
            let gap = await failure {
                try await stream.appendWithProducer(Data("b".utf8), producerId: "p", epoch: 0, seq: 7)
            }
            #expect(gap?.code == .sequenceGap)
            #expect(gap?.details?["expected"] == "1")
            #expect(gap?.details?["received"] == "7")
            try await stream.appendWithProducer(Data("c".utf8), producerId: "p", epoch: 3, seq: 0)
            let stale = await failure {
                try await stream.appendWithProducer(Data("d".utf8), producerId: "p", epoch: 2, seq: 0)
            }
            #expect(stale?.code == .staleEpoch)
            #expect(stale?.details?["currentEpoch"] == "3")
            let negative = await failure {
                try await stream.appendWithProducer(Data("e".utf8), producerId: "p", epoch: -1, seq: 0)
            }
            #expect(negative?.code == .badRequest)
        }
    }

    @Test func forkReadsThroughItsSource() async throws {
        try await withServer { server in
            let source = try await DurableStream.create(url: server.url("a"), contentType: "text/plain")
            let middle = try await source.appendSync("one ").offset
            try await source.appendSync("two")
            let path = server.url("a")
            let fork = try await DurableStream.fork(url: server.url("b"), from: path, offset: middle)
            try await fork.appendSync("other")
            #expect(try await fork.readText().text == "one other")
        }
    }

    @Test func handleWithProducerStoresOnce() async throws {
        try await withServer { server in
            let stream = try await DurableStream.create(
                url: server.url(), contentType: "text/plain",
                handleConfig: HandleConfiguration(
                    idempotentProducer: .enabled(producerId: "lamp"), batching: .lowLatency))
            let stored = try await stream.appendSync("a")
            #expect(stored.producerSeq == 0)
            #expect(try await stream.appendSync("b").producerSeq == 1)
            try await stream.flush()
            #expect(try await stream.readText().text == "ab")
        }
    }

    @Test func retriesEndAfterTheAttemptsConfigured() async throws {
        try await withServer { server in
            let url = server.url()
            _ = try await DurableStream.create(url: url, contentType: "text/plain")
            let once = try DurableStream(
                url: url, contentType: "text/plain", handleConfig: HandleConfiguration(retry: .none))
            try await server.injectFault(path: url.path, status: 503, count: 1)
            let error = await failure { try await once.appendSync("a") }
            #expect(error?.code == .serverBusy)
            #expect(error?.attempts == 1)
            try await server.injectFault(path: url.path, status: 503, count: 2)
            let thrice = try DurableStream(
                url: url, contentType: "text/plain", handleConfig: HandleConfiguration(retry: .default))
            try await thrice.appendSync("b")
            #expect(try await thrice.readText().text == "b")
        }
    }

    @Test func resultsSayWhatTheRequestTold() async throws {
        try await withServer { server in
            let url = server.url()
            let stream = try DurableStream(url: url, contentType: "text/plain", config: .init(retry: .default))
            try await server.injectFault(path: url.path, status: 503, count: 1)
            let created = try await stream.createStream(CreateOptions(contentType: "text/plain"))
            #expect((created.status, created.attempts) == (201, 2))
            let stored = try await stream.appendSync("a")
            #expect((stored.status, stored.attempts, stored.streamClosed) == (204, 1, false))
            let closed = try await stream.close()
            #expect((closed.status, closed.attempts) == (204, 1))
            #expect(closed.headers["stream-closed"] == "true")
            #expect(try await stream.head().attempts == 1)
        }
    }

    @Test func appendsOfOneHandleShareRequestsWhereTheConfigurationSaysSo() async throws {
        try await withServer { server in
            let url = server.url()
            _ = try await DurableStream.create(url: url)
            let requests = Counter()
            let counting: HeadersRecord = ["X-Count": .provider {
                requests.add()
                return "1"
            }]
            func stored(_ batching: BatchingConfig) async throws -> Int {
                let before = requests.count
                let stream = try DurableStream(
                    url: url, contentType: "application/json",
                    handleConfig: HandleConfiguration(batching: batching, headers: counting))
                try await withThrowingTaskGroup(of: Void.self) { group in
                    for lux in 0..<50 { group.addTask { try await stream.appendSync(Reading(lux: lux)) } }
                    // An array is several messages whatever it travels with.
                    group.addTask { try await stream.appendSync([Reading(lux: 50), Reading(lux: 51)]) }
                    try await group.waitForAll()
                }
                return requests.count - before
            }
            #expect(try await stored(.disabled) == 51)
            #expect(try await stored(.default) < 51)
            let all = try await DurableStream.connect(url: url).readJSON(as: Reading.self).map(\.lux)
            #expect(all.sorted() == (0..<52).flatMap { [$0, $0] })
        }
    }

    @Test func dataInTheMakingIsOneAppend() async throws {
        try await withServer { server in
            let stream = try await DurableStream.create(url: server.url(), contentType: "text/plain")
            let (pieces, more) = AsyncStream.makeStream(of: Data.self)
            let appending = Task { try await stream.append(streaming: pieces) }
            for piece in ["one ", "two ", "three"] { more.yield(Data(piece.utf8)) }
            #expect(try await stream.readText().text == "")
            more.finish()
            let stored = try await appending.value
            let all = try await stream.readText()
            #expect(all.text == "one two three")
            #expect(stored.offset == all.offset)
        }
    }

    @Test func dataThatBreaksOffIsNotStored() async throws {
        struct Broken: Error {}
        try await withServer { server in
            let stream = try await DurableStream.create(url: server.url(), contentType: "text/plain")
            let pieces = AsyncThrowingStream<Data, any Error> { pieces in
                pieces.yield(Data("half".utf8))
                pieces.finish(throwing: Broken())
            }
            let error = await failure { try await stream.append(streaming: pieces) }
            #expect(error?.underlyingError is Broken)
            #expect(try await stream.readText().text == "")
        }
    }

    @Test func cancellingAStreamingAppendReachesThePieces() async throws {
        try await withServer { server in
            let stream = try await DurableStream.create(url: server.url(), contentType: "text/plain")
            let (events, tell) = AsyncStream.makeStream(of: String.self)
            let asked = Counter()
            let pieces = AsyncStream<Data> {
                asked.add()
                if asked.count == 1 { return Data("half".utf8) }
                tell.yield("asked for more")
                try? await Task.sleep(for: .seconds(60))
                return nil
            } onCancel: {
                tell.yield("cancelled")
            }
            let appending = Task { try await stream.append(streaming: pieces) }
            var told = events.makeAsyncIterator()
            #expect(await told.next() == "asked for more")
            appending.cancel()
            await #expect(throws: CancellationError.self) { try await appending.value }
            #expect(await told.next() == "cancelled")
            #expect(try await stream.readText().text == "")
        }
    }
}
