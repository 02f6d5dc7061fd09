package com.durablestreams.kotlin

import com.durablestreams.exception.ParseErrorException
import com.durablestreams.exception.ErrorCode
import com.durablestreams.exception.ErrorFacts
import com.durablestreams.ffi.AppendSettings
import com.durablestreams.ffi.CreateSettings
import com.durablestreams.ffi.FfiReader
import com.durablestreams.ffi.FfiStream
import com.durablestreams.ffi.MessageKind
import com.durablestreams.internal.asMap
import com.durablestreams.internal.asPairs
import com.durablestreams.internal.constructing
import com.durablestreams.internal.core
import com.durablestreams.model.AppendResult
import com.durablestreams.model.Chunk
import com.durablestreams.model.CloseResult
import com.durablestreams.model.CreateResult
import com.durablestreams.model.JsonBatch
import com.durablestreams.model.LiveMode
import com.durablestreams.model.Metadata
import com.durablestreams.model.Offset
import com.durablestreams.model.ReadOptions
import kotlinx.coroutines.flow.Flow
import kotlinx.coroutines.flow.flow
import kotlinx.coroutines.flow.map
import kotlinx.coroutines.flow.transform
import kotlinx.serialization.KSerializer
import kotlinx.serialization.SerializationException
import kotlinx.serialization.builtins.ListSerializer
import kotlinx.serialization.serializer
import java.util.Optional
import kotlin.time.Duration
import kotlin.time.DurationUnit
import kotlin.time.Instant

/** A stream to create; what is not set is not sent. */
data class CreateOptions(
    val contentType: String? = null,
    /** Sliding time to live. */
    val ttl: Duration? = null,
    /** Fixed deadline. */
    val expiresAt: Instant? = null,
    /** Creates the stream closed. */
    val closed: Boolean = false,
    /** First data; on a JSON stream one message. */
    val data: ByteArray? = null,
    /** Source of a fork: its path on the same server. */
    val forkFrom: String? = null,
    /** Where the fork diverges. */
    val forkOffset: Offset? = null,
    /** How far into the unit at [forkOffset]. Units: bytes or messages. */
    val forkSubOffset: Long? = null,
    val headers: Map<String, String> = emptyMap(),
)

/** Who writes, for an append whose numbers the program counts itself. */
data class ProducerClaim(val id: String, val epoch: Long, val seq: Long)

/** Settings of an append. */
data class AppendOptions(
    /** Writer coordination token. */
    val seq: String? = null,
    /** Only if the stream still has this entity tag. */
    val ifMatch: String? = null,
    /** Content type of the data, instead of the handle's. */
    val contentType: String? = null,
    val producer: ProducerClaim? = null,
    val headers: Map<String, String> = emptyMap(),
)

/** A handle to one stream. Cheap; safe to share between coroutines. */
class StreamHandle internal constructor(
    @PublishedApi internal val client: DurableStreamsClient,
    internal val ffi: FfiStream,
) {
    /** The stream's URL, without credentials. */
    val url: String get() = ffi.url()

    /** The content type, if it was stated or learned. */
    val contentType: String? get() = ffi.contentType()

    /** Creates the stream; the same settings on a stream that exists are success. */
    suspend fun create(
        contentType: String? = null,
        ttl: Duration? = null,
        expiresAt: Instant? = null,
        closed: Boolean = false,
        data: ByteArray? = null,
    ): CreateResult = create(CreateOptions(contentType, ttl, expiresAt, closed, data))

    suspend fun create(options: CreateOptions): CreateResult {
        val settings = CreateSettings(
            contentType = options.contentType,
            ttlSeconds = options.ttl?.toDouble(DurationUnit.SECONDS),
            expiresAt = options.expiresAt?.toString(),
            body = options.data,
            closed = options.closed,
            forkFrom = options.forkFrom,
            forkOffset = options.forkOffset?.value,
            forkSubOffset = options.forkSubOffset?.toULong(),
            headers = options.headers.asPairs(),
        )
        val created = core { ffi.create(settings, null) }
        return CreateResult(
            isNew = created.isNew,
            contentType = created.contentType,
            nextOffset = created.nextOffset?.let(::Offset),
            isStreamClosed = created.closed,
            statusCode = created.told.status.toInt(),
            headers = created.told.headers.asMap(),
        )
    }

    /** Appends the bytes as they are; on a JSON stream a top-level array becomes several messages. */
    suspend fun append(data: ByteArray, options: AppendOptions = AppendOptions()): AppendResult =
        append(data, MessageKind.BODY, options)

    /** Appends the text as it is; on a JSON stream a top-level array becomes several messages. */
    suspend fun append(text: String, options: AppendOptions = AppendOptions()): AppendResult =
        append(text.encodeToByteArray(), MessageKind.BODY, options)

    /** Appends one message: the bytes, or on a JSON stream one JSON value, an array included. */
    suspend fun appendMessage(data: ByteArray, options: AppendOptions = AppendOptions()): AppendResult =
        append(data, MessageKind.TEXT, options)

    /** Appends one message: the value as JSON. */
    suspend inline fun <reified T> appendJson(value: T, options: AppendOptions = AppendOptions()): AppendResult =
        appendJson(serializer<T>(), value, options)

    /** Appends one message: the value as JSON. */
    suspend fun <T> appendJson(
        serializer: KSerializer<T>,
        value: T,
        options: AppendOptions = AppendOptions(),
    ): AppendResult =
        append(client.json.encodeToString(serializer, value).encodeToByteArray(), MessageKind.VALUE, options)

    private suspend fun append(data: ByteArray, kind: MessageKind, options: AppendOptions): AppendResult {
        val settings = AppendSettings(
            seq = options.seq,
            ifMatch = options.ifMatch,
            contentType = options.contentType,
            producerId = options.producer?.id,
            producerEpoch = options.producer?.epoch?.toULong() ?: 0u,
            producerSeq = options.producer?.seq?.toULong() ?: 0u,
            headers = options.headers.asPairs(),
        )
        val appended = core { ffi.append(data, kind, settings, null) }
        return AppendResult(
            nextOffset = appended.nextOffset?.let(::Offset),
            etag = Optional.ofNullable(appended.etag),
            isDuplicate = appended.duplicate,
            producerEpoch = appended.producerEpoch?.toLong(),
            producerSeq = appended.producerSeq?.toLong(),
            statusCode = appended.told.status.toInt(),
            headers = appended.told.headers.asMap(),
        )
    }

    /** What the server tells about the stream. */
    suspend fun head(): Metadata {
        val head = core { ffi.head(null) }
        return Metadata(
            contentType = head.contentType,
            nextOffset = Offset(head.offset),
            ttl = Optional.ofNullable(head.ttlSeconds?.let { java.time.Duration.ofSeconds(it.toLong()) }),
            expiresAt = Optional.ofNullable(head.expiresAt?.let(java.time.OffsetDateTime::parse)?.toInstant()),
            etag = Optional.ofNullable(head.etag),
            isStreamClosed = head.closed,
            statusCode = head.told.status.toInt(),
            headers = head.told.headers.asMap(),
        )
    }

    /** Deletes the stream with all its data. */
    suspend fun delete() {
        core { ffi.deleteStream(null) }
    }

    /** Ends the stream for everyone, with a last message if there is one. Repeating without one is success. */
    suspend fun closeStream(data: ByteArray? = null, contentType: String? = null): CloseResult {
        val closed = core { ffi.closeStream(data, MessageKind.TEXT, contentType, null) }
        return CloseResult(closed.finalOffset?.let(::Offset))
    }

    /**
     * The stream in pieces. Cold: each collector reads anew, a piece is asked for when the one before was taken, and
     * cancelling the collector aborts the request. A live read also emits empty pieces, which tell that it is up to
     * date, and ends when the stream is closed.
     */
    fun read(from: Offset = Offset.BEGINNING, live: LiveMode = LiveMode.OFF): Flow<Chunk> =
        read(ReadOptions.from(from).live(live))

    fun read(options: ReadOptions): Flow<Chunk> = flow {
        open(options).use { reader ->
            while (true) emit(reader.next() ?: break)
        }
    }

    /** A read whose pieces the program asks for itself. To be closed. */
    fun open(options: ReadOptions = ReadOptions.create()): Reader = Reader(this, options)

    /** The messages of a JSON stream. */
    inline fun <reified T> readJson(from: Offset = Offset.BEGINNING, live: LiveMode = LiveMode.OFF): Flow<T> =
        readJson(serializer<T>(), ReadOptions.from(from).live(live))

    fun <T> readJson(serializer: KSerializer<T>, options: ReadOptions): Flow<T> =
        readJsonBatches(serializer, options).transform { batch -> for (item in batch.items) emit(item) }

    /** The messages of a JSON stream as they arrived together, with where to resume. */
    inline fun <reified T> readJsonBatches(
        from: Offset = Offset.BEGINNING,
        live: LiveMode = LiveMode.OFF,
    ): Flow<JsonBatch<T>> = readJsonBatches(serializer<T>(), ReadOptions.from(from).live(live))

    fun <T> readJsonBatches(serializer: KSerializer<T>, options: ReadOptions): Flow<JsonBatch<T>> {
        val list = ListSerializer(serializer)
        return read(options).map { chunk ->
            chunk.parsed { client.json.decodeFromString(list, it) }
        }
    }

    /** An exactly-once writer under this id. To be detached, best with [Producer.use]. No I/O. */
    fun producer(id: String, block: ProducerBuilder.() -> Unit = {}): Producer =
        ProducerBuilder(id).apply(block).build(this)
}

/** Parses a piece of a JSON stream. */
internal inline fun <T> Chunk.parsed(parse: (String) -> List<T>): JsonBatch<T> {
    val items = if (isEmpty) {
        emptyList()
    } else {
        val facts = ErrorFacts(offset = nextOffset.value)
        if (!isJson) throw ParseErrorException("the stream is not JSON", ErrorCode.PARSE_ERROR, null, facts)
        try {
            parse(dataAsString)
        } catch (failed: SerializationException) {
            throw ParseErrorException("a message does not fit: ${failed.message}", ErrorCode.PARSE_ERROR, failed, facts)
        }
    }
    return JsonBatch(items, nextOffset, isUpToDate, isStreamClosed, cursor)
}

internal fun StreamHandle.reader(options: ReadOptions): FfiReader = constructing { FfiReader(ffi, options.settings()) }
