package com.durablestreams.internal

import com.durablestreams.exception.DurableStreamException
import com.durablestreams.exception.ErrorCode
import com.durablestreams.exception.ErrorFacts
import com.durablestreams.exception.OffsetGoneException
import com.durablestreams.exception.ParseErrorException
import com.durablestreams.exception.SequenceConflictException
import com.durablestreams.exception.StaleEpochException
import com.durablestreams.exception.StreamClosedException
import com.durablestreams.exception.StreamExistsException
import com.durablestreams.exception.StreamNotFoundException
import com.durablestreams.ffi.CoreException
import com.durablestreams.ffi.ErrorDetails
import com.durablestreams.ffi.NameValue
import com.durablestreams.ffi.Told
import com.durablestreams.model.Answer
import java.time.Duration

/** Runs an operation of the core with the public exceptions. */
internal inline fun <T> core(readAt: () -> String? = { null }, operation: () -> T): T =
    try {
        operation()
    } catch (failed: CoreException) {
        throw failed.details().asException(readAt())
    }

/** Makes an object of the core; arguments it refuses are this call's own fault. */
internal inline fun <T> constructing(make: () -> T): T =
    try {
        make()
    } catch (refused: CoreException) {
        val exception = refused.details().asException(null)
        if (refused !is CoreException.InvalidArgument) throw exception
        throw IllegalArgumentException(inHostSpelling(refused.info.detail), exception)
    }

internal fun ErrorDetails.asException(readAt: String?): DurableStreamException {
    val code = ErrorCode.valueOf(code)
    val facts = ErrorFacts(
        detail = detail,
        status = status?.toInt(),
        serverText = serverText,
        url = url,
        operation = operation,
        finalOffset = finalOffset,
        currentEpoch = currentEpoch?.toLong(),
        expectedSeq = expectedSeq?.toLong(),
        receivedSeq = receivedSeq?.toLong(),
        retryAfter = retryAfterMs?.let { Duration.ofMillis(it.toLong()) },
        headers = headers.asMap(),
        mayBeApplied = mayBeApplied,
        attempts = attempts.toInt(),
        offset = readAt,
    )
    val cause = raised?.let(Raised::find)
    return when (code) {
        ErrorCode.NOT_FOUND -> StreamNotFoundException(text, code, facts)
        ErrorCode.ALREADY_EXISTS -> StreamExistsException(text, code, facts)
        ErrorCode.STREAM_CLOSED -> StreamClosedException(text, code, facts)
        ErrorCode.SEQUENCE_CONFLICT, ErrorCode.SEQUENCE_GAP -> SequenceConflictException(text, code, facts)
        ErrorCode.STALE_EPOCH -> StaleEpochException(text, code, facts)
        ErrorCode.GONE -> OffsetGoneException(text, code, facts)
        ErrorCode.PARSE_ERROR, ErrorCode.OFFSET_WENT_BACKWARDS -> ParseErrorException(text, code, null, facts)
        else -> DurableStreamException(text, code, cause, facts)
    }
}

internal fun List<NameValue>.asMap(): Map<String, String> = associate { it.name.lowercase() to it.value }

internal fun Told.forResults() = Answer.Told(status.toInt(), headers.asMap(), attempts.toInt())

internal fun Map<String, String>.asPairs(): List<NameValue> = map { (name, value) -> NameValue(name, value) }

/** The core's texts begin with the setting's name in its own spelling. */
private fun inHostSpelling(detail: String): String {
    val name = detail.substringBefore(':')
    return name.replace(Regex("_([a-z])")) { it.groupValues[1].uppercase() } + detail.removePrefix(name)
}

internal fun CoreException.details(): ErrorDetails = when (this) {
    is CoreException.InvalidArgument -> info
    is CoreException.BadRequest -> info
    is CoreException.InvalidOffset -> info
    is CoreException.PayloadTooLarge -> info
    is CoreException.Unauthorized -> info
    is CoreException.Forbidden -> info
    is CoreException.NotFound -> info
    is CoreException.Gone -> info
    is CoreException.OffsetWentBackwards -> info
    is CoreException.AlreadyExists -> info
    is CoreException.Conflict -> info
    is CoreException.ContentTypeMismatch -> info
    is CoreException.SequenceConflict -> info
    is CoreException.StreamClosed -> info
    is CoreException.SequenceGap -> info
    is CoreException.StaleEpoch -> info
    is CoreException.RateLimited -> info
    is CoreException.NotSupported -> info
    is CoreException.Busy -> info
    is CoreException.UnexpectedStatus -> info
    is CoreException.NetworkException -> info
    is CoreException.Timeout -> info
    is CoreException.ParseException -> info
    is CoreException.Cancelled -> info
    is CoreException.AlreadyClosed -> info
    is CoreException.InternalException -> info
}
