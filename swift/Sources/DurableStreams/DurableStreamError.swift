import Foundation
internal import DurableStreamsFFI

/// Why an operation failed. A cancelled task gets `CancellationError` instead.
public struct DurableStreamError: Error, Sendable {
    /// What kind of failure it was.
    public let code: ErrorCode
    /// Everything in one line, for people.
    public let message: String
    /// HTTP status, if an answer arrived.
    public let status: Int?
    /// `currentEpoch`, `producerId`, `expected`, `received`, `retryAfter` (seconds), `offset`: what of it is known.
    public let details: [String: String]?
    /// The core's own code, which tells more kinds apart, such as `PAYLOAD_TOO_LARGE`.
    public let reason: String
    /// The stream's URL, without credentials.
    public let url: String?
    /// The operation that failed.
    public let operation: String?
    /// The start of the error answer's text.
    public let serverText: String?
    /// Headers of the answer, by lowercase name.
    public let headers: [String: String]
    /// Whether the server may have carried the request out all the same.
    public let mayBeApplied: Bool
    /// How many times the request was sent.
    public let attempts: Int
    /// What is behind it: what a header function or the pieces of a streaming append threw, or the decoder.
    public let underlyingError: (any Error)?

    /// Kinds of failure.
    public enum ErrorCode: String, Sendable, Hashable, Codable, CaseIterable {
        case notFound, conflict, conflictSeq, conflictExists, badRequest, unauthorized, forbidden, rateLimited
        case serverBusy, sseNotSupported, timeout, networkError, parseError, internalError, retentionExpired
        case staleEpoch, sequenceGap, streamClosed, unknown
    }

    /// An error of the caller's own making.
    public init(
        code: ErrorCode, message: String, status: Int? = nil, details: [String: String]? = nil,
        underlyingError: (any Error)? = nil
    ) {
        self.init(
            code: code, message: message, status: status, details: details, reason: code.rawValue,
            underlyingError: underlyingError)
    }

    init(
        code: ErrorCode, message: String, status: Int? = nil, details: [String: String]? = nil, reason: String,
        underlyingError: (any Error)? = nil
    ) {
        self.code = code
        self.message = message
        self.status = status
        self.details = details
        self.reason = reason
        url = nil
        operation = nil
        serverText = nil
        headers = [:]
        mayBeApplied = false
        attempts = 0
        self.underlyingError = underlyingError
    }

    /// What the core knows of a failure, and which producer met it.
    init(_ info: ErrorDetails, producerId: String? = nil) {
        code = ErrorCode(reason: info.code)
        message = info.text
        status = info.status.map(Int.init)
        var details: [String: String] = [:]
        details["producerId"] = info.currentEpoch == nil && info.expectedSeq == nil ? nil : producerId
        details["currentEpoch"] = info.currentEpoch.map { String($0) }
        details["expected"] = info.expectedSeq.map { String($0) }
        details["received"] = info.receivedSeq.map { String($0) }
        details["retryAfter"] = info.retryAfterMs.map { String(Double($0) / 1000) }
        details["offset"] = info.finalOffset
        self.details = details.isEmpty ? nil : details
        reason = info.code
        url = info.url
        operation = info.operation
        serverText = info.serverText
        headers = dictionary(info.headers)
        mayBeApplied = info.mayBeApplied
        attempts = Int(info.attempts)
        underlyingError = info.raised.flatMap { RaisedErrors.shared.error($0) }
    }

    /// An argument that cannot be used; nothing was sent.
    static func invalid(_ message: String) -> DurableStreamError {
        DurableStreamError(code: .badRequest, message: message, reason: "INVALID_ARGUMENT")
    }
}

extension DurableStreamError: LocalizedError, CustomStringConvertible {
    /// The message.
    public var errorDescription: String? { message }
    /// Code and message.
    public var description: String { "\(code.rawValue): \(message)" }
}

// Errors of each kind, for fakes in tests and for code that answers in the client's place.
extension DurableStreamError {
    /// There is no such stream.
    public static func notFound(_ message: String) -> Self { Self(code: .notFound, message: message, status: 404) }
    /// The request conflicts with the stream's state, or its content type differs.
    public static func conflict(_ message: String) -> Self { Self(code: .conflict, message: message, status: 409) }
    /// The writer coordination number is not above the last one.
    public static func conflictSeq(_ message: String) -> Self { Self(code: .conflictSeq, message: message, status: 409) }
    /// The stream exists with other settings.
    public static func conflictExists(_ message: String) -> Self {
        Self(code: .conflictExists, message: message, status: 409)
    }
    /// The request cannot be used as it is.
    public static func badRequest(_ message: String) -> Self { Self(code: .badRequest, message: message, status: 400) }
    /// Credentials are missing or not valid.
    public static func unauthorized(_ message: String) -> Self {
        Self(code: .unauthorized, message: message, status: 401)
    }
    /// These credentials do not allow it.
    public static func forbidden(_ message: String) -> Self { Self(code: .forbidden, message: message, status: 403) }
    /// The server asks to slow down. Units: seconds.
    public static func rateLimited(_ message: String, retryAfter: Double? = nil) -> Self {
        Self(code: .rateLimited, message: message, status: 429, details: retryAfter.map { ["retryAfter": String($0)] })
    }
    /// The server is overloaded or stopping.
    public static func serverBusy(_ message: String) -> Self { Self(code: .serverBusy, message: message, status: 503) }
    /// There are no server-sent events of this stream.
    public static func sseNotSupported(_ message: String) -> Self { Self(code: .sseNotSupported, message: message) }
    /// No whole answer arrived in time.
    public static func timeout(_ message: String) -> Self { Self(code: .timeout, message: message) }
    /// No whole answer arrived.
    public static func networkError(_ message: String) -> Self { Self(code: .networkError, message: message) }
    /// The answer breaks the protocol, or is not of the type asked for.
    public static func parseError(_ message: String) -> Self { Self(code: .parseError, message: message) }
    /// A fault of the library.
    public static func internalError(_ message: String) -> Self { Self(code: .internalError, message: message) }
    /// The data or the stream is gone for good.
    public static func retentionExpired(_ message: String) -> Self {
        Self(code: .retentionExpired, message: message, status: 410)
    }
    /// A newer writer holds this producer id.
    public static func staleEpoch(_ message: String, currentEpoch: Int? = nil, producerId: String? = nil) -> Self {
        var details: [String: String] = [:]
        details["currentEpoch"] = currentEpoch.map { String($0) }
        details["producerId"] = producerId
        return Self(code: .staleEpoch, message: message, status: 403, details: details.isEmpty ? nil : details)
    }
    /// The producer's sequence number skips ahead of what the server accepted.
    public static func sequenceGap(_ message: String, expected: Int? = nil, received: Int? = nil) -> Self {
        var details: [String: String] = [:]
        details["expected"] = expected.map { String($0) }
        details["received"] = received.map { String($0) }
        return Self(code: .sequenceGap, message: message, status: 409, details: details.isEmpty ? nil : details)
    }
    /// The stream is closed.
    public static func streamClosed(_ message: String, finalOffset: Offset? = nil) -> Self {
        Self(code: .streamClosed, message: message, status: 409, details: finalOffset.map { ["offset": $0.rawValue] })
    }
    /// A failure of no other kind.
    public static func unknown(_ message: String, status: Int? = nil) -> Self {
        Self(code: .unknown, message: message, status: status)
    }

    /// The error that an HTTP status alone stands for, by the core's table.
    public static func fromHTTPStatus(_ status: Int, body: String? = nil, url: String? = nil) -> Self {
        let reason = codeOfStatus(status: UInt16(clamping: status))
        let place = url.map { " from \($0)" } ?? ""
        let text = body.map { ": \($0)" } ?? ""
        return Self(
            code: ErrorCode(reason: reason), message: "HTTP status \(status)\(place)\(text)", status: status,
            reason: reason)
    }
}

extension DurableStreamError.ErrorCode {
    /// The kind of failure as Swift users know it, of the core's code.
    init(reason: String) {
        self =
            switch reason {
            case "INVALID_ARGUMENT", "BAD_REQUEST", "INVALID_OFFSET", "PAYLOAD_TOO_LARGE", "ALREADY_CLOSED": .badRequest
            case "UNAUTHORIZED": .unauthorized
            case "FORBIDDEN": .forbidden
            case "NOT_FOUND": .notFound
            case "GONE": .retentionExpired
            case "ALREADY_EXISTS": .conflictExists
            case "CONFLICT", "CONTENT_TYPE_MISMATCH": .conflict
            case "SEQUENCE_CONFLICT": .conflictSeq
            case "STREAM_CLOSED": .streamClosed
            case "SEQUENCE_GAP": .sequenceGap
            case "STALE_EPOCH": .staleEpoch
            case "RATE_LIMITED": .rateLimited
            case "BUSY": .serverBusy
            case "NETWORK_ERROR": .networkError
            case "TIMEOUT": .timeout
            case "PARSE_ERROR", "OFFSET_WENT_BACKWARDS": .parseError
            case "INTERNAL_ERROR", "CANCELLED": .internalError
            // `NOT_SUPPORTED`, `UNEXPECTED_STATUS`: `status` says more.
            default: .unknown
            }
    }
}

extension CoreError {
    /// What is known of it.
    var details: ErrorDetails {
        switch self {
        case .InvalidArgument(let info), .BadRequest(let info), .InvalidOffset(let info), .PayloadTooLarge(let info),
            .Unauthorized(let info), .Forbidden(let info), .NotFound(let info), .Gone(let info),
            .OffsetWentBackwards(let info), .AlreadyExists(let info), .Conflict(let info),
            .ContentTypeMismatch(let info), .SequenceConflict(let info), .StreamClosed(let info),
            .SequenceGap(let info), .StaleEpoch(let info), .RateLimited(let info), .NotSupported(let info),
            .Busy(let info), .UnexpectedStatus(let info), .NetworkError(let info), .Timeout(let info),
            .ParseError(let info), .Cancelled(let info), .AlreadyClosed(let info), .InternalError(let info):
            info
        }
    }
}
