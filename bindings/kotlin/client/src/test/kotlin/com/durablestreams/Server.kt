package com.durablestreams

import com.durablestreams.kotlin.DurableStreams
import com.durablestreams.kotlin.StreamHandle
import com.durablestreams.testing.TestServer
import kotlinx.coroutines.delay
import kotlinx.coroutines.runBlocking
import kotlinx.coroutines.withTimeout
import java.util.concurrent.atomic.AtomicInteger
import kotlin.time.Duration.Companion.milliseconds
import kotlin.time.Duration.Companion.seconds

/** One server for all tests, and a stream of its own for each. */
object Server {
    private val count = AtomicInteger()
    @JvmStatic
    val server: TestServer by lazy { TestServer.builder().longPollTimeout(java.time.Duration.ofSeconds(60)).start() }

    @JvmStatic
    fun newUrl(): String = "${server.streamsUrl}/stream-${count.incrementAndGet()}"

    fun newStream(contentType: String? = null): StreamHandle = DurableStreams().stream(newUrl(), contentType)

    /** Waits until so many live reads are under way at the server. */
    suspend fun awaitLiveReaders(number: Long) = withTimeout(20.seconds) {
        while (server.liveReaders != number) delay(5.milliseconds)
    }

    /** The same for Java, waiting. */
    @JvmStatic
    fun awaitLiveReadersOf(number: Long) = runBlocking { awaitLiveReaders(number) }

    val String.path: String get() = java.net.URI(this).path
}

/** A test that suspends, within a time that only a hang exceeds. */
fun testing(block: suspend kotlinx.coroutines.CoroutineScope.() -> Unit): Unit =
    runBlocking { withTimeout(120.seconds) { block() } }
