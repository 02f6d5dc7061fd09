package com.durablestreams.model

import java.time.Duration

/** Settings of a read. Immutable; `live`, `timeout` and the like return changed copies. */
class ReadOptions private constructor(private val values: Builder) {
    /** Where to start; `null` is the beginning. */
    val offset: Offset? = values.offset

    /** How the read goes on once it has caught up. */
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

    /** Headers of every request of the read. */
    val headers: Map<String, String> = values.headers.toMap()

    /** Query parameters of every request of the read. */
    val params: Map<String, String> = values.params.toMap()

    /** The same with another way to go on. */
    fun live(mode: LiveMode): ReadOptions = values.copy().liveMode(mode).build()

    /** The same with a limit of every wait for the server. */
    fun timeout(timeout: Duration): ReadOptions = values.copy().timeout(timeout).build()

    /** The same with the cursor of an earlier live read. */
    fun cursor(cursor: String): ReadOptions = values.copy().cursor(cursor).build()

    /** Collects settings; each method returns the builder. */
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

        /** Where to start; `null` is the beginning. */
        fun offset(offset: Offset?): Builder = apply { this.offset = offset }

        /** How the read goes on once it has caught up; it ends when nothing is said. */
        fun liveMode(mode: LiveMode): Builder = apply { liveMode = mode }

        /** Limit of every wait for the server. */
        fun timeout(timeout: Duration?): Builder = apply { this.timeout = timeout }

        /** Cursor of an earlier live read. */
        fun cursor(cursor: String?): Builder = apply { this.cursor = cursor }

        /** Entity tag of data that the caller holds for the start offset. */
        fun ifNoneMatch(etag: String?): Builder = apply { ifNoneMatch = etag }

        /** Content type, for a live read from [Offset.NOW]. */
        fun contentType(contentType: String?): Builder = apply { this.contentType = contentType }

        /** Bound of one chunk of a byte stream. Units: bytes. */
        fun maxChunkBytes(bytes: Int?): Builder = apply { maxChunkBytes = bytes }

        /** A header of every request of the read. */
        fun header(name: String, value: String): Builder = apply { headers[name] = value }

        /** A query parameter of every request of the read. */
        fun param(name: String, value: String): Builder = apply { params[name] = value }

        /** The settings so far. */
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
        /** Settings to be changed. */
        @JvmStatic
        fun builder(): Builder = Builder()

        /** From the beginning to the tail. */
        @JvmStatic
        fun create(): ReadOptions = Builder().build()

        /** From an offset to the tail. */
        @JvmStatic
        fun from(offset: Offset): ReadOptions = Builder().offset(offset).build()

        /** From the beginning to the tail. */
        @JvmStatic
        fun fromBeginning(): ReadOptions = from(Offset.BEGINNING)

        /** From the tail, wherever it is when the server is asked; best with [live]. */
        @JvmStatic
        fun fromNow(): ReadOptions = from(Offset.NOW)
    }
}
