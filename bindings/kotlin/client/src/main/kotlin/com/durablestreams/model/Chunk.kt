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
    val nextOffset: Offset,
    /** Everything available has been read. */
    val isUpToDate: Boolean,
    /** The stream is closed and this is its end. */
    val isStreamClosed: Boolean,
    /** For a later live read. */
    val cursor: Optional<String>,
    val statusCode: Int,
    private val answerHeaders: Lazy<Map<String, String>>,
) {
    /** Headers of the answer, names in lower case. */
    val headers: Map<String, String> get() = answerHeaders.value

    /** [data] as UTF-8. */
    val dataAsString: String get() = String(data, Charsets.UTF_8)

    fun data(): ByteArray = data

    fun nextOffset(): Offset = nextOffset

    fun cursor(): Optional<String> = cursor
}

/** Parsed messages, and where to resume after them. */
class JsonBatch<T> internal constructor(
    val items: List<T>,
    val nextOffset: Offset,
    val isUpToDate: Boolean,
    val isStreamClosed: Boolean,
    /** For a later live read. */
    val cursor: Optional<String>,
) : Iterable<T> {
    val isEmpty: Boolean get() = items.isEmpty()

    fun size(): Int = items.size

    override fun iterator(): Iterator<T> = items.iterator()

    fun items(): List<T> = items

    fun nextOffset(): Offset = nextOffset

    fun cursor(): Optional<String> = cursor
}
