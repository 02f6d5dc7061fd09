package com.durablestreams.kotlin

import com.durablestreams.exception.ParseErrorException
import com.durablestreams.exception.ErrorCode
import com.durablestreams.exception.ErrorFacts
import com.durablestreams.ffi.AppendSettings
import com.durablestreams.ffi.Appended
import com.durablestreams.ffi.BodySource
import com.durablestreams.ffi.CreateSettings
import com.durablestreams.ffi.FfiReader
import com.durablestreams.ffi.FfiStream
import com.durablestreams.ffi.MessageKind
import com.durablestreams.internal.Raised
import com.durablestreams.internal.asPairs
import com.durablestreams.internal.constructing
import com.durablestreams.internal.core
import com.durablestreams.internal.forResults
import com.durablestreams.model.AppendOptions
import com.durablestreams.model.AppendResult
import com.durablestreams.model.Chunk
import com.durablestreams.model.CloseResult
import com.durablestreams.model.CreateResult
import com.durablestreams.model.JsonBatch
import com.durablestreams.model.LiveMode
import com.durablestreams.model.Metadata
import com.durablestreams.model.Offset
import com.durablestreams.model.ReadOptions
import kotlinx.coroutines.channels.Channel
import kotlinx.coroutines.channels.ReceiveChannel
import kotlinx.coroutines.coroutineScope
import kotlinx.coroutines.flow.Flow
import kotlinx.coroutines.flow.buffer
import kotlinx.coroutines.flow.flow
import kotlinx.coroutines.flow.map
import kotlinx.coroutines.flow.produceIn
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
    /** Content type. Default: the handle's; else a fork inherits its source's, and others hold bytes. */
    val contentType: String? = null,
    /** Sliding time to live, in whole seconds: a fraction counts as a further second. Excludes [expiresAt]. */
    val ttl: Duration? = null,
    /** Fixed deadline. */
    val expiresAt: Instant? = null,
    /** Creates the stream closed. */
    val closed: Boolean = false,
    /** First data; on a JSON stream one message. */
    val data: ByteArray? = null,
    /** Source of a fork: its URL on the same server, its path there, or with a base URL its name below that. */
    val forkFrom: String? = null,
    /** Where the fork diverges. */
    val forkOffset: Offset? = null,
    /** How far into the unit at [forkOffset]. Units: bytes or messages. */
    val forkSubOffset: Long? = null,
    /** Headers of this request. */
    val headers: Map<String, String> = emptyMap(),
)

/**
 * A handle to one stream. Cheap; safe to share between coroutines.
 *
 * Operations throw a [com.durablestreams.exception.DurableStreamException]; which one is told where it is not plain.
 * They end at once when their coroutine is cancelled, and the request with them.
 */
class StreamHandle internal constructor(
    @PublishedApi internal val client: DurableStreamsClient,
    internal val ffi: FfiStream,
) {
    /** The stream's URL, without credentials. */
    val url: String get() = ffi.url()

    /** The content type, if it was stated or learned. */
    val contentType: String? get() = ffi.contentType()

    /**
     * Creates the stream; the same settings on a stream that exists are success.
     * Throws [com.durablestreams.exception.StreamExistsException] for one with other settings.
     */
    suspend fun create(
        contentType: String? = null,
        ttl: Duration? = null,
        expiresAt: Instant? = null,
        closed: Boolean = false,
        data: ByteArray? = null,
    ): CreateResult = create(CreateOptions(contentType, ttl, expiresAt, closed, data))

    /**
     * Creates the stream, as a fork if the options say so; the same settings on a stream that exists are success.
     * Throws [com.durablestreams.exception.StreamExistsException] for one with other settings,
     * [com.durablestreams.exception.StreamNotFoundException] for a fork's source that is not there.
     */
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
            told = created.told.forResults(),
        )
    }

    /**
     * Appends the bytes as they are and returns when they are stored; on a JSON stream a top-level array becomes several
     * messages. Repeated after answers that say nothing was stored, not after a broken connection: a [producer] is.
     * Throws [com.durablestreams.exception.StreamNotFoundException],
     * [com.durablestreams.exception.StreamClosedException],
     * [com.durablestreams.exception.SequenceConflictException].
     */
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

    private suspend fun append(data: ByteArray, kind: MessageKind, options: AppendOptions): AppendResult =
        core { ffi.append(data, kind, options.settings(), null) }.asResult()

    /**
     * Appends data that is still being made, as it is: stored whole when the flow ends, or not at all. Sent once, never
     * repeated, and [AppendOptions.producer] is not used. What the flow throws comes out as it is.
     */
    suspend fun append(pieces: Flow<ByteArray>, options: AppendOptions = AppendOptions()): AppendResult = coroutineScope {
        // The next piece is made while the one before is sent, and no further.
        val source = pieces.buffer(Channel.RENDEZVOUS).produceIn(this)
        try {
            core { ffi.appendStreaming(Pieces(source), options.settings(), null) }.asResult()
        } finally {
            source.cancel()
        }
    }

    private fun AppendOptions.settings() = AppendSettings(
        seq = seq,
        ifMatch = ifMatch,
        contentType = contentType,
        producerId = producer?.id,
        producerEpoch = producer?.epoch?.toULong() ?: 0u,
        producerSeq = producer?.seq?.toULong() ?: 0u,
        headers = headers.asPairs(),
    )

    private fun Appended.asResult() = AppendResult(
        nextOffset = nextOffset?.let(::Offset),
        etag = Optional.ofNullable(etag),
        isDuplicate = duplicate,
        isStreamClosed = closed,
        producerEpoch = producerEpoch?.toLong(),
        producerSeq = producerSeq?.toLong(),
        told = told.forResults(),
    )

    /**
     * What the server tells about the stream.
     * Throws [com.durablestreams.exception.StreamNotFoundException], [com.durablestreams.exception.OffsetGoneException].
     */
    suspend fun head(): Metadata {
        val head = core { ffi.head(null) }
        return Metadata(
            contentType = head.contentType,
            nextOffset = Offset(head.offset),
            ttl = Optional.ofNullable(head.ttlSeconds?.let { java.time.Duration.ofSeconds(it.toLong()) }),
            expiresAt = Optional.ofNullable(head.expiresAt?.let(java.time.OffsetDateTime::parse)?.toInstant()),
            etag = Optional.ofNullable(head.etag),
            cacheControl = Optional.ofNullable(head.cacheControl),
            isStreamClosed = head.closed,
            told = head.told.forResults(),
        )
    }

    /**
     * Deletes the stream with all its data.
     * Throws [com.durablestreams.exception.StreamNotFoundException].
     */
    suspend fun delete() {
        core { ffi.deleteStream(null) }
    }

    /**
     * Ends the stream for everyone, with a last message if there is one. Repeating without one is success; with one it
     * throws [com.durablestreams.exception.StreamClosedException].
     */
    suspend fun closeStream(data: ByteArray? = null, contentType: String? = null): CloseResult {
        val closed = core { ffi.closeStream(data, MessageKind.TEXT, contentType, null) }
        return CloseResult(closed.finalOffset?.let(::Offset), closed.told.forResults())
    }

    /**
     * The stream in pieces. Cold: each collector reads anew, a piece is asked for when the one before was taken, and
     * cancelling the collector aborts the request. A live read also emits empty pieces, which tell that it is up to
     * date, and ends when the stream is closed.
     */
    fun read(from: Offset = Offset.BEGINNING, live: LiveMode = LiveMode.OFF): Flow<Chunk> =
        read(ReadOptions.from(from).live(live))

    /** The stream in pieces, with every setting there is. */
    fun read(options: ReadOptions): Flow<Chunk> = flow {
        open(options).use { reader ->
            while (true) emit(reader.next() ?: break)
        }
    }

    /**
     * A read whose pieces the program asks for itself. To be closed. No I/O.
     * Throws [IllegalArgumentException] naming a setting that cannot be used.
     */
    fun open(options: ReadOptions = ReadOptions.create()): Reader = Reader(this, options)

    /**
     * The messages of a JSON stream. Cold and pulled, as [read].
     * Throws [com.durablestreams.exception.ParseErrorException] for a message that is no `T`.
     */
    inline fun <reified T> readJson(from: Offset = Offset.BEGINNING, live: LiveMode = LiveMode.OFF): Flow<T> =
        readJson(serializer<T>(), ReadOptions.from(from).live(live))

    /** The messages of a JSON stream, with every setting there is. */
    fun <T> readJson(serializer: KSerializer<T>, options: ReadOptions): Flow<T> =
        readJsonBatches(serializer, options).transform { batch -> for (item in batch.items) emit(item) }

    /** The messages of a JSON stream as they arrived together, with where to resume. */
    inline fun <reified T> readJsonBatches(
        from: Offset = Offset.BEGINNING,
        live: LiveMode = LiveMode.OFF,
    ): Flow<JsonBatch<T>> = readJsonBatches(serializer<T>(), ReadOptions.from(from).live(live))

    /** The messages of a JSON stream as they arrived together, with every setting there is. */
    fun <T> readJsonBatches(serializer: KSerializer<T>, options: ReadOptions): Flow<JsonBatch<T>> {
        val list = ListSerializer(serializer)
        return read(options).map { chunk ->
            chunk.parsed { client.json.decodeFromString(list, it) }
        }
    }

    /**
     * An exactly-once writer under this id. To be detached, best with [Producer.use]. No I/O.
     * Throws [IllegalArgumentException] naming a setting that cannot be used.
     */
    fun producer(id: String, block: ProducerBuilder.() -> Unit = {}): Producer =
        ProducerBuilder(id).apply(block).build(this)
}

/** The data of an append, as the core asks for it. */
private class Pieces(private val source: ReceiveChannel<ByteArray>) : BodySource {
    override suspend fun piece(): ByteArray? = Raised.keeping {
        val next = source.receiveCatching()
        next.exceptionOrNull()?.let { throw it }
        next.getOrNull()
    }
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
