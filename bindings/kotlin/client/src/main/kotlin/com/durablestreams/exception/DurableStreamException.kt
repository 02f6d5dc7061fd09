package com.durablestreams.exception

import kotlinx.coroutines.CopyableThrowable
import kotlinx.coroutines.ExperimentalCoroutinesApi
import java.time.Duration
import java.util.Optional

/** Everything that is known of a failed operation; `null` is what nobody said. */
class ErrorFacts internal constructor(
    /** What happened, for people. */
    val detail: String? = null,
    /** HTTP status, if an answer arrived. */
    val status: Int? = null,
    /** The start of the error answer's text. */
    val serverText: String? = null,
    /** The stream's URL, without credentials. */
    val url: String? = null,
    /** The operation that failed. */
    val operation: String? = null,
    /** Final offset of a closed stream. */
    val finalOffset: String? = null,
    /** Epoch in force, of a stale-epoch answer. */
    val currentEpoch: Long? = null,
    /** Sequence number the server would accept. */
    val expectedSeq: Long? = null,
    /** Sequence number the server received. */
    val receivedSeq: Long? = null,
    /** Least delay the server asked for. */
    val retryAfter: Duration? = null,
    /** Headers of the answer, names in lower case. */
    val headers: Map<String, String> = emptyMap(),
    /** Whether the server may have carried the request out all the same. */
    val mayBeApplied: Boolean = false,
    /** How many times the request was sent. */
    val attempts: Int = 0,
    /** Where a read stood. */
    val offset: String? = null,
)

/**
 * A failed operation. Its cause is the program's own exception, if a header function or a source of data raised one.
 * Coroutines that are cancelled get their `CancellationException` instead.
 */
@OptIn(ExperimentalCoroutinesApi::class)
open class DurableStreamException @JvmOverloads constructor(
    message: String,
    /** What went wrong; the one thing to branch on. */
    val code: ErrorCode = ErrorCode.INTERNAL_ERROR,
    cause: Throwable? = null,
    /** What else is known. */
    val facts: ErrorFacts = ErrorFacts(),
) : RuntimeException(message, cause),
    CopyableThrowable<DurableStreamException> {
    /** Nothing: a copy that coroutines make, to add their stack, would know less. */
    override fun createCopy(): DurableStreamException? = null

    /** HTTP status, if an answer arrived. */
    fun getStatusCode(): Optional<Int> = Optional.ofNullable(facts.status)

    /** The name of [code]. */
    fun getErrorCode(): Optional<String> = Optional.of(code.name)

    /** Headers of the answer, names in lower case. */
    fun getResponseHeaders(): Map<String, String> = facts.headers
}

/** There is no such stream. */
class StreamNotFoundException internal constructor(message: String, code: ErrorCode, facts: ErrorFacts) :
    DurableStreamException(message, code, null, facts) {
    /** The stream's URL, without credentials. */
    val url: String? get() = facts.url
}

/** The stream exists with other settings. */
class StreamExistsException internal constructor(message: String, code: ErrorCode, facts: ErrorFacts) :
    DurableStreamException(message, code, null, facts)

/** The stream is closed: nothing can follow. */
class StreamClosedException internal constructor(message: String, code: ErrorCode, facts: ErrorFacts) :
    DurableStreamException(message, code, null, facts) {
    /** The tail, which no longer moves; `null` when the server did not say. */
    val finalOffset: String? get() = facts.finalOffset
}

/** The server expects another sequence number or coordination token. */
class SequenceConflictException internal constructor(message: String, code: ErrorCode, facts: ErrorFacts) :
    DurableStreamException(message, code, null, facts) {
    /** The sequence number the server would accept; `null` for coordination tokens. */
    val expectedSeq: String? get() = facts.expectedSeq?.toString()

    /** The sequence number the server received; `null` for coordination tokens. */
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
    /** The offset that was asked for. */
    val offset: String? get() = facts.offset
}

/** Data or an answer that cannot be parsed. */
class ParseErrorException internal constructor(message: String, code: ErrorCode, cause: Throwable?, facts: ErrorFacts) :
    DurableStreamException(message, code, cause, facts)
