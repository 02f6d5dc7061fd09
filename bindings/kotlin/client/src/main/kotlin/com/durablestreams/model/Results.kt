package com.durablestreams.model

import java.time.Duration
import java.time.Instant
import java.util.Optional

/** What the server said to an operation. */
abstract class Answer internal constructor(told: Told) {
    /** HTTP status. */
    val statusCode: Int = told.statusCode

    /** Headers of the answer, names in lower case. */
    val headers: Map<String, String> = told.headers

    /** How many times the request was sent. */
    val attempts: Int = told.attempts

    /** HTTP status. */
    fun statusCode(): Int = statusCode

    /** Headers of the answer, names in lower case. */
    fun headers(): Map<String, String> = headers

    internal class Told(val statusCode: Int = 0, val headers: Map<String, String> = emptyMap(), val attempts: Int = 0)
}

/** A stream that exists now. */
class CreateResult internal constructor(
    /** Whether this call created it. */
    val isNew: Boolean,
    /** Content type as stored. */
    val contentType: String?,
    /** The tail. */
    val nextOffset: Offset?,
    /** Whether the stream is closed. */
    val isStreamClosed: Boolean,
    told: Told,
) : Answer(told)

/** A stored append. */
class AppendResult internal constructor(
    /** The new tail; a server may leave it out for duplicates. */
    val nextOffset: Offset?,
    /** Entity tag, if the server sends one. */
    val etag: Optional<String>,
    /** Whether the server had accepted this producer request before; never true for an append without a producer. */
    val isDuplicate: Boolean,
    /** Whether the stream is closed now. */
    val isStreamClosed: Boolean = false,
    /** Epoch in force, for a producer's request. */
    val producerEpoch: Long? = null,
    /** Highest accepted sequence number, for a producer's request. */
    val producerSeq: Long? = null,
    told: Told = Told(),
) : Answer(told) {
    /** The new tail; a server may leave it out for duplicates. */
    fun nextOffset(): Offset? = nextOffset

    /** Entity tag, if the server sends one. */
    fun etag(): Optional<String> = etag

    companion object {
        /** For tests of code that appends. */
        @JvmStatic
        fun success(offset: Offset, etag: String?): AppendResult = AppendResult(offset, Optional.ofNullable(etag), false)

        /** For tests of code that appends. */
        @JvmStatic
        fun duplicate(): AppendResult = AppendResult(null, Optional.empty(), true)
    }
}

/** A closed stream. */
class CloseResult internal constructor(
    /** The tail, which no longer moves; `null` when the server did not say. */
    val finalOffset: Offset?,
    told: Told = Told(),
) : Answer(told) {
    /** The tail, which no longer moves; `null` when the server did not say. */
    fun finalOffset(): Offset? = finalOffset
}

/** What a server tells about a stream. */
class Metadata internal constructor(
    /** Content type as stored. */
    val contentType: String?,
    /** The tail. */
    val nextOffset: Offset,
    /** Sliding time to live as configured. */
    val ttl: Optional<Duration>,
    /** Fixed deadline. */
    val expiresAt: Optional<Instant>,
    /** Entity tag, if the server sends one. */
    val etag: Optional<String>,
    /** How caches may keep the stream's data. */
    val cacheControl: Optional<String>,
    /** Whether the stream is closed: nothing can follow. */
    val isStreamClosed: Boolean,
    told: Told,
) : Answer(told) {
    /** Content type as stored. */
    fun contentType(): String? = contentType

    /** The tail. */
    fun nextOffset(): Offset = nextOffset

    /** Sliding time to live as configured. */
    fun ttl(): Optional<Duration> = ttl

    /** Fixed deadline. */
    fun expiresAt(): Optional<Instant> = expiresAt

    /** Entity tag, if the server sends one. */
    fun etag(): Optional<String> = etag
}

/** What the server said to the batch of a message. */
class Acknowledgement internal constructor(
    /** The tail after the batch; a server may leave it out for duplicates. */
    val offset: Offset?,
    /** Whether the server had accepted the batch before. */
    val isDuplicate: Boolean,
    /** Epoch of the batch. */
    val epoch: Long,
    /** Sequence number of the batch. */
    val seq: Long,
)
