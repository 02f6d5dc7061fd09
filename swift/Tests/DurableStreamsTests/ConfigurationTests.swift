import DurableStreams
import DurableStreamsTesting
import Foundation
import Testing

#if canImport(FoundationNetworking)
    import FoundationNetworking
#endif

@Suite struct Configuring {
    struct Broken: Error {}

    @Test func providersAreAskedForEveryRequest() async throws {
        try await withServer { server in
            let url = server.url()
            let (asked, tell) = AsyncStream.makeStream(of: Void.self)
            var config = DurableStream.Configuration(headers: ["Authorization": .provider {
                tell.yield()
                return "Bearer fresh"
            }])
            config.params = ["tenant": "a"]
            _ = try await DurableStream.create(url: url, contentType: "text/plain")
            let stream = try DurableStream(url: url, contentType: "text/plain", config: config)
            try await server.injectFault(path: url.path, status: 500, count: 2)
            try await stream.appendSync("a")
            tell.finish()
            var count = 0
            for await _ in asked { count += 1 }
            // Two that failed, one that did not.
            #expect(count == 3)
        }
    }

    @Test func aProviderThatFailsStopsTheRequest() async throws {
        try await withServer { server in
            let url = server.url()
            let plain = try await DurableStream.create(url: url, contentType: "text/plain")
            let config = DurableStream.Configuration(headers: ["X-Token": .provider { throw Broken() }])
            let stream = try DurableStream(url: url, contentType: "text/plain", config: config)
            let error = await failure { try await stream.appendSync("a") }
            #expect(error?.message.contains("Broken") == true)
            #expect(try await plain.readText().text == "")
        }
    }

    @Test func aSessionOfTheUserIsUsed() async throws {
        try await withServer { server in
            let session = URLSession(configuration: .ephemeral)
            let config = DurableStream.Configuration(session: session)
            let stream = try await DurableStream.create(url: server.url(), config: config)
            try await stream.appendSync(Reading(lux: 1))
            #expect(try await stream.readJSON(as: Reading.self).map(\.lux) == [1])
            #expect(await failure { _ = try await DurableStream.connect(url: server.url("no"), config: config) }?.code == .notFound)
            let reader = Task { try await all(stream.messages(as: Reading.self)) }
            try await server.until(liveReaders: 1)
            try await stream.appendSync(Reading(lux: 2))
            try await stream.close()
            #expect(try await reader.value.map(\.lux) == [1, 2])
        }
    }

    @Test func cancellingReachesTheUsersSession() async throws {
        try await withServer(longPollTimeout: 60) { server in
            let config = DurableStream.Configuration(session: URLSession(configuration: .ephemeral))
            let stream = try await DurableStream.create(url: server.url(), config: config)
            let reader = Task { try await all(stream.messages(as: Int.self)) }
            try await server.until(liveReaders: 1)
            reader.cancel()
            await #expect(throws: CancellationError.self) { try await reader.value }
            try await server.until(liveReaders: 0)
        }
    }

    @Test func offsetsOrderByBytes() throws {
        #expect(Offset("0_9") < Offset("0_A"))
        #expect(Offset("Z") < Offset("a"))
        // Swift's order of text takes these two for equal.
        #expect(Offset("e\u{301}") < Offset("\u{E9}"))
        let offset: Offset = "0_5"
        #expect(String(decoding: try JSONEncoder().encode([offset]), as: UTF8.self) == #"["0_5"]"#)
    }

    @Test func presetsAreTheDocumentedOnes() {
        let numbers = { (batching: BatchingConfig) in [batching.maxBytes, batching.lingerMs, batching.maxInFlight] }
        #expect(numbers(.default) == [1_048_576, 5, 5])
        #expect(numbers(.highThroughput) == [4_194_304, 20, 10])
        #expect(numbers(.lowLatency) == [65_536, 1, 5])
        #expect(numbers(.disabled) == [0, 0, 1])
        #expect(BatchingConfig(linger: .milliseconds(7)).lingerMs == 7)
        #expect(RetryConfig.none.maxAttempts == 1)
        let exact = RetryConfig(jitter: 0)
        #expect((0..<8).map { exact.delayForAttempt($0) } == [100, 200, 400, 800, 1600, 3200, 5000, 5000].map(Duration.milliseconds))
        #expect(exact.shouldRetry(.rateLimited("slow down"), attempt: 2))
        #expect(!exact.shouldRetry(.rateLimited("slow down"), attempt: 3))
        #expect(!exact.shouldRetry(.notFound("gone"), attempt: 1))
    }

    @Test func errorsOfAStatus() {
        let codes = [400, 401, 403, 404, 409, 410, 429, 503, 500].map { DurableStreamError.fromHTTPStatus($0).code }
        #expect(codes == [
            .badRequest, .unauthorized, .forbidden, .notFound, .conflict, .retentionExpired, .rateLimited, .serverBusy,
            .unknown,
        ])
    }

    @Test func namesAreJoinedBehindThePath() throws {
        let base = try #require(URL(string: "http://localhost:4437/v1/stream"))
        #expect(base.appendingStreamPath("plant/boiler-3").absoluteString == "http://localhost:4437/v1/stream/plant/boiler-3")
        #expect(base.appendingStreamPath("/a").absoluteString == "http://localhost:4437/v1/stream/a")
    }
}
