package com.durablestreams.testing

import com.durablestreams.ffi.FaultSettings
import com.durablestreams.ffi.SseEvent
import java.time.Duration

/**
 * What shall go wrong with requests to one stream: `Fault.at(url).status(503).count(2)`. Several things can go wrong at
 * once; each method returns the fault.
 */
class Fault private constructor(path: String) {
    private var settings = FaultSettings(path)

    /** Answer with this status instead. */
    fun status(status: Int): Fault = set { copy(status = status.toUShort()) }

    /** Wait before anything else. */
    fun delay(delay: Duration): Fault = set { copy(delayMs = delay.toMillis().toULong()) }

    /** Wait a random while, at most this. */
    fun jitter(most: Duration): Fault = set { copy(jitterMs = most.toMillis().toULong()) }

    /** Cut the connection without an answer. */
    fun cut(): Fault = set { copy(dropConnection = true) }

    /** Cut the body of a read to this length. Units: bytes. */
    fun truncate(bytes: Int): Fault = set { copy(truncateBodyBytes = bytes.toUInt()) }

    /** Spoil the body of a read. */
    fun corrupt(): Fault = set { copy(corruptBody = true) }

    /** Begin an answer of server-sent events with this one. */
    fun sseEvent(type: String, data: String): Fault = set { copy(injectSseEvent = SseEvent(type, data)) }

    /** Tell the client to wait so long before it repeats. Whole seconds; with [status]. */
    fun retryAfter(delay: Duration): Fault = set { copy(retryAfter = delay.toSeconds().toULong()) }

    /** Chance to hit, from 0 to 1. Default: every request. */
    fun probability(probability: Double): Fault = set { copy(probability = probability) }

    /** Only requests with this HTTP method. */
    fun method(method: String): Fault = set { copy(method = method) }

    /** Number of requests it hits. Default: 1. */
    fun count(count: Int): Fault = set { copy(count = count.toULong()) }

    internal fun settings(): FaultSettings = settings

    private fun set(change: FaultSettings.() -> FaultSettings): Fault = apply { settings = settings.change() }

    companion object {
        /** Requests to this stream: its URL, or the path of one. */
        @JvmStatic
        fun at(url: String): Fault = Fault(if ("://" in url) java.net.URI(url).rawPath else url)
    }
}
