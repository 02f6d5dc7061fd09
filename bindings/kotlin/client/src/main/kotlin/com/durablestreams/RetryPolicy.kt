package com.durablestreams

import com.durablestreams.ffi.Batching
import com.durablestreams.ffi.ClientSettings
import com.durablestreams.ffi.FfiStream
import com.durablestreams.ffi.RetrySettings
import com.durablestreams.internal.constructing
import java.time.Duration

/** How requests are repeated: exponential backoff with jitter. What is not set is the core's own. */
open class RetryPolicy @JvmOverloads constructor(
    val maxRetries: Int? = null,
    val initialDelay: Duration? = null,
    val maxDelay: Duration? = null,
    val multiplier: Double? = null,
) {
    internal fun settings(): RetrySettings = RetrySettings(
        maxRetries = maxRetries?.toDouble(),
        initialDelayMs = initialDelay?.inMilliseconds(),
        maxDelayMs = maxDelay?.inMilliseconds(),
        multiplier = multiplier,
    )

    class Builder internal constructor() {
        private var maxRetries: Int? = null
        private var initialDelay: Duration? = null
        private var maxDelay: Duration? = null
        private var multiplier: Double? = null

        fun maxRetries(retries: Int): Builder = apply { maxRetries = retries }

        fun initialDelay(delay: Duration): Builder = apply { initialDelay = delay }

        fun maxDelay(delay: Duration): Builder = apply { maxDelay = delay }

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
        @JvmStatic
        fun builder(): Builder = Builder()

        /** 3 retries, 100 ms doubling up to 30 s. */
        @JvmStatic
        fun defaults(): RetryPolicy = RetryPolicy(3, Duration.ofMillis(100), Duration.ofSeconds(30), 2.0)

        /** Every request is sent once. */
        @JvmStatic
        fun none(): RetryPolicy = RetryPolicy(maxRetries = 0)
    }
}

/** A URL that nothing is sent to. */
internal const val NOWHERE = "http://127.0.0.1:9/nowhere"

internal fun Duration.inMilliseconds(): Double = seconds * 1e3 + nano / 1e6
