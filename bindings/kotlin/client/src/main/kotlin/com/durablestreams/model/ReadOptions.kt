package com.durablestreams.model

import java.time.Duration

/** Settings of a read. Immutable; `live`, `timeout` and the like return changed copies. */
class ReadOptions private constructor(private val values: Builder) {
    /** Where to start; `null` is the beginning. */
    val offset: Offset? = values.offset
    val liveMode: LiveMode = values.liveMode

    /** Limit of every wait for the server. */
    val timeout: Duration? = values.timeout

    /** Cursor of an earlier live read. */
    val cursor: String? = values.cursor

    /** Entity tag of data that the caller holds for the start offset. */
    val ifNoneMatch: String? = values.ifNoneMatch

    /** Content type, for a live read from [Offset.NOW]. */
    val contentType: String? = values.contentType

    /** Bound of one chunk of a byte stream. Units: bytes. */
    val maxChunkBytes: Int? = values.maxChunkBytes
    val headers: Map<String, String> = values.headers.toMap()
    val params: Map<String, String> = values.params.toMap()

    fun live(mode: LiveMode): ReadOptions = values.copy().liveMode(mode).build()

    fun timeout(timeout: Duration): ReadOptions = values.copy().timeout(timeout).build()

    fun cursor(cursor: String): ReadOptions = values.copy().cursor(cursor).build()

    class Builder internal constructor() {
        internal var offset: Offset? = null
        internal var liveMode = LiveMode.OFF
        internal var timeout: Duration? = null
        internal var cursor: String? = null
        internal var ifNoneMatch: String? = null
        internal var contentType: String? = null
        internal var maxChunkBytes: Int? = null
        internal val headers = LinkedHashMap<String, String>()
        internal val params = LinkedHashMap<String, String>()

        fun offset(offset: Offset?): Builder = apply { this.offset = offset }

        fun liveMode(mode: LiveMode): Builder = apply { liveMode = mode }

        fun timeout(timeout: Duration?): Builder = apply { this.timeout = timeout }

        fun cursor(cursor: String?): Builder = apply { this.cursor = cursor }

        fun ifNoneMatch(etag: String?): Builder = apply { ifNoneMatch = etag }

        fun contentType(contentType: String?): Builder = apply { this.contentType = contentType }

        fun maxChunkBytes(bytes: Int?): Builder = apply { maxChunkBytes = bytes }

        fun header(name: String, value: String): Builder = apply { headers[name] = value }

        fun param(name: String, value: String): Builder = apply { params[name] = value }

        fun build(): ReadOptions = ReadOptions(copy())

        internal fun copy(): Builder {
            val from = this
            return Builder().apply {
                offset = from.offset
                liveMode = from.liveMode
                timeout = from.timeout
                cursor = from.cursor
                ifNoneMatch = from.ifNoneMatch
                contentType = from.contentType
                maxChunkBytes = from.maxChunkBytes
                headers.putAll(from.headers)
                params.putAll(from.params)
            }
        }
    }

    companion object {
        @JvmStatic
        fun builder(): Builder = Builder()

        @JvmStatic
        fun create(): ReadOptions = Builder().build()

        @JvmStatic
        fun from(offset: Offset): ReadOptions = Builder().offset(offset).build()

        @JvmStatic
        fun fromBeginning(): ReadOptions = from(Offset.BEGINNING)

        @JvmStatic
        fun fromNow(): ReadOptions = from(Offset.NOW)
    }
}
