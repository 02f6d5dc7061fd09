package com.durablestreams

import com.durablestreams.exception.StreamClosedException
import com.durablestreams.kotlin.StreamHandle
import kotlinx.coroutines.CompletableDeferred
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.awaitCancellation
import kotlinx.coroutines.cancelAndJoin
import kotlinx.coroutines.flow.asFlow
import kotlinx.coroutines.flow.emptyFlow
import kotlinx.coroutines.flow.flow
import kotlinx.coroutines.flow.map
import kotlinx.coroutines.flow.toList
import kotlinx.coroutines.launch
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertSame
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test

/** Appends whose data is still being made. */
class StreamingTest {
    private suspend fun textStream(): StreamHandle =
        Server.newStream("text/plain").also { it.create(contentType = "text/plain") }

    private suspend fun textOf(stream: StreamHandle) = stream.read().toList().joinToString("") { it.dataAsString }

    @Test
    fun aFlowIsStoredAsOneAppend() = testing {
        val stream = textStream()
        val pieces = List(100) { "$it,".repeat(1_000) }
        val tail = stream.append(pieces.asFlow().map { it.encodeToByteArray() }).nextOffset
        assertEquals(pieces.joinToString(""), textOf(stream))
        assertEquals(tail, stream.head().nextOffset)
    }

    @Test
    fun nothingIsStoredWhenTheFlowFails() = testing {
        val stream = textStream()
        val mine = IllegalStateException("mine")
        val pieces = flow {
            emit("half".encodeToByteArray())
            throw mine
        }
        val failed = runCatching { stream.append(pieces) }.exceptionOrNull()
        // Coroutines may copy an exception to add their stack; the original is its cause then.
        assertSame(mine, generateSequence(failed) { it.cause }.last())
        assertEquals("", textOf(stream))
    }

    @Test
    fun cancellingStopsTheFlowAndTheRequest() = testing {
        val stream = textStream()
        val (asked, stopped) = CompletableDeferred<Unit>() to CompletableDeferred<Unit>()
        val append = launch(Dispatchers.Default) {
            stream.append(
                flow {
                    emit("half".encodeToByteArray())
                    asked.complete(Unit)
                    try {
                        awaitCancellation()
                    } finally {
                        stopped.complete(Unit)
                    }
                },
            )
        }
        asked.await()
        append.cancelAndJoin()
        stopped.await()
        assertEquals("", textOf(stream))
    }

    @Test
    fun aRefusalStopsTheFlow() = testing {
        val stream = textStream()
        stream.closeStream()
        val failed = runCatching { stream.append(flow { repeat(1_000) { emit(ByteArray(1_000)) } }) }.exceptionOrNull()
        assertTrue(failed is StreamClosedException, "$failed")
        assertTrue(runCatching { stream.append(emptyFlow()) }.isFailure)
    }
}
