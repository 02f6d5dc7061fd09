// The Swift client behind the conformance kit's adapter protocol (docs/conformance.md): one JSON command per line
// on standard input, one JSON result per line on standard output.
//
// `Command.swift` is the vocabulary, `Session.swift` what is kept between commands, `OneShot.swift`, `Read.swift` and
// `Produce.swift` one function per command, `Outcome.swift` the shape of results and errors.

import Foundation

let session = Session()

// Reading a line blocks: outside the pool that tasks run on.
func nextLine() async -> String? {
    await withCheckedContinuation { waiting in
        DispatchQueue.global().async { waiting.resume(returning: readLine(strippingNewline: true)) }
    }
}

func perform(_ command: Command) async -> JSON {
    do {
        return switch command.kind {
        case "init": session.begin(command)
        case "configure": session.configure(command)
        case "shutdown": success("shutdown")
        case "set-dynamic-header": try session.setDynamicHeader(command)
        case "set-dynamic-param": try session.setDynamicParam(command)
        case "clear-dynamic": session.clearDynamic()
        case "validate": try validate(command)
        case "benchmark": try await benchmark(session, command)
        case "create": try await create(session, command)
        case "connect": try await connect(session, command)
        case "append": try await append(session, command)
        case "head": try await head(session, command)
        case "delete": try await delete(session, command)
        case "close": try await close(session, command)
        case "read": try await read(session, command)
        case "idempotent-append": try await idempotentAppend(session, command)
        case "idempotent-append-batch": try await idempotentAppendBatch(session, command)
        case "idempotent-close": try await idempotentClose(session, command)
        case "idempotent-detach": try await idempotentDetach(session, command)
        case "idempotent-restart": try await idempotentRestart(session, command)
        default: throw NotSupported(message: "there is no command \(command.kind)")
        }
    } catch {
        return failure(command.kind, error)
    }
}

while let line = await nextLine() {
    if line.trimmingCharacters(in: .whitespaces).isEmpty { continue }
    guard let command = Command(line) else {
        write(problem("init", "PARSE_ERROR", "the line is no JSON object"))
        continue
    }
    write(await perform(command))
    if command.kind == "shutdown" { break }
}
