// Follows a stream of readings until it is closed. The position is kept in a file after every batch, so that the next
// run goes on where this one stopped, whatever stopped it.
//
//     follow http://localhost:4437/v1/stream/lamps position.json

import DurableStreams
import Foundation

struct Reading: Codable, Sendable { let lux: Int }

let arguments = CommandLine.arguments
guard arguments.count == 3 else {
    print("usage: follow URL FILE")
    exit(2)
}
let file = URL(fileURLWithPath: arguments[2])
let kept = try? JSONDecoder().decode(SuspendedStreamState.self, from: Data(contentsOf: file))

let stream = try await DurableStream.connect(url: arguments[1])
for try await batch in stream.jsonBatches(as: Reading.self, from: kept?.offset ?? .start) {
    for reading in batch { print(reading.lux) }
    // Printed first, then kept: what a crash comes between is printed again, and nothing is left out.
    let state = SuspendedStreamState(url: stream.url, offset: batch.offset, contentType: stream.contentType)
    try JSONEncoder().encode(state).write(to: file, options: .atomic)
}
