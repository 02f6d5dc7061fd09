package com.durablestreams

import com.durablestreams.internal.blocking
import com.durablestreams.kotlin.ClientBuilder
import com.durablestreams.kotlin.DurableStreamsClient
import com.durablestreams.kotlin.StreamHandle
import com.durablestreams.model.AppendResult
import com.durablestreams.model.Chunk
import com.durablestreams.model.CloseResult
import com.durablestreams.model.Metadata
import com.durablestreams.model.ReadOptions
import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.SupervisorJob
import kotlinx.coroutines.cancel
import kotlinx.coroutines.cancelChildren
import kotlinx.coroutines.flow.toList
import kotlinx.coroutines.future.future
import kotlinx.coroutines.job
import kotlinx.coroutines.runInterruptible
import kotlinx.coroutines.withTimeoutOrNull
import java.net.http.HttpClient
import java.time.Duration
import java.time.Instant
import java.util.concurrent.CompletableFuture
import java.util.function.Supplier
import kotlin.time.toKotlinDuration
import kotlin.time.toKotlinInstant

/** A client for Java: each call takes the stream's URL and waits, or gives a future with `Async` in its name. */
class DurableStream private constructor(private val client: DurableStreamsClient) : AutoCloseable {
    private val scope = CoroutineScope(SupervisorJob() + Dispatchers.Default)

    /** Handles know their stream's content type; the least recently used is forgotten. */
    private val handles = object : LinkedHashMap<String, StreamHandle>(16, 0.75f, true) {
        override fun removeEldestEntry(eldest: MutableMap.MutableEntry<String, StreamHandle>) = size > MOST_HANDLES
    }

    /** Creates a stream; the same settings on a stream that exists are success. */
    @JvmOverloads
    fun create(
        url: String,
        contentType: String? = DEFAULT_CONTENT_TYPE,
        ttl: Duration? = null,
        expiresAt: Instant? = null,
        closed: Boolean = false,
        data: ByteArray? = null,
    ) = blocking { createNow(url, contentType, ttl, expiresAt, closed, data) }

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

    /** Appends the bytes as they are; on a JSON stream a top-level array becomes several messages. */
    fun append(url: String, data: ByteArray): AppendResult = blocking { handle(url).append(data) }

    /** Cancelling the future cancels the request. */
    fun appendAsync(url: String, data: ByteArray): CompletableFuture<AppendResult> =
        scope.future { handle(url).append(data) }

    fun head(url: String): Metadata = blocking { handle(url).head() }

    fun headAsync(url: String): CompletableFuture<Metadata> = scope.future { handle(url).head() }

    /** Deletes the stream with all its data. */
    fun delete(url: String) = blocking { deleteNow(url) }

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

    /** Ends the stream for everyone with a last message. */
    fun closeStream(url: String, data: ByteArray?, contentType: String?): CloseResult =
        blocking { handle(url).closeStream(data, contentType) }

    /** The same as [closeStream]: it ends the stream, not this client. */
    fun close(url: String): CloseResult = closeStream(url)

    fun close(url: String, data: ByteArray?, contentType: String?): CloseResult = closeStream(url, data, contentType)

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
    ): IdempotentProducer = IdempotentProducer(handle(url).producer(id, config::applyTo), scope)

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

    class Builder internal constructor() {
        private val settings = ArrayList<ClientBuilder.() -> Unit>()

        /** The program's own HTTP client instead of the built-in one. It must not follow redirects itself. */
        fun httpClient(client: HttpClient): Builder = set { transport = client }

        fun retryPolicy(policy: RetryPolicy): Builder = set { retry(policy) }

        fun header(name: String, value: String): Builder = set { header(name, value) }

        /** Asked before every HTTP request, on a thread that may wait. */
        fun header(name: String, value: Supplier<String>): Builder = set { header(name) { evaluated(value) } }

        fun param(name: String, value: String): Builder = set { param(name, value) }

        /** Asked before every HTTP request, on a thread that may wait. */
        fun param(name: String, value: Supplier<String>): Builder = set { param(name) { evaluated(value) } }

        fun baseUrl(url: String): Builder = set { baseUrl = url }

        fun timeout(timeout: Duration): Builder = set { this.timeout = timeout.toKotlinDuration() }

        fun longPollTimeout(timeout: Duration): Builder = set { longPollTimeout = timeout.toKotlinDuration() }

        fun connectTimeout(timeout: Duration): Builder = set { connectTimeout = timeout.toKotlinDuration() }

        fun build(): DurableStream =
            DurableStream(com.durablestreams.kotlin.DurableStreams { settings.forEach { it(this) } })

        private fun set(setting: ClientBuilder.() -> Unit): Builder = apply { settings += setting }

        private suspend fun evaluated(value: Supplier<String>): String =
            runInterruptible(Dispatchers.IO) { value.get() }
    }

    companion object {
        private const val DEFAULT_CONTENT_TYPE = "application/octet-stream"
        private const val MOST_HANDLES = 1_000
        private const val GRACE_MS = 5_000L

        @JvmStatic
        fun create(): DurableStream = Builder().build()

        @JvmStatic
        fun builder(): Builder = Builder()

        /** The same client for Java. */
        @JvmStatic
        fun of(client: DurableStreamsClient): DurableStream = DurableStream(client)
    }
}
