package com.durablestreams.exception

import java.time.Duration
import java.util.Optional

/** Everything that is known of a failed operation. */
class ErrorFacts internal constructor(
    /** What happened, for people. */
    val detail: String? = null,
    val status: Int? = null,
    /** The start of the error answer's text. */
    val serverText: String? = null,
    /** The stream's URL, without credentials. */
    val url: String? = null,
    val operation: String? = null,
    /** Final offset of a closed stream. */
    val finalOffset: String? = null,
    /** Epoch in force, of a stale-epoch answer. */
    val currentEpoch: Long? = null,
    val expectedSeq: Long? = null,
    val receivedSeq: Long? = null,
    /** Least delay the server asked for. */
    val retryAfter: Duration? = null,
    val headers: Map<String, String> = emptyMap(),
    /** Whether the server may have carried the request out all the same. */
    val mayBeApplied: Boolean = false,
    /** How many times the request was sent. */
    val attempts: Int = 0,
    /** Where a read stood. */
    val offset: String? = null,
)

/** A failed operation. [code] says what went wrong, [facts] what else is known. */
open class DurableStreamException @JvmOverloads constructor(
    message: String,
    val code: ErrorCode = ErrorCode.INTERNAL_ERROR,
    cause: Throwable? = null,
    val facts: ErrorFacts = ErrorFacts(),
) : RuntimeException(message, cause) {
    /** HTTP status, if an answer arrived. */
    fun getStatusCode(): Optional<Int> = Optional.ofNullable(facts.status)

    fun getErrorCode(): Optional<String> = Optional.of(code.name)

    /** Headers of the answer, names in lower case. */
    fun getResponseHeaders(): Map<String, String> = facts.headers
}

/** There is no such stream. */
class StreamNotFoundException internal constructor(message: String, code: ErrorCode, facts: ErrorFacts) :
    DurableStreamException(message, code, null, facts) {
    val url: String? get() = facts.url
}

/** The stream exists with other settings. */
class StreamExistsException internal constructor(message: String, code: ErrorCode, facts: ErrorFacts) :
    DurableStreamException(message, code, null, facts)

/** The stream is closed: nothing can follow. */
class StreamClosedException internal constructor(message: String, code: ErrorCode, facts: ErrorFacts) :
    DurableStreamException(message, code, null, facts) {
    val finalOffset: String? get() = facts.finalOffset
}

/** The server expects another sequence number or coordination token. */
class SequenceConflictException internal constructor(message: String, code: ErrorCode, facts: ErrorFacts) :
    DurableStreamException(message, code, null, facts) {
    val expectedSeq: String? get() = facts.expectedSeq?.toString()
    val receivedSeq: String? get() = facts.receivedSeq?.toString()
}

/** A newer writer holds this producer id. */
class StaleEpochException internal constructor(message: String, code: ErrorCode, facts: ErrorFacts) :
    DurableStreamException(message, code, null, facts) {
    /** The epoch in force; -1 when the server did not say. */
    val currentEpoch: Long get() = facts.currentEpoch ?: -1
}

/** The data at this offset is gone: dropped by retention, or deleted. */
class OffsetGoneException internal constructor(message: String, code: ErrorCode, facts: ErrorFacts) :
    DurableStreamException(message, code, null, facts) {
    val offset: String? get() = facts.offset
}

/** Data or an answer that cannot be parsed. */
class ParseErrorException internal constructor(message: String, code: ErrorCode, cause: Throwable?, facts: ErrorFacts) :
    DurableStreamException(message, code, cause, facts)
