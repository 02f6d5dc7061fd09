package com.durablestreams

import com.durablestreams.Server.path
import com.durablestreams.exception.DurableStreamException
import com.durablestreams.exception.ErrorCode
import com.durablestreams.exception.ParseErrorException
import com.durablestreams.exception.StreamClosedException
import com.durablestreams.exception.StreamExistsException
import com.durablestreams.exception.StreamNotFoundException
import com.durablestreams.model.AppendOptions
import com.durablestreams.kotlin.CreateOptions
import com.durablestreams.kotlin.DurableStreams
import com.durablestreams.model.Offset
import com.durablestreams.testing.Fault
import kotlinx.coroutines.CancellationException
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.flow.toList
import kotlinx.coroutines.launch
import kotlinx.coroutines.cancelAndJoin
import kotlinx.coroutines.delay
import kotlinx.coroutines.withContext
import kotlinx.serialization.Serializable
import org.junit.jupiter.api.Assertions.assertArrayEquals
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertFalse
import org.junit.jupiter.api.Assertions.assertSame
import org.junit.jupiter.api.Assertions.assertThrows
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import java.net.http.HttpClient
import java.util.concurrent.atomic.AtomicInteger
import kotlin.time.Duration.Companion.hours

class StreamTest {
    @Serializable
    data class Order(val id: Int, val note: String? = null)

    @Test
    fun bytesComeBackAsTheyWere() = testing {
        val stream = Server.newStream()
        assertTrue(stream.create(contentType = "application/octet-stream").isNew)
        val all = ByteArray(256) { it.toByte() }
        val tail = stream.append(all).nextOffset
        val chunks = stream.read().toList()
        assertArrayEquals(all, chunks.single().data)
        assertEquals(tail, chunks.single().nextOffset)
        assertEquals(emptyList<Any>(), stream.read(from = tail!!).toList())
    }

    @Test
    fun settingsOfAStreamAreTold() = testing {
        val stream = Server.newStream()
        stream.create(contentType = "text/plain", ttl = 1.hours, data = "one".encodeToByteArray())
        val head = stream.head()
        assertEquals("text/plain", head.contentType)
        assertEquals(java.time.Duration.ofHours(1), head.ttl.get())
        assertFalse(head.isStreamClosed)
        assertEquals("one", stream.read().toList().joinToString("") { it.dataAsString })
    }

    @Test
    fun aForkBeginsWithItsSourceByUrlPathOrName() = testing {
        val source = Server.newStream()
        source.create(contentType = "text/plain", data = "one".encodeToByteArray())
        val below = DurableStreams { baseUrl = Server.server.streamsUrl }
        for ((number, name) in listOf(source.url, source.url.path, source.url.path.trimStart('/')).withIndex()) {
            val fork = below.stream("${source.url.path.trimStart('/')}-fork-$number")
            fork.create(CreateOptions(forkFrom = name))
            fork.append("two")
            assertEquals("onetwo", fork.read().toList().joinToString("") { it.dataAsString })
        }
        assertEquals("one", source.read().toList().joinToString("") { it.dataAsString })
        val refused = failureOf { Server.newStream().create(CreateOptions(forkFrom = "a-name-below-nothing")) }
        assertEquals(ErrorCode.INVALID_ARGUMENT, refused.code)
    }

    @Test
    fun answersAreToldWithResults() = testing {
        val stream = Server.newStream("text/plain")
        assertEquals(201, stream.create(contentType = "text/plain").statusCode)
        Server.server.injectFault(Fault.at(stream.url).status(503).count(2))
        val appended = stream.append("x")
        assertEquals(3, appended.attempts)
        assertEquals(appended.nextOffset?.value, appended.headers["stream-next-offset"])
        assertFalse(appended.isStreamClosed)
        val closed = stream.closeStream()
        assertEquals("true", closed.headers["stream-closed"])
        assertEquals(closed.finalOffset, stream.head().nextOffset)
    }

    @Test
    fun valuesAreOneMessageEachAndTextIsSentAsItIs() = testing {
        val stream = Server.newStream("application/json")
        stream.create(contentType = "application/json")
        stream.appendJson(Order(1))
        stream.appendJson(listOf(Order(2), Order(3, "x")))
        stream.append("""[{"id":4},{"id":5}]""")
        val raw = stream.read().toList().joinToString("") { it.dataAsString }
        assertEquals("""[{"id":1},[{"id":2},{"id":3,"note":"x"}],{"id":4},{"id":5}]""", raw)
    }

    @Test
    fun messagesOfAJsonStreamAreTyped() = testing {
        val stream = Server.newStream("application/json")
        stream.create(contentType = "application/json")
        val orders = List(500) { Order(it, "n$it") }
        stream.producer("writer").use { producer -> orders.forEach { producer.sendJson(it) } }
        assertEquals(orders, stream.readJson<Order>().toList())
        val batches = stream.readJsonBatches<Order>().toList()
        assertEquals(orders, batches.flatten())
        assertEquals(stream.head().nextOffset, batches.last().nextOffset)
    }

    @Test
    fun aMessageThatDoesNotFitIsAParseError() = testing {
        val stream = Server.newStream("application/json")
        stream.create(contentType = "application/json", data = """{"id":"no number"}""".encodeToByteArray())
        val failed = failureOf { stream.readJson<Order>().toList() }
        assertTrue(failed is ParseErrorException)
        assertEquals(ErrorCode.PARSE_ERROR, failed.code)
    }

    @Test
    fun everyFailureHasItsOwnClass() = testing {
        val stream = Server.newStream()
        val missing = failureOf { stream.head() }
        assertEquals(stream.url, (missing as StreamNotFoundException).url)
        assertEquals(404, missing.getStatusCode().get())
        stream.create(contentType = "text/plain")
        assertTrue(failureOf { stream.create(contentType = "image/png") } is StreamExistsException)
        val tail = stream.append("x").nextOffset
        assertEquals(tail, stream.closeStream().finalOffset)
        assertEquals(tail, stream.closeStream().finalOffset)
        val closed = failureOf { stream.append("y") }
        assertEquals(tail?.value, (closed as StreamClosedException).finalOffset)
        assertTrue(stream.head().isStreamClosed)
        stream.delete()
        assertTrue(failureOf { stream.read().toList() } is StreamNotFoundException)
    }

    @Test
    fun writersCoordinateByToken() = testing {
        val stream = Server.newStream()
        stream.create(contentType = "text/plain")
        stream.append("a", AppendOptions(seq = "2"))
        assertEquals(ErrorCode.SEQUENCE_CONFLICT, failureOf { stream.append("b", AppendOptions(seq = "1")) }.code)
    }

    @Test
    fun argumentsAreRefusedByName() {
        val retry = assertThrows(IllegalArgumentException::class.java) { RetryPolicy.builder().maxRetries(-1).build() }
        assertTrue(retry.message!!.startsWith("maxRetries"), retry.message)
        val stream = Server.newStream("text/plain")
        val id = assertThrows(IllegalArgumentException::class.java) { stream.producer("") }
        assertTrue(id.message!!.startsWith("producerId"), id.message)
    }

    @Test
    fun headersAreAskedForEveryRequestRetriesIncluded() = testing {
        val asked = AtomicInteger()
        val client = DurableStreams {
            header("Authorization") {
                delay(1)
                "Bearer ${asked.incrementAndGet()}"
            }
        }
        val stream = client.stream(Server.newUrl(), "text/plain")
        stream.create(contentType = "text/plain")
        assertEquals(1, asked.get())
        Server.server.injectFault(Fault.at(stream.url).status(503).count(2))
        stream.append("x")
        assertEquals(4, asked.get())
    }

    @Test
    fun aHeaderThatFailsFailsTheCall() = testing {
        val sealed = IllegalStateException("the vault is sealed")
        val stream = DurableStreams { header("Authorization") { throw sealed } }.stream(Server.newUrl())
        val failed = failureOf { stream.create() }
        assertTrue("the vault is sealed" in failed.message!!, failed.message)
        assertSame(sealed, failed.cause)
        // Coroutines that copy exceptions, to add their stack, leave ours as they are.
        val carried = failureOf { withContext(Dispatchers.Default) { stream.create() } }
        assertEquals(failed.code, carried.code)
        assertSame(sealed, carried.cause)
    }

    @Test
    fun aRequestThatIsCancelledEndsAtOnce() = testing {
        val stream = Server.newStream()
        stream.create(contentType = "text/plain")
        Server.server.injectFault(Fault.at(stream.url).delay(java.time.Duration.ofMinutes(1)))
        var ended: Throwable? = null
        val append = launch {
            try {
                stream.append("late")
            } catch (cancelled: CancellationException) {
                ended = cancelled
                throw cancelled
            }
        }
        delay(50)
        append.cancelAndJoin()
        assertTrue(ended is CancellationException)
        Server.server.clearFaults()
    }

    @Test
    fun theProgramsOwnHttpClientIsUsed() = testing {
        val own = HttpClient.newBuilder().followRedirects(HttpClient.Redirect.NEVER).build()
        val stream = DurableStreams { transport = own }.stream(Server.newUrl(), "text/plain")
        stream.create(contentType = "text/plain")
        val data = "0123456789".repeat(50_000)
        stream.append(data)
        assertEquals(data, stream.read().toList().joinToString("") { it.dataAsString })
        assertEquals(ErrorCode.NOT_FOUND, failureOf { DurableStreams { transport = own }.stream(Server.newUrl()).head() }.code)
        val nobody = DurableStreams {
            transport = own
            retry { maxRetries = 0 }
        }.stream("http://127.0.0.1:9/nobody")
        assertEquals(ErrorCode.NETWORK_ERROR, failureOf { nobody.head() }.code)
    }

    @Test
    fun offsetsAreOrderedAsText() {
        assertTrue(Offset.of("a") < Offset.of("b"))
        assertEquals(Offset("x"), Offset.of("x"))
    }

    private suspend fun failureOf(block: suspend () -> Unit): DurableStreamException =
        try {
            block()
            throw AssertionError("it did not fail")
        } catch (failed: DurableStreamException) {
            failed
        }
}
