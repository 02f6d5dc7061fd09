package com.durablestreams.model

import java.time.Duration
import java.time.Instant
import java.util.Optional

/** A stream that exists now. */
class CreateResult internal constructor(
    /** Whether this call created it. */
    val isNew: Boolean,
    /** Content type as stored. */
    val contentType: String?,
    /** The tail. */
    val nextOffset: Offset?,
    val isStreamClosed: Boolean,
    val statusCode: Int,
    /** Headers of the answer, names in lower case. */
    val headers: Map<String, String>,
)

/** A stored append. */
class AppendResult internal constructor(
    /** The new tail; a server may leave it out for duplicates. */
    val nextOffset: Offset?,
    /** Entity tag, if the server sends one. */
    val etag: Optional<String>,
    /** Whether the server had accepted this producer request before. */
    val isDuplicate: Boolean,
    /** Epoch in force, for a producer's request. */
    val producerEpoch: Long? = null,
    /** Highest accepted sequence number, for a producer's request. */
    val producerSeq: Long? = null,
    val statusCode: Int = 0,
    /** Headers of the answer, names in lower case. */
    val headers: Map<String, String> = emptyMap(),
) {
    fun nextOffset(): Offset? = nextOffset

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
    /** The tail, which no longer moves. */
    val finalOffset: Offset?,
) {
    fun finalOffset(): Offset? = finalOffset
}

/** What a server tells about a stream. */
class Metadata internal constructor(
    val contentType: String?,
    /** The tail. */
    val nextOffset: Offset,
    /** Sliding time to live as configured. */
    val ttl: Optional<Duration>,
    /** Fixed deadline. */
    val expiresAt: Optional<Instant>,
    val etag: Optional<String>,
    val isStreamClosed: Boolean,
    val statusCode: Int,
    /** Headers of the answer, names in lower case. */
    val headers: Map<String, String>,
) {
    fun contentType(): String? = contentType

    fun nextOffset(): Offset = nextOffset

    fun ttl(): Optional<Duration> = ttl

    fun expiresAt(): Optional<Instant> = expiresAt

    fun etag(): Optional<String> = etag
}

/** What the server said to the batch of a message. */
class Acknowledgement internal constructor(
    /** The tail after the batch. */
    val offset: Offset?,
    /** Whether the server had accepted the batch before. */
    val isDuplicate: Boolean,
    val epoch: Long,
    val seq: Long,
)
