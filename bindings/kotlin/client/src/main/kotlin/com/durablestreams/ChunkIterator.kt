package com.durablestreams

import com.durablestreams.internal.blocking
import com.durablestreams.kotlin.Reader
import com.durablestreams.model.Chunk
import com.durablestreams.model.Offset
import kotlinx.coroutines.withTimeoutOrNull
import java.time.Duration

/**
 * The pieces of a stream, for one consumer thread; [close] may come from any. A live read also yields empty chunks,
 * which tell that it is up to date.
 */
class ChunkIterator internal constructor(private val reader: Reader) :
    MutableIterator<Chunk>,
    Iterable<Chunk>,
    AutoCloseable {
    private var ready: Chunk? = null
    private var isOver = false

    /** Whether there is another chunk; waits for it. */
    override fun hasNext(): Boolean {
        if (ready == null && !isOver) take { reader.next() }
        return ready != null
    }

    /** The next chunk; waits for it. Throws [NoSuchElementException] when the read is over. */
    override fun next(): Chunk {
        if (!hasNext()) throw NoSuchElementException("the read is over")
        return handOut()!!
    }

    /** The next chunk; `null` when none came in time or the read is over. Nothing is lost by that. */
    fun poll(timeout: Duration): Chunk? {
        if (ready == null && !isOver) {
            // Waited for, then taken: what the time limit cuts off has not been taken.
            val arrived = blocking { withTimeoutOrNull(timeout.toMillis()) { reader.arrived() } }
            if (arrived != null) take { reader.next() }
        }
        return handOut()
    }

    /** Where to resume, as of the last chunk handed out. */
    var currentOffset: Offset = reader.offset
        private set

    /** Whether the last chunk handed out was all there was. */
    var isUpToDate: Boolean = false
        private set

    /** This iterator: iterating twice goes on, it does not start again. */
    override fun iterator(): MutableIterator<Chunk> = this

    /** Not possible. */
    override fun remove(): Unit = throw UnsupportedOperationException("a stream's data cannot be removed")

    /** Ends the read and aborts its connection. */
    override fun close() = reader.close()

    private fun take(pull: suspend () -> Chunk?) = settle(Pulled(blocking { pull() }))

    private fun settle(pulled: Pulled) {
        ready = pulled.chunk
        if (pulled.chunk == null) {
            isOver = true
            currentOffset = reader.offset
            isUpToDate = reader.isUpToDate
        }
    }

    private fun handOut(): Chunk? {
        val chunk = ready ?: return null
        ready = null
        currentOffset = chunk.nextOffset
        isUpToDate = chunk.isUpToDate
        return chunk
    }

    private class Pulled(val chunk: Chunk?)
}
