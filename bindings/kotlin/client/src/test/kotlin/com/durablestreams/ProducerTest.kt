package com.durablestreams

import com.durablestreams.exception.DurableStreamException
import com.durablestreams.exception.ErrorCode
import com.durablestreams.exception.StaleEpochException
import com.durablestreams.kotlin.StreamHandle
import com.durablestreams.testing.Fault
import kotlinx.coroutines.CompletableDeferred
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.cancelAndJoin
import kotlinx.coroutines.flow.toList
import kotlinx.coroutines.joinAll
import kotlinx.coroutines.launch
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertFalse
import org.junit.jupiter.api.Assertions.assertThrows
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import kotlin.time.Duration
import kotlin.time.Duration.Companion.minutes

class ProducerTest {
    private suspend fun jsonStream(): StreamHandle =
        Server.newStream("application/json").also { it.create(contentType = "application/json") }

    private suspend fun numbers(stream: StreamHandle): List<Int> = stream.readJson<Int>().toList()

    @Test
    fun everythingIsStoredOnceAndInOrderOverABadNetwork() = testing {
        val stream = jsonStream()
        stream.producer("p") { maxBatchItems = 10 }.use { producer ->
            repeat(50) { round ->
                when (round % 10) {
                    3 -> Server.server.injectFault(Fault.at(stream.url).status(503).count(2))
                    7 -> Server.server.injectFault(Fault.at(stream.url).cut())
                }
                repeat(20) { producer.send("${round * 20 + it}") }
                producer.flush()
            }
        }
        assertEquals(List(1_000) { it }, numbers(stream))
        assertFalse(stream.head().isStreamClosed)
    }

    @Test
    fun severalMessagesCrossTogether() = testing {
        val stream = jsonStream()
        stream.producer("p").use { producer -> producer.sendAll(List(5_000) { "$it".encodeToByteArray() }) }
        assertEquals(List(5_000) { it }, numbers(stream))
    }

    @Test
    fun messagesOfAnySizeCross() = testing {
        val stream = Server.newStream("application/octet-stream")
        stream.create(contentType = "application/octet-stream")
        val sizes = listOf(1, 4_096, 4_097, 1 shl 20, 3, 2 shl 20, 1)
        stream.producer("p").use { producer ->
            sizes.forEach { size -> producer.send(ByteArray(size) { size.toByte() }) }
            producer.sendAll(sizes.map { size -> ByteArray(size) { size.toByte() } })
        }
        val wanted = (sizes + sizes).flatMap { size -> List(size) { size.toByte() } }
        assertEquals(wanted, stream.read().toList().flatMap { it.data.asList() })
    }

    @Test
    fun aMessageSaysWhatBecameOfIt() = testing {
        val stream = jsonStream()
        val producer = stream.producer("p") { linger = Duration.ZERO }
        val first = producer.offer("1".encodeToByteArray()).acknowledged()
        val second = producer.offer("2".encodeToByteArray()).acknowledged()
        assertEquals(listOf(0L, 1L), listOf(first.seq, second.seq))
        assertFalse(second.isDuplicate)
        assertEquals(stream.head().nextOffset, second.offset)
        assertEquals(second.offset, producer.acknowledgedOffset)
        assertEquals(second.seq, producer.lastAcknowledged?.seq)
        assertEquals(0, producer.pendingBytes)
        producer.restart()
        assertEquals(1, producer.epoch)
        producer.use {}
    }

    @Test
    fun anOlderWriterIsFencedUnlessItClaims() = testing {
        val stream = jsonStream()
        val told = CompletableDeferred<DurableStreamException>()
        stream.producer("p") { epoch = 5 }.use { it.send("1") }
        val old = stream.producer("p") {
            epoch = 3
            onError { told.complete(it) }
        }
        old.send("2")
        val failed = try {
            old.flush()
            null
        } catch (stale: StaleEpochException) {
            stale
        }
        assertEquals(5L, failed?.currentEpoch)
        assertEquals(ErrorCode.STALE_EPOCH, told.await().code)
        old.close()
        stream.producer("p") { autoClaim = true }.use {
            it.send("3")
            it.flush()
            assertEquals(6, it.epoch)
        }
        assertEquals(listOf(1, 3), numbers(stream))
    }

    @Test
    fun theFirstFailureBringsTheOthers() {
        val failures = IdempotentProducer.Failures()
        val second = DurableStreamException("second")
        failures.add(DurableStreamException("first"))
        failures.add(second)
        val thrown = assertThrows(DurableStreamException::class.java) {
            failures.together { throw DurableStreamException("first") }
        }
        assertEquals(listOf<Throwable>(second), thrown.suppressed.toList())
        assertEquals(emptyList<Throwable>(), failures.told())
    }

    @Test
    fun closingIsForTheStreamAndUseForTheProducer() = testing {
        val stream = jsonStream()
        val producer = stream.producer("p") { linger = 1.minutes }
        producer.send("1")
        val closed = producer.closeStream("2".encodeToByteArray())
        assertEquals(closed.finalOffset, stream.head().nextOffset)
        assertTrue(stream.head().isStreamClosed)
        producer.close()
        assertEquals(listOf(1, 2), numbers(stream))
    }

    @Test
    fun aBlockThatFailsStillStoresWhatWasSent() = testing {
        val stream = jsonStream()
        val failed = assertThrows(IllegalStateException::class.java) {
            kotlinx.coroutines.runBlocking {
                stream.producer("p") { linger = 1.minutes }.use {
                    it.send("1")
                    error("mine")
                }
            }
        }
        assertEquals("mine", failed.message)
        assertEquals(listOf(1), numbers(stream))
    }

    @Test
    fun aFlushThatIsCancelledLetsGoAtOnce() = testing {
        val stream = jsonStream()
        Server.server.injectFault(Fault.at(stream.url).delay(java.time.Duration.ofMinutes(1)))
        val flushing = CompletableDeferred<Unit>()
        val writer = launch(Dispatchers.Default) {
            stream.producer("p") { linger = Duration.ZERO }.use {
                it.send("1")
                flushing.complete(Unit)
                it.flush()
            }
        }
        flushing.await()
        writer.cancelAndJoin()
        Server.server.clearFaults()
    }

    @Test
    fun aFullQueueMakesSendersWait() = testing {
        val stream = jsonStream()
        stream.producer("p") { maxQueuedMessages = 10 }.use { producer ->
            repeat(1_000) {
                producer.send("$it")
                assertTrue(producer.pendingMessages <= 11, "${producer.pendingMessages} are pending")
            }
        }
        assertEquals(List(1_000) { it }, numbers(stream))
    }

    @Test
    fun coroutinesShareAProducer() = testing {
        val stream = jsonStream()
        stream.producer("p").use { producer ->
            List(8) { writer ->
                launch(Dispatchers.Default) { repeat(500) { producer.send("${writer * 500 + it}") } }
            }.joinAll()
        }
        val stored = numbers(stream)
        assertEquals(List(4_000) { it }, stored.sorted())
        for (writer in 0 until 8) assertEquals(List(500) { writer * 500 + it }, stored.filter { it / 500 == writer })
    }
}
