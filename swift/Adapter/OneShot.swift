import DurableStreams
import Foundation

func create(_ session: Session, _ command: Command) async throws -> JSON {
    let options = CreateOptions(
        contentType: command["contentType"].text, ttlSeconds: command["ttlSeconds"].integer,
        expiresAt: command["expiresAt"].text, data: command.data.map { Data($0.utf8) },
        closed: command["closed"].flag, forkFrom: command["forkFrom"].text,
        forkOffset: command["forkOffset"].text.map { Offset($0) }, forkSubOffset: command["forkSubOffset"].integer)
    let created = try await session.stream(command).createStream(options)
    session.learn(command.path, created.contentType ?? command["contentType"].text)
    return success(
        "create", ["status": created.status, "offset": created.offset?.rawValue, "headers": created.headers])
}

func connect(_ session: Session, _ command: Command) async throws -> JSON {
    var result = try await head(session, command)
    result["type"] = "connect"
    return result
}

func head(_ session: Session, _ command: Command) async throws -> JSON {
    let info = try await session.stream(command).head()
    session.learn(command.path, info.contentType)
    return success(
        "head",
        [
            "status": info.status, "offset": info.offset?.rawValue, "contentType": info.contentType,
            "ttlSeconds": info.ttlSeconds, "expiresAt": info.expiresAt, "streamClosed": info.streamClosed,
            "headers": info.headers,
        ])
}

func append(_ session: Session, _ command: Command) async throws -> JSON {
    let data = try body(session, command)
    let sent = session.sent(command)
    let stream = try session.stream(command, sent)
    let appended: AppendResult
    do {
        if let id = command["producerId"].text {
            appended = try await stream.appendWithProducer(
                data, producerId: id, epoch: command["producerEpoch"].integer ?? 0,
                seq: command["producerSeq"].integer ?? 0)
        } else {
            appended = try await stream.appendSync(data, seq: command["seq"].integer)
        }
    } catch let error as DurableStreamError where data.isEmpty {
        // What the client refuses itself the server would refuse with 400.
        throw WithStatus(error: error, status: 400)
    }
    let fields: [String: (any Sendable)?] = [
        "status": 200, "offset": appended.offset?.rawValue, "headers": appended.headers,
        "duplicate": command["producerId"].text == nil ? nil : appended.isDuplicate,
        "producerEpoch": appended.producerEpoch, "producerSeq": appended.producerSeq,
    ]
    return success("append", fields.merging(sent.fields) { old, _ in old })
}

func delete(_ session: Session, _ command: Command) async throws -> JSON {
    try await session.stream(command).delete()
    session.learn(command.path, nil)
    return success("delete", ["status": 200])
}

func close(_ session: Session, _ command: Command) async throws -> JSON {
    let data = command.data == nil ? nil : try body(session, command)
    let closed = try await session.stream(command).close(data: data, contentType: command["contentType"].text)
    return success("close", ["status": 200, "finalOffset": closed.finalOffset?.rawValue ?? ""])
}

/// The payload. A JSON value travels inside an array, so that a value that is an array stays one message; the client
/// takes JSON text as it is.
func body(_ session: Session, _ command: Command) throws -> Data {
    let text = command.data ?? ""
    if command["binary"].flag {
        guard let data = Data(base64Encoded: text) else {
            throw DurableStreamError(code: .badRequest, message: "data is no base64")
        }
        return data
    }
    let isValue = session.isJSON(command)
        && (try? JSONSerialization.jsonObject(with: Data(text.utf8), options: .fragmentsAllowed)) != nil
    return Data((isValue ? "[\(text)]" : text).utf8)
}
