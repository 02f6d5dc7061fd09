package com.durablestreams.model

import java.util.Optional

/** One piece of a stream, and where to resume after it. */
class Chunk internal constructor(
    /** The bytes; on a JSON stream one JSON array. Empty when only the position moved. */
    val data: ByteArray,
    /** Whether [data] is a JSON array. */
    val isJson: Boolean,
    /** Whether there is nothing to deliver: no bytes, or `[]`. */
    val isEmpty: Boolean,
    /** Where to resume after this piece. */
    val nextOffset: Offset,
    /** Everything available has been read. */
    val isUpToDate: Boolean,
    /** The stream is closed and this is its end. */
    val isStreamClosed: Boolean,
    /** For a later live read. */
    val cursor: Optional<String>,
    /** HTTP status of the answer. */
    val statusCode: Int,
    private val answerHeaders: Lazy<Map<String, String>>,
) {
    /** Headers of the answer, names in lower case. */
    val headers: Map<String, String> get() = answerHeaders.value

    /** [data] as UTF-8. */
    val dataAsString: String get() = String(data, Charsets.UTF_8)

    /** The bytes; on a JSON stream one JSON array. Empty when only the position moved. */
    fun data(): ByteArray = data

    /** [data] as UTF-8. */
    fun dataAsString(): String = dataAsString

    /** Where to resume after this piece. */
    fun nextOffset(): Offset = nextOffset

    /** For a later live read. */
    fun cursor(): Optional<String> = cursor

    /** HTTP status of the answer. */
    fun statusCode(): Int = statusCode

    /** Headers of the answer, names in lower case. */
    fun headers(): Map<String, String> = headers
}

/** Parsed messages, and where to resume after them. */
class JsonBatch<T> internal constructor(
    /** The messages, in order. */
    val items: List<T>,
    /** Where to resume after this batch. */
    val nextOffset: Offset,
    /** Everything available has been read. */
    val isUpToDate: Boolean,
    /** The stream is closed and this is its end. */
    val isStreamClosed: Boolean,
    /** For a later live read. */
    val cursor: Optional<String>,
) : Iterable<T> {
    /** Whether only the position moved. */
    val isEmpty: Boolean get() = items.isEmpty()

    /** Number of messages. */
    fun size(): Int = items.size

    override fun iterator(): Iterator<T> = items.iterator()

    /** The messages, in order. */
    fun items(): List<T> = items

    /** Where to resume after this batch. */
    fun nextOffset(): Offset = nextOffset

    /** For a later live read. */
    fun cursor(): Optional<String> = cursor
}
