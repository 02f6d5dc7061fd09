import Foundation
internal import DurableStreamsFFI
#if canImport(FoundationNetworking)
    import FoundationNetworking
#endif

/// A `URLSession` of the user under the core's protocol. Requests are made by a session of our own with the
/// configuration of the user's: its delegate could not be asked for bodies piece by piece.
final class SessionTransport: HttpTransport {
    private let exchanges = Exchanges()
    private let session: URLSession

    init(_ model: URLSession) {
        session = URLSession(configuration: model.configuration, delegate: exchanges, delegateQueue: nil)
    }

    deinit {
        session.invalidateAndCancel()
    }

    func send(request: HttpRequest) async throws -> HttpResponse {
        guard let url = URL(string: request.url) else { throw HttpFailure.Connect(reason: "no URL: \(request.url)") }
        var made = URLRequest(url: url, cachePolicy: .reloadIgnoringLocalCacheData)
        made.httpMethod = request.method
        // The core has its own limits; this one only must not be shorter.
        made.timeoutInterval = 3600
        for header in request.headers { made.addValue(header.value, forHTTPHeaderField: header.name) }
        if !request.body.isEmpty { made.httpBody = request.body }
        let task = session.dataTask(with: made)
        let exchange = Exchange(task)
        exchanges.add(exchange, for: task)
        return try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { waiting in
                exchange.awaitHead(waiting)
                task.resume()
            }
        } onCancel: {
            task.cancel()
        }
    }
}

/// Finds the exchange of a task.
private final class Exchanges: NSObject, URLSessionDataDelegate, @unchecked Sendable {
    private let running = Locked<[Int: Exchange]>([:])

    func add(_ exchange: Exchange, for task: URLSessionTask) {
        running.update { $0[task.taskIdentifier] = exchange }
    }

    func urlSession(
        _: URLSession, dataTask: URLSessionDataTask, didReceive response: URLResponse,
        completionHandler: @escaping (URLSession.ResponseDisposition) -> Void
    ) {
        running.value[dataTask.taskIdentifier]?.head(response)
        completionHandler(.allow)
    }

    func urlSession(_: URLSession, dataTask: URLSessionDataTask, didReceive data: Data) {
        running.value[dataTask.taskIdentifier]?.piece(data)
    }

    func urlSession(_: URLSession, task: URLSessionTask, didCompleteWithError error: (any Error)?) {
        running.update { $0.removeValue(forKey: task.taskIdentifier) }?.end(error)
    }

    func urlSession(
        _: URLSession, task: URLSessionTask, willPerformHTTPRedirection response: HTTPURLResponse,
        newRequest: URLRequest, completionHandler: @escaping (URLRequest?) -> Void
    ) {
        // The core follows redirects, so that credentials never reach another origin.
        completionHandler(nil)
    }
}

/// One request and its answer. At most a bound of bytes waits to be taken: then the task is suspended.
private final class Exchange: HttpBody, Sendable {
    private struct State {
        var head: CheckedContinuation<HttpResponse, any Error>?
        var taker: CheckedContinuation<Data?, any Error>?
        var pieces: [Data] = []
        var bytes = 0
        var outcome: Result<Void, HttpFailure>?
        var isSuspended = false
    }

    private static let mostBytes = 1_048_576
    private let task: URLSessionTask
    private let state = Locked(State())

    init(_ task: URLSessionTask) {
        self.task = task
    }

    func awaitHead(_ waiting: CheckedContinuation<HttpResponse, any Error>) {
        state.update { $0.head = waiting }
    }

    func head(_ response: URLResponse) {
        let waiting = state.update { state in
            defer { state.head = nil }
            return state.head
        }
        guard let response = response as? HTTPURLResponse else {
            waiting?.resume(throwing: HttpFailure.Broken(reason: "the answer is not HTTP"))
            return
        }
        let headers = response.allHeaderFields.compactMap { name, value -> NameValue? in
            guard let name = name as? String, let value = value as? String else { return nil }
            return NameValue(name: name, value: value)
        }
        // The session has taken transfer and content codings off already.
        let gone: Set = ["content-encoding", "transfer-encoding", "content-length"]
        let kept = headers.filter { !gone.contains($0.name.lowercased()) }
        waiting?.resume(returning: HttpResponse(status: UInt16(response.statusCode), headers: kept, body: self))
    }

    func piece(_ data: Data) {
        let taker = state.update { state -> CheckedContinuation<Data?, any Error>? in
            if let taker = state.taker {
                state.taker = nil
                return taker
            }
            state.pieces.append(data)
            state.bytes += data.count
            if state.bytes > Self.mostBytes, !state.isSuspended {
                state.isSuspended = true
                task.suspend()
            }
            return nil
        }
        taker?.resume(returning: data)
    }

    func end(_ error: (any Error)?) {
        let failure = error.map(failure(of:))
        let (head, taker) = state.update { state in
            state.outcome = failure.map(Result.failure) ?? .success(())
            defer { (state.head, state.taker) = (nil, nil) }
            return (state.head, state.taker)
        }
        head?.resume(throwing: failure ?? HttpFailure.Broken(reason: "no answer came"))
        if let failure { taker?.resume(throwing: failure) } else { taker?.resume(returning: nil) }
    }

    func chunk() async throws -> Data? {
        try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { (waiting: CheckedContinuation<Data?, any Error>) in
                state.update { state in
                    if !state.pieces.isEmpty {
                        let data = state.pieces.removeFirst()
                        state.bytes -= data.count
                        if state.isSuspended, state.bytes <= Self.mostBytes {
                            state.isSuspended = false
                            task.resume()
                        }
                        waiting.resume(returning: data)
                    } else if let outcome = state.outcome {
                        waiting.resume(with: outcome.map { nil }.mapError { $0 as any Error })
                    } else {
                        state.taker = waiting
                    }
                }
            }
        } onCancel: {
            task.cancel()
        }
    }

    func close() {
        task.cancel()
    }

    private func failure(of error: any Error) -> HttpFailure {
        let reason = error.localizedDescription
        switch (error as? URLError)?.code {
        case .timedOut: return .Timeout(reason: reason)
        case .cannotConnectToHost, .cannotFindHost, .dnsLookupFailed, .notConnectedToInternet:
            return .Connect(reason: reason)
        default: return .Broken(reason: reason)
        }
    }
}
