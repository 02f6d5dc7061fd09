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
            #expect(error?.underlyingError is Broken)
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
        #expect(exact.shouldRetry(.networkError("broke"), attempt: 1))
        // docs/protocol.md C21: what says "not now" is repeated, 501 and 505 say "no".
        let repeated = [400, 408, 425, 429, 500, 501, 502, 503, 504, 505].filter {
            exact.shouldRetry(.fromHTTPStatus($0), attempt: 1)
        }
        #expect(repeated == [408, 425, 429, 500, 502, 503, 504])
    }

    @Test func errorsOfAStatus() {
        let codes = [400, 401, 403, 404, 409, 410, 429, 503, 500].map { DurableStreamError.fromHTTPStatus($0).code }
        #expect(codes == [
            .badRequest, .unauthorized, .forbidden, .notFound, .conflict, .retentionExpired, .rateLimited, .serverBusy,
            .unknown,
        ])
        #expect(DurableStreamError.fromHTTPStatus(413).reason == "PAYLOAD_TOO_LARGE")
        #expect(DurableStreamError.fromHTTPStatus(-1).code == .unknown)
        let told = DurableStreamError.fromHTTPStatus(404, body: "no such stream", url: "http://localhost/a")
        #expect(told.message == "HTTP status 404 from http://localhost/a: no such stream")
        #expect(DurableStreamError.staleEpoch("newer", currentEpoch: 4).details == ["currentEpoch": "4"])
    }

    @Test func aServerBelowAPathServesThere() async throws {
        let server = try await TestServer.start(prefix: "/v1/stream")
        #expect(server.streamsURL.path == "/v1/stream")
        try await DurableStream.create(url: server.url()).appendSync(1)
        try await server.stop()
    }

    @Test func faultsAreWhatTheySay() async throws {
        try await withServer { server in
            let url = server.url()
            let once = HandleConfiguration(retry: .none)
            let stream = try await DurableStream.create(url: url, handleConfig: once)
            try await stream.appendSync([1, 2, 3])
            try await server.injectFault(path: url.path, status: 429, retryAfter: 7, method: "GET")
            let slow = await failure { _ = try await stream.readBytes() }
            #expect(slow?.code == .rateLimited)
            #expect(slow?.details?["retryAfter"] == "7.0")
            try await server.injectFault(path: url.path, truncateBodyBytes: 3, method: "GET")
            #expect(await failure { _ = try await stream.readBytes() } != nil)
            try await server.injectFault(path: url.path, corruptBody: true, method: "GET")
            #expect(await failure { _ = try await stream.readJSON(as: Int.self) }?.code == .parseError)
            try await server.injectFault(path: url.path, status: 500, probability: 0, method: "GET")
            #expect(try await stream.readJSON(as: Int.self).items == [1, 2, 3])
        }
    }

    @Test func aServerThatIsStoppedSaysSoInThePackagesOwnError() async throws {
        let server = try await TestServer.start()
        try await server.stop()
        #expect(await failure { _ = try await server.liveReaders() }?.reason == "ALREADY_CLOSED")
    }

    @Test func namesAreJoinedBehindThePath() throws {
        let base = try #require(URL(string: "http://localhost:4437/v1/stream"))
        #expect(base.appendingStreamPath("plant/boiler-3").absoluteString == "http://localhost:4437/v1/stream/plant/boiler-3")
        #expect(base.appendingStreamPath("/a").absoluteString == "http://localhost:4437/v1/stream/a")
        let asked = try #require(URL(string: "http://localhost:4437/v1/?tenant=a"))
        #expect(asked.appendingStreamPath("b").absoluteString == "http://localhost:4437/v1/b?tenant=a")
    }
}
