package com.durablestreams

import com.durablestreams.ffi.uniffiContinuationHandleMap
import com.durablestreams.ffi.uniffiForeignFutureHandleCount
import com.durablestreams.kotlin.DurableStreams
import com.durablestreams.kotlin.StreamHandle
import com.durablestreams.model.LiveMode
import com.durablestreams.model.ReadOptions
import com.durablestreams.testing.Fault
import kotlinx.coroutines.CompletableDeferred
import kotlinx.coroutines.CoroutineDispatcher
import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.async
import kotlinx.coroutines.cancelAndJoin
import kotlinx.coroutines.delay
import kotlinx.coroutines.flow.filter
import kotlinx.coroutines.flow.first
import kotlinx.coroutines.flow.map
import kotlinx.coroutines.flow.take
import kotlinx.coroutines.flow.toList
import kotlinx.coroutines.launch
import kotlinx.coroutines.runBlocking
import kotlinx.coroutines.withTimeout
import kotlinx.coroutines.withTimeoutOrNull
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertNull
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Assertions.fail
import org.junit.jupiter.api.Test
import org.junit.jupiter.params.ParameterizedTest
import org.junit.jupiter.params.provider.EnumSource
import java.nio.file.Files
import java.nio.file.Path
import java.util.concurrent.CompletableFuture
import kotlin.time.Duration.Companion.milliseconds
import kotlin.time.Duration.Companion.seconds

class LiveTest {
    private suspend fun textStream(): StreamHandle =
        Server.newStream("text/plain").also { it.create(contentType = "text/plain") }

    @ParameterizedTest
    @EnumSource(LiveMode::class, mode = EnumSource.Mode.EXCLUDE, names = ["OFF"])
    fun aLiveReadGoesOnUntilTheStreamIsClosed(live: LiveMode) = testing {
        val stream = textStream()
        stream.append("a")
        val first = CompletableDeferred<Unit>()
        val read = async {
            stream.read(live = live).filter { !it.isEmpty }.map {
                first.complete(Unit)
                it.dataAsString
            }.toList().joinToString("")
        }
        first.await()
        stream.append("b")
        stream.closeStream("c".encodeToByteArray())
        assertEquals("abc", read.await())
    }

    @ParameterizedTest
    @EnumSource(LiveMode::class, mode = EnumSource.Mode.EXCLUDE, names = ["OFF"])
    fun aCollectorThatIsCancelledAbortsTheRequest(live: LiveMode) = testing {
        val before = Server.server.liveReaders
        val stream = textStream()
        val read = launch(Dispatchers.Default) { stream.read(live = live).collect {} }
        Server.awaitLiveReaders(before + 1)
        withTimeout(5.seconds) { read.cancelAndJoin() }
        Server.awaitLiveReaders(before)
    }

    @Test
    fun takingEnoughEndsTheRead() = testing {
        val before = Server.server.liveReaders
        val stream = textStream()
        stream.append("a")
        assertEquals("a", stream.read(live = LiveMode.SSE).filter { !it.isEmpty }.take(1).toList().single().dataAsString)
        Server.awaitLiveReaders(before)
    }

    @Test
    fun aPullThatIsGivenUpLosesNothing() = testing {
        val stream = textStream()
        stream.open(ReadOptions.fromBeginning().live(LiveMode.LONG_POLL)).use { reader ->
            while (!reader.isUpToDate) reader.next()
            repeat(20) { assertNull(withTimeoutOrNull(10.milliseconds) { reader.next() }?.takeIf { !it.isEmpty }) }
            val tail = stream.append("late").nextOffset
            var chunk = reader.next()
            while (chunk!!.isEmpty) chunk = reader.next()
            assertEquals("late", chunk.dataAsString)
            assertEquals(tail, reader.offset)
        }
    }

    @Test
    fun aPullCancelledAsItsPieceArrivesLosesNothing() {
        val stream = runBlocking { textStream() }
        stream.open(ReadOptions.fromBeginning().live(LiveMode.LONG_POLL)).use { reader ->
            for (text in listOf("a", "b", "c")) {
                // One thread, which stands still while the piece arrives.
                runBlocking {
                    while (!reader.isUpToDate) reader.next()
                    val readers = Server.server.liveReaders
                    val pull = launch { reader.next() }
                    while (Server.server.liveReaders == readers) delay(1)
                    runOn(Dispatchers.IO) { stream.append(text) }
                    Thread.sleep(50)
                    pull.cancelAndJoin()
                    withTimeout(5.seconds) { assertEquals(text, reader.next()?.dataAsString) }
                }
            }
        }
    }

    /** Waits for other threads without giving this one to anybody. */
    private fun runOn(dispatcher: CoroutineDispatcher, work: suspend () -> Unit) =
        CompletableFuture<Unit>().also { done ->
            CoroutineScope(dispatcher).launch { done.complete(work()) }
        }.get()

    @Test
    fun aReaderThatIsClosedEndsItsPull() = testing {
        val before = Server.server.liveReaders
        val stream = textStream()
        val reader = stream.open(ReadOptions.fromBeginning().live(LiveMode.LONG_POLL))
        while (!reader.isUpToDate) reader.next()
        val pull = async(Dispatchers.Default) { reader.next() }
        Server.awaitLiveReaders(before + 1)
        reader.close()
        reader.close()
        assertNull(withTimeout(5.seconds) { pull.await() })
        Server.awaitLiveReaders(before)
    }

    @Test
    fun aSlowCollectorHoldsTheServerBack() = testing {
        val stream = Server.newStream("application/octet-stream")
        stream.create(contentType = "application/octet-stream")
        val block = ByteArray(1 shl 20)
        repeat(64) { stream.append(block) }
        val before = residentKib()
        val options = ReadOptions.builder().maxChunkBytes(64 * 1024).build()
        var seen = 0L
        val grown = stream.read(options).map {
            seen += it.data.size
            seen
        }.first { it > (1 shl 20) }.let {
            delay(500)
            residentKib() - before
        }
        assertTrue(grown < 48 * 1024, "after $seen bytes of 64 MiB $grown KiB more are held")
    }

    @Test
    fun aBrokenConnectionIsResumedWithoutLossOrRepetition() = testing {
        val stream = Server.newStream("application/json")
        stream.create(contentType = "application/json")
        val read = async(Dispatchers.Default) { stream.readJson<Int>(live = LiveMode.SSE).toList() }
        val producer = stream.producer("p")
        for (round in 0 until 10) {
            repeat(10) { producer.send("${round * 10 + it}") }
            producer.flush()
            Server.server.injectFault(Fault.at(stream.url).cut())
        }
        Server.server.clearFaults()
        producer.use { it.closeStream() }
        assertEquals(List(100) { it }, read.await())
    }

    @Test
    fun tenThousandReadsLeaveNothingBehind() = testing {
        val stream = textStream()
        stream.append("x")
        val client = DurableStreams()
        suspend fun rounds(number: Int) = repeat(number) { round ->
            val handle = client.stream(stream.url, "text/plain")
            handle.open(ReadOptions.fromBeginning().live(LiveMode.LONG_POLL)).use { reader ->
                if (round % 10 == 0) {
                    // Cancelled while it waits at the tail.
                    withTimeoutOrNull(2.milliseconds) { while (true) reader.next() ?: break }
                }
            }
        }
        rounds(2_000)
        assertSettles(mostKib = 4 * 1024) { rounds(10_000) }
        assertEquals(0, uniffiForeignFutureHandleCount())
        withTimeout(20.seconds) { while (uniffiContinuationHandleMap.size > 0) delay(5) }
    }

    /**
     * A leak grows with every [lot]. What Java takes for itself now and then, tens of megabytes at once when it compiles
     * or collects, does not: one lot that leaves nothing behind is enough.
     */
    private suspend fun assertSettles(mostKib: Long, lot: suspend () -> Unit) {
        val grown = mutableListOf<Long>()
        repeat(5) {
            val before = settledKib()
            lot()
            grown += settledKib() - before
            if (grown.last() < mostKib) return
        }
        fail<Unit>("every lot left more than $mostKib KiB behind: $grown")
    }

    /** The native side counts, which the garbage collector frees. */
    private suspend fun settledKib(): Long {
        repeat(5) {
            System.gc()
            delay(100)
        }
        return residentKib()
    }

    private fun residentKib(): Long = Files.readAllLines(Path.of("/proc/self/status"))
        .first { it.startsWith("VmRSS") }.filter { it.isDigit() }.toLong()
}
