package com.durablestreams.kotlin

import com.durablestreams.RetryPolicy
import com.durablestreams.ffi.Batching
import com.durablestreams.ffi.ClientSettings
import com.durablestreams.ffi.FfiStream
import com.durablestreams.ffi.NameValue
import com.durablestreams.internal.CoreThreads
import com.durablestreams.internal.JdkTransport
import com.durablestreams.internal.Value
import com.durablestreams.internal.Values
import com.durablestreams.internal.constructing
import kotlinx.serialization.json.Json
import java.net.http.HttpClient
import kotlin.time.Duration
import kotlin.time.DurationUnit
import kotlin.time.toJavaDuration

/** Keeps the blocks of builders apart. */
@DslMarker
annotation class DurableStreamsDsl

/**
 * A client. No I/O. Throws [IllegalArgumentException] naming a setting that cannot be used when a stream is made of it.
 *
 * ```
 * val stream = DurableStreams { header("Authorization") { "Bearer ${tokens.fresh()}" } }.stream(url)
 * ```
 */
fun DurableStreams(block: ClientBuilder.() -> Unit = {}): DurableStreamsClient = ClientBuilder().apply(block).build()

/** Settings of a client; what is not set is the core's own. */
@DurableStreamsDsl
class ClientBuilder internal constructor() {
    private val fixedHeaders = ArrayList<NameValue>()
    private val fixedParams = ArrayList<NameValue>()
    private val headers = LinkedHashMap<String, Value>()
    private val params = LinkedHashMap<String, Value>()
    private var retry: RetryPolicy? = null

    /** URL that relative stream names are joined to. */
    var baseUrl: String? = null

    /** Limit of one exchange. Default: 30 s. */
    var timeout: Duration? = null

    /** Limit of an unanswered long-poll. Default: 65 s. */
    var longPollTimeout: Duration? = null

    /** Limit of the silence of an answer of server-sent events. Default: 90 s. */
    var sseIdleTimeout: Duration? = null

    /** Limit of making a connection. Default: 10 s. */
    var connectTimeout: Duration? = null

    /** The program's own HTTP client instead of the built-in one. It must not follow redirects itself. */
    var transport: HttpClient? = null

    /** How values become JSON and back. */
    var json: Json = Json

    /** A header of every request. */
    fun header(name: String, value: String) {
        fixedHeaders += NameValue(name, value)
    }

    /**
     * A header that is asked for before every HTTP request, retries and reconnects included. What it throws fails the
     * operation, as the cause.
     */
    fun header(name: String, value: suspend () -> String) {
        headers[name] = value
    }

    /** A query parameter of every request. */
    fun param(name: String, value: String) {
        fixedParams += NameValue(name, value)
    }

    /** A query parameter that is asked for before every HTTP request, retries and reconnects included. */
    fun param(name: String, value: suspend () -> String) {
        params[name] = value
    }

    /** How requests are repeated. */
    fun retry(policy: RetryPolicy) {
        retry = policy
    }

    /** How requests are repeated. */
    fun retry(block: RetryBuilder.() -> Unit) {
        retry = RetryBuilder().apply(block).policy()
    }

    internal fun build(): DurableStreamsClient {
        val isDynamic = headers.isNotEmpty() || params.isNotEmpty()
        val settings = ClientSettings(
            baseUrl = baseUrl,
            headers = fixedHeaders.toList(),
            params = fixedParams.toList(),
            provider = if (isDynamic) Values(headers.toMap(), params.toMap()) else null,
            timeoutMs = timeout?.inMilliseconds(),
            longPollTimeoutMs = longPollTimeout?.inMilliseconds(),
            sseIdleTimeoutMs = sseIdleTimeout?.inMilliseconds(),
            connectTimeoutMs = connectTimeout?.inMilliseconds(),
            retry = retry?.settings(),
            transport = transport?.let(::JdkTransport),
        )
        return DurableStreamsClient(settings, json)
    }
}

/** Settings of retries; what is not set is the core's own. */
@DurableStreamsDsl
class RetryBuilder internal constructor() {
    /** How often a request is repeated; 0 sends everything once. Default: 3. */
    var maxRetries: Int? = null

    /** Delay before the first repetition, at most: the real one is random. Default: 100 ms. */
    var initialDelay: Duration? = null

    /** Longest delay. Default: 30 s. */
    var maxDelay: Duration? = null

    /** What the delay grows by; at least 1. Default: 2. */
    var multiplier: Double? = null

    internal fun policy() = RetryPolicy(
        maxRetries,
        initialDelay?.toJavaDuration(),
        maxDelay?.toJavaDuration(),
        multiplier,
    )
}

/**
 * Settings that stream handles share. All clients of a process share one pool of connections, so that [close] has
 * nothing to wait for.
 */
class DurableStreamsClient internal constructor(
    private val settings: ClientSettings,
    internal val json: Json,
) : AutoCloseable {
    init {
        CoreThreads.stay()
    }

    @Volatile
    private var isClosed = false

    /**
     * A handle to one stream; no I/O. [contentType] is what its data is written as; when it is not stated, the first
     * write asks the server. Throws [IllegalArgumentException] naming a setting that cannot be used,
     * [IllegalStateException] when the client is closed.
     */
    fun stream(url: String, contentType: String? = null): StreamHandle {
        check(!isClosed) { "the client is closed" }
        return StreamHandle(this, constructing { FfiStream(settings, url, contentType, Batching.OFF) })
    }

    /** Makes no more handles; those there are go on. */
    override fun close() {
        isClosed = true
    }
}

internal fun Duration.inMilliseconds(): Double = toDouble(DurationUnit.MILLISECONDS)

/** The version of the core. */
val coreVersion: String get() = com.durablestreams.ffi.coreVersion()
