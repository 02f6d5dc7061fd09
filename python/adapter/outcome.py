"""Results and errors as the runner reads them (adapter protocol, sections 2 and 4)."""

import durable_streams as ds

# The kit's name of what `reason` says; the kit has fewer.
KIT_CODES = {
    "NOT_FOUND": "NOT_FOUND",
    "INVALID_OFFSET": "INVALID_OFFSET",
    "INVALID_ARGUMENT": "INVALID_ARGUMENT",
    "ALREADY_CLOSED": "INVALID_ARGUMENT",
    "ALREADY_EXISTS": "CONFLICT",
    "CONFLICT": "CONFLICT",
    "CONTENT_TYPE_MISMATCH": "CONFLICT",
    "SEQUENCE_CONFLICT": "SEQUENCE_CONFLICT",
    "SEQUENCE_GAP": "SEQUENCE_CONFLICT",
    "STREAM_CLOSED": "STREAM_CLOSED",
    "NETWORK_ERROR": "NETWORK_ERROR",
    "TIMEOUT": "TIMEOUT",
    "PARSE_ERROR": "PARSE_ERROR",
    "OFFSET_WENT_BACKWARDS": "PARSE_ERROR",
    "NOT_SUPPORTED": "NOT_SUPPORTED",
    "INTERNAL_ERROR": "INTERNAL_ERROR",
    "CANCELLED": "INTERNAL_ERROR",
    "BAD_REQUEST": "UNEXPECTED_STATUS",
    "PAYLOAD_TOO_LARGE": "UNEXPECTED_STATUS",
    "UNAUTHORIZED": "UNEXPECTED_STATUS",
    "FORBIDDEN": "UNEXPECTED_STATUS",
    "GONE": "UNEXPECTED_STATUS",
    "STALE_EPOCH": "UNEXPECTED_STATUS",
    "RATE_LIMITED": "UNEXPECTED_STATUS",
    "BUSY": "UNEXPECTED_STATUS",
    "UNEXPECTED_STATUS": "UNEXPECTED_STATUS",
}

DETAILS = {
    "final_offset": "finalOffset",
    "current_epoch": "currentEpoch",
    "expected_seq": "expectedSeq",
    "received_seq": "receivedSeq",
}


class NotSupported(Exception):
    """The adapter cannot do this."""


def success(kind, **fields):
    """A success; fields without a value are left out."""
    result = {"type": kind, "success": True}
    result.update((key, value) for key, value in fields.items() if value is not None)
    return result


def error(kind, code, message, status=None, details=None):
    result = {"type": "error", "success": False, "commandType": kind, "errorCode": code, "message": message}
    if status is not None:
        result["status"] = status
    if details:
        result["details"] = details
    return result


def failure(kind, problem):
    """The result line of an exception."""
    # Of many readers that failed, one says why.
    while getattr(problem, "exceptions", None):
        problem = problem.exceptions[0]
    if isinstance(problem, NotSupported):
        return error(kind, "NOT_SUPPORTED", str(problem))
    if isinstance(problem, (ds.DurableStreamError, ds.FetchError)):
        details = {name: getattr(problem, attribute, None) for attribute, name in DETAILS.items()}
        details = {name: value for name, value in details.items() if value is not None}
        reason = problem.reason or problem.code
        code = KIT_CODES.get(reason, "INTERNAL_ERROR")
        return error(kind, code, str(problem), problem.status, {**details, "code": reason})
    if isinstance(problem, (ValueError, TypeError)):
        return error(kind, "INVALID_ARGUMENT", str(problem))
    return error(kind, "INTERNAL_ERROR", f"{type(problem).__name__}: {problem}")
