import DurableStreams
import DurableStreamsTesting
import Foundation
import Testing

@Suite struct ReadingStreams {
    @Test func liveReadBringsWhatComesAndEndsWithTheStream() async throws {
        try await withServer { server in
            let stream = try await DurableStream.create(url: server.url())
            try await stream.appendSync(Reading(lux: 1))
            let reader = Task { try await all(stream.messages(as: Reading.self)) }
            try await server.until(liveReaders: 1)
            try await stream.appendSync(Reading(lux: 2))
            try await stream.close()
            #expect(try await reader.value.map(\.lux) == [1, 2])
        }
    }

    @Test func serverSentEventsBringWhatComes() async throws {
        try await withServer { server in
            let stream = try await DurableStream.create(url: server.url())
            let reader = Task { try await all(stream.messagesSSE(as: Reading.self)) }
            try await server.until(liveReaders: 1)
            try await stream.appendSync([Reading(lux: 1), Reading(lux: 2)])
            try await stream.close()
            #expect(try await reader.value.map(\.lux) == [1, 2])
            let events = try await all(stream.sseEvents())
            #expect(events.map(\.data) == [#"[{"lux":1},{"lux":2}]"#])
            #expect(events.map(\.effectiveEvent) == ["data"])
        }
    }

    @Test func offsetsOfBatchesResumeWhereTheySay() async throws {
        try await withServer { server in
            let stream = try await DurableStream.create(url: server.url())
            try await stream.appendSync(Reading(lux: 1))
            let page = try await stream.readJSON(as: Reading.self)
            try await stream.appendSync(Reading(lux: 2))
            try await stream.close()
            let rest = try await all(stream.jsonBatches(as: Reading.self, from: page.offset))
            #expect(rest.flatMap(\.items).map(\.lux) == [2])
            #expect(rest.last?.streamClosed == true)
        }
    }

    @Test func oneAnswerAndTheWayOn() async throws {
        try await withServer { server in
            let stream = try await DurableStream.create(url: server.url())
            try await stream.appendSync([1, 2])
            let response = try await DurableStreams.stream(url: server.url())
            #expect(response.status == 200)
            #expect(response.contentType == "application/json")
            #expect(response.startOffset == .start)
            #expect(try response.json(as: Int.self).items == [1, 2])
            #expect(try response.text().text == "[1,2]")
            #expect(try await all(response.jsonItems(as: Int.self)) == [1, 2])
            // There is one pass.
            #expect(await failure { _ = try await all(response.byteStream()) }?.code == .badRequest)
        }
    }

    @Test func textIsNeverCutInsideACharacter() async throws {
        try await withServer { server in
            let stream = try await DurableStream.create(url: server.url(), contentType: "text/plain")
            let bytes = Array("Zürich 🏔".utf8)
            let reader = Task { try await all(stream.textChunks()).map(\.text) }
            try await server.until(liveReaders: 1)
            for byte in bytes { try await stream.append(data: Data([byte])) }
            try await stream.close()
            let pieces = try await reader.value
            #expect(pieces.joined() == "Zürich 🏔")
            #expect(!pieces.contains { $0.unicodeScalars.contains("\u{FFFD}") })
        }
    }

    @Test func messagesOfAnotherShapeAreParseErrors() async throws {
        try await withServer { server in
            let stream = try await DurableStream.create(url: server.url())
            try await stream.appendSync(["lux"])
            let error = await failure { _ = try await stream.readJSON(as: Reading.self) }
            #expect(error?.code == .parseError)
            let tail = try await stream.head().offset
            #expect(error?.details?["offset"] == tail?.rawValue)
        }
    }

    @Test func cancellingTheTaskLeavesTheServerAtOnce() async throws {
        try await withServer(longPollTimeout: 60) { server in
            let stream = try await DurableStream.create(url: server.url())
            for sequence in [stream.messages(as: Reading.self), stream.messagesSSE(as: Reading.self)] {
                let reader = Task { try await all(sequence) }
                try await server.until(liveReaders: 1)
                reader.cancel()
                await #expect(throws: CancellationError.self) { try await reader.value }
                try await server.until(liveReaders: 0)
            }
        }
    }

    @Test func aTaskThatIsCancelledBeforeItReadsIsTold() async throws {
        try await withServer { server in
            let stream = try await DurableStream.create(url: server.url())
            let reader = Task {
                withUnsafeCurrentTask { $0?.cancel() }
                return try await all(stream.messages(as: Reading.self))
            }
            await #expect(throws: CancellationError.self) { try await reader.value }
        }
    }

    @Test func iteratingAgainGoesOnWhereTheLastIterationStopped() async throws {
        try await withServer { server in
            let url = server.url()
            let stream = try await DurableStream.create(url: url)
            try await stream.appendSync([1, 2, 3])
            let items = stream.messages(as: Int.self)
            for try await item in items where item == 2 { break }
            var rest = items.makeAsyncIterator()
            #expect(try await rest.next() == 3)
            // A request may be under way already, which brings the next message; the one after it is refused.
            try await server.injectFault(path: url.path, status: 403, method: "GET")
            try await stream.appendSync(4)
            var seen: [Int] = []
            let error = await failure { while let item = try await rest.next() { seen.append(item) } }
            #expect(error?.code == .forbidden)
            #expect(try await rest.next() == nil)
            try await stream.appendSync(5)
            try await stream.close()
            #expect(try await seen + all(items) == [4, 5])
        }
    }

    @Test func cancelledAppendThrowsCancellationError() async throws {
        try await withServer { server in
            let url = server.url()
            let stream = try await DurableStream.create(url: url, contentType: "text/plain")
            try await server.injectFault(path: url.path, delayMs: 60_000, method: "POST")
            let appending = Task { try await stream.appendSync("a") }
            appending.cancel()
            await #expect(throws: CancellationError.self) { try await appending.value }
        }
    }

    @Test func droppingTheSequenceLeavesTheServerAtOnce() async throws {
        try await withServer(longPollTimeout: 60) { server in
            let stream = try await DurableStream.create(url: server.url())
            try await stream.appendSync(1)
            for _ in 0..<20 {
                for try await item in stream.messages(as: Int.self) {
                    #expect(item == 1)
                    break
                }
            }
            try await server.until(liveReaders: 0)
        }
    }

    @Test func nothingIsReadAheadOfTheConsumerWithoutBound() async throws {
        try await withServer { server in
            let stream = try await DurableStream.create(url: server.url(), contentType: "application/octet-stream")
            for _ in 0..<16 { try await stream.append(data: Data(count: 4_194_304)) }
            try await stream.close()
            var taken = 0
            let before = try residentBytes()
            for try await chunk in stream.byteChunks() {
                let isFirst = taken == 0
                taken += chunk.data.count
                if isFirst {
                    // The client has all the time it could want to run ahead.
                    try await Task.sleep(for: .milliseconds(300))
                    #expect(try residentBytes() - before < 50_331_648)
                }
            }
            #expect(taken == 67_108_864)
        }
    }

    @Test func stateIsWhatWasDelivered() async throws {
        try await withServer { server in
            let stream = try await DurableStream.create(url: server.url())
            #expect(stream.captureState().offset == .start)
            try await stream.appendSync(1)
            let page = try await stream.readJSON(as: Int.self)
            try await stream.appendSync(2)
            try await stream.close()
            let state = stream.captureState()
            #expect(state.offset == page.offset)
            let kept = try JSONDecoder().decode(SuspendedStreamState.self, from: JSONEncoder().encode(state))
            #expect(try await all(stream.resumeMessages(as: Int.self, from: kept)) == [2])
        }
    }

    @Test func suspendedStreamsAreResumed() async throws {
        try await withServer { server in
            let stream = try await DurableStream.create(url: server.url())
            try await stream.appendSync(1)
            _ = try await stream.readJSON(as: Int.self)
            let manager = StreamLifecycleManager()
            let state = try await manager.suspend(stream)
            #expect(await manager.isSuspended(server.url()))
            let resumed = try await manager.resume(for: server.url())
            #expect(resumed.state == state)
            #expect(await manager.suspendedURLs.isEmpty)
            try await resumed.stream.appendSync(2)
            #expect(try await resumed.stream.readJSON(as: Int.self, offset: state.offset).items == [2])
        }
    }
}
