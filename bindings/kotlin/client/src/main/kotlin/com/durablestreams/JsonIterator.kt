package com.durablestreams

import com.durablestreams.exception.DurableStreamException
import com.durablestreams.exception.ErrorCode
import com.durablestreams.exception.ErrorFacts
import com.durablestreams.exception.ParseErrorException
import com.durablestreams.kotlin.parsed
import com.durablestreams.model.Chunk
import com.durablestreams.model.JsonBatch
import com.durablestreams.model.Offset
import java.time.Duration
import java.util.Spliterator
import java.util.Spliterators
import java.util.function.Function
import java.util.stream.Stream
import java.util.stream.StreamSupport

/** The messages of a JSON stream, for one consumer thread. Iterating twice goes on, it does not start again. */
class JsonIterator<T> internal constructor(
    private val chunks: ChunkIterator,
    private val parser: Function<String, List<T>>,
) : MutableIterator<JsonBatch<T>>,
    Iterable<JsonBatch<T>>,
    AutoCloseable {
    /** Whether there is another batch; waits for it. */
    override fun hasNext(): Boolean = chunks.hasNext()

    /**
     * The next batch; waits for it. Throws [NoSuchElementException] when the read is over, [ParseErrorException] for
     * what the parser refuses.
     */
    override fun next(): JsonBatch<T> = parsed(chunks.next())

    /** The next batch; `null` when none came in time or the read is over. */
    fun poll(timeout: Duration): JsonBatch<T>? = chunks.poll(timeout)?.let(::parsed)

    /** The messages one by one. */
    fun items(): Iterable<T> = Iterable { iterator { for (batch in this@JsonIterator) yieldAll(batch.items) } }

    /** The messages one by one. Closing the stream ends the read. */
    fun itemStream(): Stream<T> = streamOf(items().iterator())

    /** The batches. Closing the stream ends the read. */
    fun stream(): Stream<JsonBatch<T>> = streamOf(this)

    /** Where to resume, as of the last batch handed out. */
    val currentOffset: Offset get() = chunks.currentOffset

    /** Whether the last batch handed out was all there was. */
    val isUpToDate: Boolean get() = chunks.isUpToDate

    /** This iterator: iterating twice goes on, it does not start again. */
    override fun iterator(): MutableIterator<JsonBatch<T>> = this

    /** Not possible. */
    override fun remove(): Unit = throw UnsupportedOperationException("a stream's data cannot be removed")

    /** Ends the read and aborts its connection. */
    override fun close() = chunks.close()

    private fun <E> streamOf(elements: Iterator<E>): Stream<E> {
        val spliterator = Spliterators.spliteratorUnknownSize(elements, Spliterator.ORDERED)
        return StreamSupport.stream(spliterator, false).onClose(::close)
    }

    private fun parsed(chunk: Chunk): JsonBatch<T> = chunk.parsed { text ->
        try {
            parser.apply(text)
        } catch (failed: DurableStreamException) {
            throw failed
        } catch (failed: RuntimeException) {
            val facts = ErrorFacts(offset = chunk.nextOffset.value)
            throw ParseErrorException("a message does not fit: $failed", ErrorCode.PARSE_ERROR, failed, facts)
        }
    }
}
