package com.durablestreams.exception

/** What went wrong, as a closed list: a `when` over it is complete. */
enum class ErrorCode {
    /** Our own check failed, nothing was sent. */
    INVALID_ARGUMENT,

    /** The server cannot read the request. */
    BAD_REQUEST,

    /** The server does not know the offset that a read asked for. */
    INVALID_OFFSET,

    /** More data than the server takes in one request. */
    PAYLOAD_TOO_LARGE,

    /** Credentials are missing or wrong. */
    UNAUTHORIZED,

    /** The credentials do not allow it. */
    FORBIDDEN,

    /** There is no such stream. */
    NOT_FOUND,

    /** The data at the offset is gone, or the stream was deleted while forks still read it. */
    GONE,

    /** The stream was made anew: an answer's offset sorts before the one held. */
    OFFSET_WENT_BACKWARDS,

    /** The stream exists with other settings. */
    ALREADY_EXISTS,

    /** A conflict that says no more. */
    CONFLICT,

    /** The content type differs from the stream's. */
    CONTENT_TYPE_MISMATCH,

    /** The coordination token is not above the last one. */
    SEQUENCE_CONFLICT,

    /** The stream is closed: nothing can follow. */
    STREAM_CLOSED,

    /** The server expects another sequence number of this producer. */
    SEQUENCE_GAP,

    /** A newer writer holds this producer id. */
    STALE_EPOCH,

    /** Too many requests. */
    RATE_LIMITED,

    /** The server cannot do that. */
    NOT_SUPPORTED,

    /** The server, or the queue of this producer, has no room. */
    BUSY,

    /** Any other answer. */
    UNEXPECTED_STATUS,

    /** No whole answer arrived. */
    NETWORK_ERROR,

    /** No whole answer arrived in time. */
    TIMEOUT,

    /** Data or an answer that cannot be parsed. */
    PARSE_ERROR,

    /** The caller cancelled. */
    CANCELLED,

    /** The reader, producer or receipt was closed or used up. */
    ALREADY_CLOSED,

    /** A fault of this library. */
    INTERNAL_ERROR,
}
