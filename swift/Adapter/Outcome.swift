import DurableStreams
import Foundation

/// The adapter cannot do this.
struct NotSupported: Error {
    let message: String
}

/// An error of the client with the status that the server would have answered.
struct WithStatus: Error {
    let error: DurableStreamError
    let status: Int
}

/// A success; fields without a value are left out.
func success(_ kind: String, _ fields: [String: (any Sendable)?] = [:]) -> JSON {
    var result: JSON = ["type": kind, "success": true]
    for (name, value) in fields { result[name] = value }
    return result
}

func problem(
    _ kind: String, _ code: String, _ message: String, status: Int? = nil, details: JSON = [:]
) -> JSON {
    var result: JSON = [
        "type": "error", "success": false, "commandType": kind, "errorCode": code, "message": message,
    ]
    result["status"] = status
    if !details.isEmpty { result["details"] = details }
    return result
}

/// The result line of an error.
func failure(_ kind: String, _ error: any Error) -> JSON {
    switch error {
    case let error as NotSupported: return problem(kind, "NOT_SUPPORTED", error.message)
    case let error as WithStatus: return failure(kind, error.error, error.error.status ?? error.status)
    case let error as DurableStreamError: return failure(kind, error, error.status)
    default: return problem(kind, "INTERNAL_ERROR", String(describing: error))
    }
}

private func failure(_ kind: String, _ error: DurableStreamError, _ status: Int?) -> JSON {
    var details: JSON = ["code": error.reason]
    let names = ["offset": "finalOffset", "currentEpoch": "currentEpoch", "expected": "expectedSeq", "received": "receivedSeq"]
    for (name, value) in error.details ?? [:] {
        guard let known = names[name] else { continue }
        details[known] = name == "offset" ? value : Int(value)
    }
    return problem(kind, kitCode(error.reason), error.message, status: status, details: details)
}

/// The kit's name of a code; the kit has fewer.
private func kitCode(_ reason: String) -> String {
    switch reason {
    case "NOT_FOUND", "INVALID_OFFSET", "INVALID_ARGUMENT", "SEQUENCE_CONFLICT", "STREAM_CLOSED", "NETWORK_ERROR",
        "TIMEOUT", "PARSE_ERROR", "NOT_SUPPORTED", "INTERNAL_ERROR":
        reason
    case "ALREADY_EXISTS", "CONFLICT", "CONTENT_TYPE_MISMATCH": "CONFLICT"
    case "SEQUENCE_GAP": "SEQUENCE_CONFLICT"
    case "OFFSET_WENT_BACKWARDS": "PARSE_ERROR"
    case "ALREADY_CLOSED": "INVALID_ARGUMENT"
    case "CANCELLED": "INTERNAL_ERROR"
    default: "UNEXPECTED_STATUS"
    }
}

func write(_ result: JSON) {
    guard var line = try? JSONSerialization.data(withJSONObject: result, options: [.withoutEscapingSlashes]) else {
        fatalError("a result that is no JSON: \(result)")
    }
    line.append(UInt8(ascii: "\n"))
    FileHandle.standardOutput.write(line)
}
