package com.durablestreams.kotlin

import com.durablestreams.RetryPolicy
import com.durablestreams.exception.DurableStreamException
import com.durablestreams.ffi.ErrorDetails
import com.durablestreams.ffi.ErrorListener
import com.durablestreams.ffi.FfiProducer
import com.durablestreams.ffi.FfiReceipt
import com.durablestreams.ffi.ProducerSettings
import com.durablestreams.internal.asException
import com.durablestreams.internal.asPairs
import com.durablestreams.internal.constructing
import com.durablestreams.internal.core
import com.durablestreams.model.Acknowledgement
import com.durablestreams.model.CloseResult
import com.durablestreams.model.Offset
import kotlinx.coroutines.CancellationException
import kotlinx.coroutines.NonCancellable
import kotlinx.coroutines.withContext
import kotlinx.serialization.KSerializer
import kotlinx.serialization.json.Json
import kotlinx.serialization.serializer
import kotlin.time.Duration
import com.durablestreams.ffi.Acknowledgement as CoreAcknowledgement

/** Settings of a producer; what is not set is the core's own. */
@DurableStreamsDsl
class ProducerBuilder internal constructor(private val id: String) {
    /** First epoch. Default: 0. */
    var epoch: Long? = null

    /** Takes the stream over from an earlier writer of the same id. */
    var autoClaim: Boolean = false

    /** A batch is sealed before it would outgrow this. Units: bytes. Default: 1 MiB. */
    var maxBatchBytes: Long? = null

    /** A batch is sealed at so many messages. */
    var maxBatchItems: Int? = null

    /** Unacknowledged batches under way at once. Default: 5. */
    var maxInFlight: Int? = null

    /** How long a batch may wait for more messages. Default: 5 ms. */
    var linger: Duration? = null

    /** Most bytes in the queue before `send` waits. Default: 64 MiB. */
    var maxQueuedBytes: Long? = null

    /** Most messages in the queue before `send` waits. */
    var maxQueuedMessages: Long? = null

    /** Content type; default: the handle's, else what the server says. */
    var contentType: String? = null

    /** How requests are repeated. Default: 10 tries. */
    var retry: RetryPolicy? = null
    private val headers = LinkedHashMap<String, String>()
    private val listeners = ArrayList<(DurableStreamException) -> Unit>()

    /** A header of every request. */
    fun header(name: String, value: String) {
        headers[name] = value
    }

    /** Is told of every batch that is given up, on another thread. It must not block. */
    fun onError(listener: (DurableStreamException) -> Unit) {
        listeners += listener
    }

    internal fun build(stream: StreamHandle): Producer {
        val settings = ProducerSettings(
            producerId = id,
            epoch = epoch?.toDouble(),
            autoClaim = autoClaim,
            maxBatchBytes = maxBatchBytes?.toDouble(),
            maxBatchItems = maxBatchItems?.toDouble(),
            maxInFlight = maxInFlight?.toDouble(),
            lingerMs = linger?.inMilliseconds(),
            maxQueuedBytes = maxQueuedBytes?.toULong(),
            maxQueuedMessages = maxQueuedMessages?.toULong(),
            contentType = contentType,
            headers = headers.asPairs(),
            retry = retry?.settings(),
            onError = if (listeners.isEmpty()) null else Listeners(listeners.toList()),
        )
        return Producer(id, constructing { FfiProducer(stream.ffi, settings) }, stream.client.json)
    }
}

private class Listeners(private val listeners: List<(DurableStreamException) -> Unit>) : ErrorListener {
    override fun onError(error: ErrorDetails) {
        val exception = error.asException(null)
        listeners.forEach { it(exception) }
    }
}

/**
 * Writes messages in batches that are stored exactly once, in the order of the calls. On a JSON stream a message is
 * the text of one JSON value. Safe to share between coroutines.
 *
 * A batch that is given up is told to [ProducerBuilder.onError] and thrown by the next [flush], [detach] or
 * [closeStream]. Taking a message throws a [DurableStreamException] only for what is known at once: a message that is
 * empty or no JSON value, a producer that is closed or fenced.
 */
class Producer internal constructor(
    /** Who writes. */
    val id: String,
    private val ffi: FfiProducer,
    @PublishedApi internal val json: Json,
) : AutoCloseable {
    private val crossing = Crossing(ffi)

    /** The epoch in use. */
    val epoch: Long get() = ffi.epoch().toLong()

    /** The sequence number the next batch will get. */
    val nextSeq: Long get() = ffi.nextSeq().toLong()

    /** Messages taken that are neither acknowledged nor given up. */
    val pendingMessages: Long get() = ffi.pendingMessages().toLong()

    /** The same in bytes of messages. */
    val pendingBytes: Long get() = ffi.pendingBytes().toLong()

    /** Batches sent and not yet answered for good. */
    val inFlightBatches: Long get() = ffi.inFlightBatches().toLong()

    /** The tail after the latest acknowledged batch. */
    val acknowledgedOffset: Offset? get() = ffi.acknowledgedOffset()?.let(::Offset)

    /** What the server said to the newest batch it acknowledged. */
    val lastAcknowledged: Acknowledgement? get() = ffi.lastAcknowledged()?.forResults()

    /** Takes a message; waits for room in the queue only. */
    suspend fun send(data: ByteArray) {
        if (!offerBlocking(data)) room()
    }

    /** Takes a message; waits for room in the queue only. */
    suspend fun send(text: String) = send(text.encodeToByteArray())

    /** Takes several messages, which costs less than one by one; waits for room in the queue only. */
    suspend fun sendAll(messages: Iterable<ByteArray>) {
        val rest = messages.iterator()
        while (rest.hasNext()) {
            val full = core { crossing.appendAll(Crossing.portion(rest)) } ?: continue
            full.use { core { it.room(null) } }
        }
    }

    /** Takes a message: the value as JSON. */
    suspend inline fun <reified T> sendJson(value: T) = sendJson(serializer<T>(), value)

    /** Takes a message: the value as JSON. */
    suspend fun <T> sendJson(serializer: KSerializer<T>, value: T) = send(json.encodeToString(serializer, value))

    /** Takes a message at once, however full the queue is, and tells what becomes of it. */
    fun offer(data: ByteArray): Receipt = Receipt(core { crossing.offer(data) })

    /** Takes a message; whether there is room for more. If not, the caller waits for [room] once. */
    internal fun offerBlocking(data: ByteArray): Boolean = core { crossing.append(data) }

    /** Waits until there is room in the queue. */
    internal suspend fun room() = core { ffi.room(null) }

    /**
     * Sends what is collected and waits until all of it is stored.
     * Throws the first failure since the last flush that threw one.
     */
    suspend fun flush() {
        core { ffi.flush(null) }
    }

    /** Flushes, then ends the stream for everyone. Repeating is success. */
    suspend fun closeStream(last: ByteArray? = null): CloseResult =
        CloseResult(Offset(core { ffi.closeStream(last, null) }))

    /** Flushes and stops; the stream stays open. */
    suspend fun detach() {
        core { ffi.detach(null) }
    }

    /** Flushes and goes on in the next epoch, from sequence number 0. */
    suspend fun restart() {
        core { ffi.restart(null) }
    }

    /** Lets go of the producer without waiting; [detach] first to have everything stored. Never ends the stream. */
    override fun close() = crossing.close()

    /**
     * Runs [block], then flushes and detaches. A failure of the block is thrown with that of the flush suppressed; a
     * block that is cancelled does not wait for the flush.
     */
    suspend fun <R> use(block: suspend (Producer) -> R): R {
        val result = try {
            block(this)
        } catch (cancelled: CancellationException) {
            close()
            throw cancelled
        } catch (failed: Throwable) {
            try {
                withContext(NonCancellable) { detach() }
            } catch (second: DurableStreamException) {
                failed.addSuppressed(second)
            }
            close()
            throw failed
        }
        try {
            detach()
        } finally {
            close()
        }
        return result
    }
}

private fun CoreAcknowledgement.forResults() =
    Acknowledgement(offset?.let(::Offset), duplicate, epoch.toLong(), seq.toLong())

/** What becomes of a message. It answers once. */
class Receipt internal constructor(private val ffi: FfiReceipt) : AutoCloseable {
    /** Waits until the message is within the queue's limits. Throws why it was given up. */
    suspend fun room() = core { ffi.room(null) }

    /** Waits until the server has stored the message. Throws why it was not, or may not have been. */
    suspend fun acknowledged(): Acknowledgement = core { ffi.acknowledged(null) }.forResults()

    /** Lets go of the receipt; the message goes its way. */
    override fun close() = ffi.close()
}
