// Speed of the Swift client: `read|produce|produce-batches|produce-values URL` measures one thing and prints it as
// one JSON object.

import DurableStreams
import Foundation

let readBytes = 256 << 20
let messages = 1_000_000
let together = 1_000

struct Wrong: Error, CustomStringConvertible {
    let description: String
}

/// The stream that `client-bench fill` wrote.
func read(_ stream: DurableStream) async throws {
    let started = ContinuousClock.now
    var bytes = 0
    for try await chunk in stream.byteChunks(live: .catchUp) { bytes += chunk.data.count }
    let seconds = seconds(since: started)
    guard bytes == readBytes else { throw Wrong(description: "\(bytes) bytes instead of \(readBytes)") }
    print("{\"mib_per_second\":\(Double(bytes) / 1_048_576 / seconds)}")
}

/// Takes a million messages and waits until all of them are stored.
func produce(_ stream: DurableStream, _ take: (IdempotentProducer) async throws -> Void) async throws {
    try await stream.createStream(CreateOptions(contentType: "application/json"))
    let producer = IdempotentProducer(stream: stream, producerId: "bench")
    let started = ContinuousClock.now
    try await take(producer)
    try await producer.flush()
    let seconds = seconds(since: started)
    guard producer.pendingMessages == 0 else { throw Wrong(description: "messages are left after the flush") }
    print("{\"messages_per_second\":\(Double(messages) / seconds)}")
    try await producer.close()
}

/// 100 bytes of JSON whose number is written over that of the message before.
struct Message {
    private var bytes = Array(#"{"n":"00000000","text":"\#(String(repeating: "x", count: 74))"}"#.utf8)

    mutating func numbered(_ number: Int) -> Data {
        var rest = number
        for place in stride(from: 13, through: 6, by: -1) {
            bytes[place] = UInt8(ascii: "0") + UInt8(rest % 10)
            rest /= 10
        }
        return Data(bytes)
    }
}

struct Value: Encodable {
    let n: String
    let text: String
}

func seconds(since start: ContinuousClock.Instant) -> Double {
    let (seconds, attoseconds) = (ContinuousClock.now - start).components
    return Double(seconds) + Double(attoseconds) / 1e18
}

func measure(_ what: String, _ server: String) async throws {
    func stream(_ name: String) throws -> DurableStream {
        guard let url = URL(string: server) else { throw Wrong(description: "\(server) is no URL") }
        return try DurableStream(url: url.appendingStreamPath("v1/stream").appendingStreamPath(name))
    }
    if what == "read" { return try await read(stream("read-256-mib")) }
    var message = Message()
    let produced = try stream("\(what)-swift-\(ProcessInfo.processInfo.processIdentifier)")
    switch what {
    case "produce":
        try await produce(produced) { producer in
            for number in 0..<messages { await producer.appendData(message.numbered(number)) }
        }
    case "produce-batches":
        try await produce(produced) { producer in
            for start in stride(from: 0, to: messages, by: together) {
                await producer.appendBatch((start..<start + together).map { message.numbered($0) })
            }
        }
    case "produce-values":
        let text = String(repeating: "x", count: 74)
        try await produce(produced) { producer in
            for number in 0..<messages {
                let digits = String(number)
                await producer.appendValue(Value(n: String(repeating: "0", count: 8 - digits.count) + digits, text: text))
            }
        }
    default: throw Wrong(description: "\(what) is none of read, produce, produce-batches, produce-values")
    }
}

let arguments = CommandLine.arguments
guard arguments.count == 3 else { throw Wrong(description: "usage: durable-streams-bench-swift WHAT URL") }
try await measure(arguments[1], arguments[2])
