package com.durablestreams

import com.durablestreams.exception.DurableStreamException
import com.durablestreams.exception.ErrorCode
import com.durablestreams.internal.blocking
import com.durablestreams.model.AppendOptions
import com.durablestreams.kotlin.ClientBuilder
import com.durablestreams.kotlin.CreateOptions
import com.durablestreams.kotlin.DurableStreams
import com.durablestreams.kotlin.DurableStreamsClient
import com.durablestreams.kotlin.StreamHandle
import com.durablestreams.model.AppendResult
import com.durablestreams.model.Chunk
import com.durablestreams.model.CloseResult
import com.durablestreams.model.Metadata
import com.durablestreams.model.Offset
import com.durablestreams.model.ReadOptions
import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.SupervisorJob
import kotlinx.coroutines.cancel
import kotlinx.coroutines.cancelChildren
import kotlinx.coroutines.flow.Flow
import kotlinx.coroutines.flow.catch
import kotlinx.coroutines.flow.flow
import kotlinx.coroutines.flow.flowOn
import kotlinx.coroutines.flow.toList
import kotlinx.coroutines.future.future
import kotlinx.coroutines.job
import kotlinx.coroutines.runInterruptible
import kotlinx.coroutines.withTimeoutOrNull
import java.io.IOException
import java.io.InputStream
import java.net.http.HttpClient
import java.time.Duration
import java.time.Instant
import java.util.concurrent.CompletableFuture
import java.util.function.Supplier
import kotlin.time.toKotlinDuration
import kotlin.time.toKotlinInstant

/**
 * A client for Java: each call takes the stream's URL and waits, or gives a future with `Async` in its name. Thread safe.
 *
 * Calls throw a [com.durablestreams.exception.DurableStreamException], which is unchecked; futures fail with it, and
 * cancelling a future cancels the request. An interrupt ends a wait: the thread stays interrupted, and the exception's
 * cause is the `InterruptedException`.
 */
class DurableStream private constructor(private val client: DurableStreamsClient) : AutoCloseable {
    private val scope = CoroutineScope(SupervisorJob() + Dispatchers.Default)

    /** Handles know their stream's content type; the least recently used is forgotten. */
    private val handles = object : LinkedHashMap<String, StreamHandle>(16, 0.75f, true) {
        override fun removeEldestEntry(eldest: MutableMap.MutableEntry<String, StreamHandle>) = size > MOST_HANDLES
    }

    /**
     * Creates a stream; the same settings on a stream that exists are success. `ttl` is the sliding time to live,
     * `expiresAt` a fixed deadline; they exclude each other. `data` is the first message.
     * Throws [com.durablestreams.exception.StreamExistsException] for one with other settings.
     */
    @JvmOverloads
    fun create(
        url: String,
        contentType: String? = DEFAULT_CONTENT_TYPE,
        ttl: Duration? = null,
        expiresAt: Instant? = null,
        closed: Boolean = false,
        data: ByteArray? = null,
    ) = blocking { createNow(url, contentType, ttl, expiresAt, closed, data) }

    /** [create] without waiting here. */
    @JvmOverloads
    fun createAsync(
        url: String,
        contentType: String? = DEFAULT_CONTENT_TYPE,
        ttl: Duration? = null,
        expiresAt: Instant? = null,
        closed: Boolean = false,
        data: ByteArray? = null,
    ): CompletableFuture<Void?> = scope.future {
        createNow(url, contentType, ttl, expiresAt, closed, data)
        null
    }

    private suspend fun createNow(
        url: String,
        contentType: String?,
        ttl: Duration?,
        expiresAt: Instant?,
        closed: Boolean,
        data: ByteArray?,
    ) {
        handle(url).create(contentType, ttl?.toKotlinDuration(), expiresAt?.toKotlinInstant(), closed, data)
    }

    /**
     * Creates a stream that begins with the data of `source`, up to `at` or its tail. `source` is a URL on the same
     * server. Throws [com.durablestreams.exception.StreamNotFoundException] when that is not there.
     */
    @JvmOverloads
    fun fork(url: String, source: String, at: Offset? = null) = blocking { forkNow(url, source, at) }

    /** [fork] without waiting here. */
    @JvmOverloads
    fun forkAsync(url: String, source: String, at: Offset? = null): CompletableFuture<Void?> = scope.future {
        forkNow(url, source, at)
        null
    }

    private suspend fun forkNow(url: String, source: String, at: Offset?) {
        handle(url).create(CreateOptions(forkFrom = source, forkOffset = at))
    }

    /**
     * Appends the bytes as they are and returns when they are stored; on a JSON stream a top-level array becomes several
     * messages. Throws [com.durablestreams.exception.StreamNotFoundException],
     * [com.durablestreams.exception.StreamClosedException],
     * [com.durablestreams.exception.SequenceConflictException].
     */
    @JvmOverloads
    fun append(url: String, data: ByteArray, options: AppendOptions = AppendOptions()): AppendResult =
        blocking { handle(url).append(data, options) }

    /** [append] without waiting here. */
    @JvmOverloads
    fun appendAsync(
        url: String,
        data: ByteArray,
        options: AppendOptions = AppendOptions(),
    ): CompletableFuture<AppendResult> = scope.future { handle(url).append(data, options) }

    /**
     * Appends what comes out of `data`, as it is: stored whole when that ends, or not at all. Sent once, never repeated.
     * The caller closes `data`. An exception of it is the cause of the one thrown.
     */
    @JvmOverloads
    fun append(url: String, data: InputStream, options: AppendOptions = AppendOptions()): AppendResult =
        blocking { handle(url).append(pieces(data), options) }

    /** The same without waiting here; `data` is read on another thread. */
    @JvmOverloads
    fun appendAsync(
        url: String,
        data: InputStream,
        options: AppendOptions = AppendOptions(),
    ): CompletableFuture<AppendResult> = scope.future { handle(url).append(pieces(data), options) }

    private fun pieces(data: InputStream): Flow<ByteArray> = flow {
        val buffer = ByteArray(PIECE_BYTES)
        while (true) {
            val length = data.read(buffer)
            if (length < 0) break
            if (length > 0) emit(buffer.copyOf(length))
        }
    }.catch { failed ->
        if (failed !is IOException) throw failed
        throw DurableStreamException("the data cannot be read: $failed", ErrorCode.INVALID_ARGUMENT, failed)
    }.flowOn(Dispatchers.IO)

    /**
     * What the server tells about the stream.
     * Throws [com.durablestreams.exception.StreamNotFoundException].
     */
    fun head(url: String): Metadata = blocking { handle(url).head() }

    /** [head] without waiting here. */
    fun headAsync(url: String): CompletableFuture<Metadata> = scope.future { handle(url).head() }

    /** Deletes the stream with all its data. Throws [com.durablestreams.exception.StreamNotFoundException]. */
    fun delete(url: String) = blocking { deleteNow(url) }

    /** [delete] without waiting here. */
    fun deleteAsync(url: String): CompletableFuture<Void?> = scope.future {
        deleteNow(url)
        null
    }

    private suspend fun deleteNow(url: String) {
        handle(url).delete()
        // What comes to this URL next may be of another type.
        synchronized(handles) { handles.remove(url) }
    }

    /** Ends the stream for everyone. Repeating is success. */
    fun closeStream(url: String): CloseResult = blocking { handle(url).closeStream() }

    /**
     * Ends the stream for everyone with a last message, if `data` is not `null`.
     * Throws [com.durablestreams.exception.StreamClosedException] when it was closed without that.
     */
    fun closeStream(url: String, data: ByteArray?, contentType: String?): CloseResult =
        blocking { handle(url).closeStream(data, contentType) }

    /** The same as [closeStream]: it ends the stream, not this client. */
    fun close(url: String): CloseResult = closeStream(url)

    /** The same as [closeStream] with these arguments: it ends the stream, not this client. */
    fun close(url: String, data: ByteArray?, contentType: String?): CloseResult = closeStream(url, data, contentType)

    /** [closeStream] without waiting here. */
    @JvmOverloads
    fun closeAsync(url: String, data: ByteArray? = null, contentType: String? = null): CompletableFuture<CloseResult> =
        scope.future { handle(url).closeStream(data, contentType) }

    /** The stream in pieces. No I/O before the first is asked for. */
    @JvmOverloads
    fun read(url: String, options: ReadOptions = ReadOptions.create()): ChunkIterator =
        ChunkIterator(handle(url).open(options))

    /** Reads until the end of the read; cancelling the future aborts the request. */
    @JvmOverloads
    fun readAsync(url: String, options: ReadOptions = ReadOptions.create()): CompletableFuture<List<Chunk>> =
        scope.future { handle(url).read(options).toList() }

    /** The messages of a JSON stream; `parser` gets the text of a JSON array (a `Function` goes as `f::apply`). */
    @JvmOverloads
    fun <T> readJson(
        url: String,
        parser: JsonParser<T>,
        options: ReadOptions = ReadOptions.create(),
    ): JsonIterator<T> = JsonIterator(read(url, options), parser)

    /** An exactly-once writer under this id. No I/O. */
    @JvmOverloads
    fun producer(
        url: String,
        id: String,
        config: IdempotentProducer.Config = IdempotentProducer.Config.defaults(),
    ): IdempotentProducer {
        val failures = IdempotentProducer.Failures()
        val producer = handle(url).producer(id) {
            // First, so that whoever is told can flush and see it.
            onError(failures::add)
            config.applyTo(this)
        }
        return IdempotentProducer(producer, scope, failures)
    }

    /** The same client for Kotlin. */
    fun asKotlin(): DurableStreamsClient = client

    /** Lets go of this client: waits up to 5 s for what is under way, then cancels it. No stream is ended. */
    override fun close() {
        blocking {
            withTimeoutOrNull(GRACE_MS) { scope.coroutineContext.job.children.forEach { it.join() } }
        }
        scope.coroutineContext.cancelChildren()
        scope.cancel()
        client.close()
    }

    private fun handle(url: String): StreamHandle =
        synchronized(handles) { handles.getOrPut(url) { client.stream(url) } }

    /** Collects settings; each method returns the builder. */
    class Builder internal constructor() {
        private val settings = ArrayList<ClientBuilder.() -> Unit>()

        /** The program's own HTTP client instead of the built-in one. It must not follow redirects itself. */
        fun httpClient(client: HttpClient): Builder = set { transport = client }

        /** How requests are repeated. */
        fun retryPolicy(policy: RetryPolicy): Builder = set { retry(policy) }

        /** A header of every request. */
        fun header(name: String, value: String): Builder = set { header(name, value) }

        /**
         * A header that is asked for before every HTTP request, on a thread that may wait. What it throws fails the call,
         * as the cause.
         */
        fun header(name: String, value: Supplier<String>): Builder = set { header(name) { evaluated(value) } }

        /** A query parameter of every request. */
        fun param(name: String, value: String): Builder = set { param(name, value) }

        /** A query parameter that is asked for before every HTTP request, on a thread that may wait. */
        fun param(name: String, value: Supplier<String>): Builder = set { param(name) { evaluated(value) } }

        /** URL that relative stream names are joined to. */
        fun baseUrl(url: String): Builder = set { baseUrl = url }

        /** Limit of one exchange. Default: 30 s. */
        fun timeout(timeout: Duration): Builder = set { this.timeout = timeout.toKotlinDuration() }

        /** Limit of an unanswered long-poll. Default: 65 s. */
        fun longPollTimeout(timeout: Duration): Builder = set { longPollTimeout = timeout.toKotlinDuration() }

        /** Limit of the silence of an answer of server-sent events. Default: 90 s. */
        fun sseIdleTimeout(timeout: Duration): Builder = set { sseIdleTimeout = timeout.toKotlinDuration() }

        /** Limit of making a connection. Default: 10 s. */
        fun connectTimeout(timeout: Duration): Builder = set { connectTimeout = timeout.toKotlinDuration() }

        /** The client. Throws [IllegalArgumentException] naming a setting that cannot be used. */
        fun build(): DurableStream =
            // The core knows the rules; a handle is made without I/O.
            DurableStream(DurableStreams { settings.forEach { it(this) } }.also { it.stream(NOWHERE) })

        private fun set(setting: ClientBuilder.() -> Unit): Builder = apply { settings += setting }

        private suspend fun evaluated(value: Supplier<String>): String =
            runInterruptible(Dispatchers.IO) { value.get() }
    }

    companion object {
        private const val DEFAULT_CONTENT_TYPE = "application/octet-stream"
        private const val MOST_HANDLES = 1_000
        private const val GRACE_MS = 5_000L
        private const val PIECE_BYTES = 64 * 1024

        /** A client with the core's own settings. */
        @JvmStatic
        fun create(): DurableStream = Builder().build()

        /** Settings to be changed. */
        @JvmStatic
        fun builder(): Builder = Builder()

        /** The same client for Java. */
        @JvmStatic
        fun of(client: DurableStreamsClient): DurableStream = DurableStream(client)
    }
}
