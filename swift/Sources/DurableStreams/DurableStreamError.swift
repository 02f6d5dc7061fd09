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

    public enum ErrorCode: String, Sendable, Hashable, Codable, CaseIterable {
        case notFound, conflict, conflictSeq, conflictExists, badRequest, unauthorized, forbidden, rateLimited
        case serverBusy, sseNotSupported, timeout, networkError, parseError, internalError, retentionExpired
        case staleEpoch, sequenceGap, streamClosed, unknown
    }

    public init(code: ErrorCode, message: String, status: Int? = nil, details: [String: String]? = nil) {
        self.init(code: code, message: message, status: status, details: details, reason: code.rawValue)
    }

    init(code: ErrorCode, message: String, status: Int? = nil, details: [String: String]? = nil, reason: String) {
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
    }

    /// What the core knows of a failure.
    init(_ info: ErrorDetails) {
        code = ErrorCode(reason: info.code)
        message = info.text
        status = info.status.map(Int.init)
        var details: [String: String] = [:]
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
    }

    /// An argument that cannot be used; nothing was sent.
    static func invalid(_ message: String) -> DurableStreamError {
        DurableStreamError(code: .badRequest, message: message, reason: "INVALID_ARGUMENT")
    }
}

extension DurableStreamError: LocalizedError, CustomStringConvertible {
    public var errorDescription: String? { message }
    public var description: String { "\(code.rawValue): \(message)" }
}

extension DurableStreamError {
    public static func notFound(_ message: String) -> Self { Self(code: .notFound, message: message, status: 404) }
    public static func conflict(_ message: String) -> Self { Self(code: .conflict, message: message, status: 409) }
    public static func conflictSeq(_ message: String) -> Self { Self(code: .conflictSeq, message: message, status: 409) }
    public static func conflictExists(_ message: String) -> Self {
        Self(code: .conflictExists, message: message, status: 409)
    }
    public static func badRequest(_ message: String) -> Self { Self(code: .badRequest, message: message, status: 400) }
    public static func unauthorized(_ message: String) -> Self {
        Self(code: .unauthorized, message: message, status: 401)
    }
    public static func forbidden(_ message: String) -> Self { Self(code: .forbidden, message: message, status: 403) }
    public static func rateLimited(_ message: String) -> Self { Self(code: .rateLimited, message: message, status: 429) }
    public static func serverBusy(_ message: String) -> Self { Self(code: .serverBusy, message: message, status: 503) }
    public static func timeout(_ message: String) -> Self { Self(code: .timeout, message: message) }
    public static func networkError(_ message: String) -> Self { Self(code: .networkError, message: message) }
    public static func parseError(_ message: String) -> Self { Self(code: .parseError, message: message) }
    public static func retentionExpired(_ message: String) -> Self {
        Self(code: .retentionExpired, message: message, status: 410)
    }
    public static func streamClosed(_ message: String) -> Self {
        Self(code: .streamClosed, message: message, status: 409)
    }

    /// The error that an HTTP status alone stands for.
    public static func fromHTTPStatus(_ status: Int, body: String? = nil, url: String? = nil) -> Self {
        let code: ErrorCode =
            switch status {
            case 400: .badRequest
            case 401: .unauthorized
            case 403: .forbidden
            case 404: .notFound
            case 409: .conflict
            case 410: .retentionExpired
            case 429: .rateLimited
            case 503: .serverBusy
            default: .unknown
            }
        let place = url.map { " from \($0)" } ?? ""
        let text = body.map { ": \($0)" } ?? ""
        return Self(code: code, message: "HTTP status \(status)\(place)\(text)", status: status)
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
