package com.durablestreams

import com.durablestreams.ffi.Batching
import com.durablestreams.ffi.ClientSettings
import com.durablestreams.ffi.FfiStream
import com.durablestreams.ffi.RetrySettings
import com.durablestreams.ffi.isTransientStatus
import com.durablestreams.internal.constructing
import java.time.Duration
import kotlin.math.pow

/** How requests are repeated: exponential backoff with jitter. What is not set is the core's own. */
open class RetryPolicy @JvmOverloads constructor(
    /** How often a request is repeated. */
    val maxRetries: Int? = null,
    /** Delay before the first repetition, at most: the real one is random. */
    val initialDelay: Duration? = null,
    /** Longest delay. */
    val maxDelay: Duration? = null,
    /** What the delay grows by. */
    val multiplier: Double? = null,
) {
    /**
     * Whether a request is repeated after this status, when so many repetitions went before. The core's own table of
     * statuses; an append that is not a producer's is never repeated after a connection that broke.
     */
    fun shouldRetry(status: Int, attempt: Int): Boolean =
        attempt < (maxRetries ?: DEFAULTS.maxRetries!!) && isTransientStatus(status.toUShort())

    /** The longest delay before a repetition, when so many went before; the real one is random below it. */
    fun getDelay(attempt: Int): Duration {
        val first = (initialDelay ?: DEFAULTS.initialDelay!!).inMilliseconds()
        val longest = (maxDelay ?: DEFAULTS.maxDelay!!).inMilliseconds()
        val grown = first * (multiplier ?: DEFAULTS.multiplier!!).pow(attempt)
        return Duration.ofNanos((minOf(grown, longest) * 1e6).toLong())
    }

    internal fun settings(): RetrySettings = RetrySettings(
        maxRetries = maxRetries?.toDouble(),
        initialDelayMs = initialDelay?.inMilliseconds(),
        maxDelayMs = maxDelay?.inMilliseconds(),
        multiplier = multiplier,
    )

    /** Collects settings; each method returns the builder. */
    class Builder internal constructor() {
        private var maxRetries: Int? = null
        private var initialDelay: Duration? = null
        private var maxDelay: Duration? = null
        private var multiplier: Double? = null

        /** How often a request is repeated; 0 sends everything once. */
        fun maxRetries(retries: Int): Builder = apply { maxRetries = retries }

        /** Delay before the first repetition, at most: the real one is random. */
        fun initialDelay(delay: Duration): Builder = apply { initialDelay = delay }

        /** Longest delay; not below the first. */
        fun maxDelay(delay: Duration): Builder = apply { maxDelay = delay }

        /** What the delay grows by; at least 1. */
        fun multiplier(factor: Double): Builder = apply { multiplier = factor }

        /** Throws [IllegalArgumentException] naming the field. */
        fun build(): RetryPolicy = RetryPolicy(maxRetries, initialDelay, maxDelay, multiplier).also { it.check() }
    }

    private fun check() {
        val settings = ClientSettings(retry = settings())
        // The core knows the rules; a handle is made without I/O.
        constructing { FfiStream(settings, NOWHERE, null, Batching.OFF) }.close()
    }

    companion object {
        /** Settings to be changed. */
        @JvmStatic
        fun builder(): Builder = Builder()

        private val DEFAULTS = RetryPolicy(3, Duration.ofMillis(100), Duration.ofSeconds(30), 2.0)

        /** 3 retries, 100 ms doubling up to 30 s. */
        @JvmStatic
        fun defaults(): RetryPolicy = DEFAULTS

        /** Every request is sent once. */
        @JvmStatic
        fun none(): RetryPolicy = RetryPolicy(maxRetries = 0)
    }
}

/** A URL that nothing is sent to. */
internal const val NOWHERE = "http://127.0.0.1:9/nowhere"

internal fun Duration.inMilliseconds(): Double = seconds * 1e3 + nano / 1e6
