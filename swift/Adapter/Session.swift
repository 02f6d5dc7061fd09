import DurableStreams
import Foundation

/// Names a producer between commands.
struct ProducerKey: Hashable {
    let path: String
    let producerId: String
    let epoch: Int
}

/// Everything kept between commands. One command is under way at a time.
final class Session: @unchecked Sendable {
    private var serverURL = ""
    private var contentTypes: [String: String] = [:]
    private var headers: [String: Dynamic] = [:]
    private var params: [String: Dynamic] = [:]
    private var limits = Command(fields: .null)
    var producers: [ProducerKey: IdempotentProducer] = [:]

    func begin(_ command: Command) -> JSON {
        serverURL = command["serverUrl"].text ?? ""
        while serverURL.hasSuffix("/") { serverURL.removeLast() }
        (contentTypes, headers, params, producers) = ([:], [:], [:], [:])
        limits = Command(fields: .null)
        let features = [
            "batching", "sse", "longPoll", "auto", "streaming", "dynamicHeaders", "retryOptions", "batchItems",
            "strictZeroValidation", "configure", "etag", "cursor", "fork", "producerRestart", "requestCounter",
            "errorDetails", "appendProducer", "readers", "failingProvider", "sseIdle",
        ]
        return success(
            "init",
            [
                "clientName": "durable-streams (Swift)", "clientVersion": ClientInfo.version,
                "features": Dictionary(uniqueKeysWithValues: features.map { ($0, true) }),
            ])
    }

    /// Time limits of the client from now on.
    func configure(_ command: Command) -> JSON {
        limits = command
        return success("configure")
    }

    /// The stream of a command, with the content type known from earlier ones.
    func stream(_ command: Command, _ sent: Sent? = nil) throws -> DurableStream {
        var config = DurableStream.Configuration()
        if let ms = limits["requestTimeoutMs"].number { config.timeout = ms / 1000 }
        if let ms = limits["longPollTimeoutMs"].number { config.longPollTimeout = ms / 1000 }
        if let ms = limits["sseIdleTimeoutMs"].number { config.sseIdleTimeout = ms / 1000 }
        config.headers = command.headers.mapValues { .value($0) }
        sent?.add(to: &config)
        guard let url = URL(string: serverURL + command.path) else {
            throw DurableStreamError(code: .badRequest, message: "no URL: \(command.path)")
        }
        return try DurableStream(url: url, contentType: contentTypes[command.path], config: config)
    }

    /// Remembers the content type of a path, or forgets it.
    func learn(_ path: String, _ contentType: String?) {
        contentTypes[path] = contentType
    }

    func isJSON(_ command: Command) -> Bool {
        let contentType = command["contentType"].text ?? contentTypes[command.path] ?? ""
        return contentType.lowercased().hasPrefix("application/json")
    }

    /// The dynamic values of one command.
    func sent(_ command: Command) -> Sent {
        for dynamic in [headers.values, params.values].joined() { dynamic.countCommand() }
        // What the command says itself wins.
        let own = Set(command.headers.keys.map { $0.lowercased() })
        return Sent(headers: headers.filter { !own.contains($0.key.lowercased()) }, params: params)
    }

    func setDynamicHeader(_ command: Command) throws -> JSON {
        headers[command["name"].text ?? ""] = try Dynamic(command)
        return success("set-dynamic-header")
    }

    func setDynamicParam(_ command: Command) throws -> JSON {
        params[command["name"].text ?? ""] = try Dynamic(command)
        return success("set-dynamic-param")
    }

    func clearDynamic() -> JSON {
        (headers, params) = ([:], [:])
        return success("clear-dynamic")
    }
}

/// A header or parameter whose value changes; the client gets it as a function.
final class Dynamic: @unchecked Sendable {
    private let kind: String
    /// What a token is, or why a function fails.
    private let text: String
    // Counted under the lock: readers of one command ask at once.
    private let lock = NSLock()
    private var count = 0

    init(_ command: Command) throws {
        kind = command["valueType"].text ?? ""
        text = command["initialValue"].text ?? ""
        guard ["counter", "request-counter", "timestamp", "token", "failing"].contains(kind) else {
            throw NotSupported(message: "there is no valueType \(kind)")
        }
    }

    func countCommand() {
        if kind != "request-counter" { lock.withLock { count += 1 } }
    }

    func next() throws -> String {
        switch kind {
        case "request-counter":
            return lock.withLock {
                count += 1
                return String(count)
            }
        case "timestamp": return String(Int(Date().timeIntervalSince1970 * 1000))
        case "failing": throw Failing(description: text)
        case "token": return text
        default: return lock.withLock { String(count) }
        }
    }
}

struct Failing: Error, CustomStringConvertible {
    let description: String
}

/// Which dynamic values a command has sent.
final class Sent: @unchecked Sendable {
    private let headers: [String: Dynamic]
    private let params: [String: Dynamic]
    private let lock = NSLock()
    private var headersSent: [String: String] = [:]
    private var paramsSent: [String: String] = [:]

    init(headers: [String: Dynamic], params: [String: Dynamic]) {
        self.headers = headers
        self.params = params
    }

    func add(to config: inout DurableStream.Configuration) {
        for (name, dynamic) in headers {
            config.headers[name] = .provider {
                let value = try dynamic.next()
                self.lock.withLock { self.headersSent[name] = value }
                return value
            }
        }
        for (name, dynamic) in params {
            config.params[name] = .provider {
                let value = try dynamic.next()
                self.lock.withLock { self.paramsSent[name] = value }
                return value
            }
        }
    }

    /// The fields of a result.
    var fields: [String: (any Sendable)?] {
        lock.withLock {
            [
                "headersSent": headersSent.isEmpty ? nil : headersSent,
                "paramsSent": paramsSent.isEmpty ? nil : paramsSent,
            ]
        }
    }
}
