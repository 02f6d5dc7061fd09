package com.durablestreams

import com.durablestreams.exception.DurableStreamException
import com.durablestreams.exception.ErrorCode
import com.durablestreams.internal.blocking
import com.durablestreams.kotlin.Producer
import com.durablestreams.kotlin.ProducerBuilder
import com.durablestreams.kotlin.Receipt
import com.durablestreams.kotlin.StreamHandle
import com.durablestreams.model.Acknowledgement
import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.future.future
import java.time.Duration
import java.util.concurrent.CompletableFuture
import java.util.concurrent.atomic.AtomicBoolean
import java.util.function.Consumer
import kotlin.time.toKotlinDuration

/**
 * Writes messages in batches that are stored exactly once, in the order of the calls. On a JSON stream a message is the
 * text of one JSON value. Thread safe.
 *
 * A batch that is given up is told to [Config.Builder.onError] and thrown by the next [flush] or [close]. Taking a
 * message throws a [DurableStreamException] only for what is known at once: a message that is empty or no JSON value, a
 * producer that is closed or fenced.
 */
class IdempotentProducer internal constructor(
    private val producer: Producer,
    private val scope: CoroutineScope,
    private val failures: Failures,
) : AutoCloseable {
    private val isClosed = AtomicBoolean()

    /** Who writes. */
    val producerId: String get() = producer.id

    /** The epoch in use. */
    val currentEpoch: Long get() = producer.epoch

    /** The sequence number the next batch will get. */
    val currentSeq: Long get() = producer.nextSeq

    /** Messages taken that are neither acknowledged nor given up. */
    val pendingMessages: Long get() = producer.pendingMessages

    /**
     * Takes a message, `byte[]` or `String`; returns at once unless the queue is full.
     * Throws [IllegalArgumentException] for anything else.
     */
    fun append(message: Any) {
        val open = checkedOpen()
        if (!open.offerBlocking(bytes(message))) blocking { open.room() }
    }

    /** Takes several messages, which costs less than one by one. */
    fun appendAll(messages: Iterable<ByteArray>) = blocking { checkedOpen().sendAll(messages) }

    /** Takes a message at once; the future tells when the server has stored it. */
    fun send(message: Any): CompletableFuture<Acknowledgement> {
        val receipt: Receipt = checkedOpen().offer(bytes(message))
        return scope.future { receipt.use { it.acknowledged() } }
    }

    /**
     * Sends what is collected and waits until all of it is stored.
     * Throws the first failure since the last flush that threw one, with the others suppressed.
     */
    fun flush() = failures.together { blocking { producer.flush() } }

    /** [flush] without waiting here. Cancelling the future stops the wait, not the batches. */
    fun flushAsync(): CompletableFuture<Void?> = scope.future {
        failures.together { producer.flush() }
        null
    }

    /** Flushes and stops; the stream stays open. Repeating does nothing. */
    override fun close() {
        if (!isClosed.compareAndSet(false, true)) return
        try {
            failures.together { blocking { producer.detach() } }
        } finally {
            producer.close()
        }
    }

    /** Flushes, then ends the stream for everyone. Repeating is success. */
    @JvmOverloads
    fun closeStream(last: ByteArray? = null) {
        val open = checkedOpen()
        failures.together { blocking { open.closeStream(last) } }
    }

    /** Flushes and goes on in the next epoch, from sequence number 0. */
    fun restart() = blocking { checkedOpen().restart() }

    /** What was given up since somebody was told. */
    internal class Failures {
        private val untold = ArrayList<DurableStreamException>()

        @Synchronized
        fun add(failure: DurableStreamException) {
            if (untold.size < MOST) untold += failure
        }

        /** Runs what throws the first failure, and adds the others to it. */
        inline fun together(operation: () -> Unit) =
            try {
                operation()
            } catch (first: DurableStreamException) {
                if (first.code != ErrorCode.CANCELLED) told().filter { it.message != first.message }.forEach(first::addSuppressed)
                throw first
            }

        @Synchronized
        fun told(): List<DurableStreamException> = untold.toList().also { untold.clear() }

        private companion object {
            const val MOST = 100
        }
    }

    private fun checkedOpen(): Producer {
        if (isClosed.get()) throw DurableStreamException("the producer is closed", ErrorCode.ALREADY_CLOSED)
        return producer
    }

    private fun bytes(message: Any): ByteArray = when (message) {
        is ByteArray -> message
        is String -> message.encodeToByteArray()
        else -> throw IllegalArgumentException("message: byte[] or String, not ${message.javaClass.name}")
    }

    /** Settings of a producer; what is not set is the core's own. */
    class Config internal constructor(private val settings: List<ProducerBuilder.() -> Unit>) {
        internal fun applyTo(builder: ProducerBuilder) = settings.forEach { it(builder) }

        /** Collects settings; each method returns the builder. */
        class Builder internal constructor() {
            private val settings = ArrayList<ProducerBuilder.() -> Unit>()

            /** First epoch. Default: 0. */
            fun epoch(epoch: Long): Builder = set { this.epoch = epoch }

            /** Takes the stream over from an earlier writer of the same id. */
            fun autoClaim(autoClaim: Boolean): Builder = set { this.autoClaim = autoClaim }

            /** A batch is sealed before it would outgrow this. Units: bytes. Default: 1 MiB. */
            fun maxBatchBytes(bytes: Int): Builder = set { maxBatchBytes = bytes.toLong() }

            /** A batch is sealed at so many messages. */
            fun maxBatchItems(items: Int): Builder = set { maxBatchItems = items }

            /** How long a batch waits for more. Units: ms. 0 is taken for 5; [linger] of zero does not wait. */
            fun lingerMs(milliseconds: Int): Builder =
                linger(Duration.ofMillis(if (milliseconds == 0) 5 else milliseconds.toLong()))

            /** How long a batch waits for more messages. */
            fun linger(linger: Duration): Builder = set { this.linger = linger.toKotlinDuration() }

            /** Unacknowledged batches under way at once. Default: 5. */
            fun maxInFlight(batches: Int): Builder = set { maxInFlight = batches }

            /** Most messages in the queue before [append] waits. */
            fun maxQueuedMessages(messages: Long): Builder = set { maxQueuedMessages = messages }

            /** Most bytes in the queue before [append] waits. Default: 64 MiB. */
            fun maxQueuedBytes(bytes: Long): Builder = set { maxQueuedBytes = bytes }

            /** Content type. Default: the stream's. */
            fun contentType(contentType: String): Builder = set { this.contentType = contentType }

            /** How requests are repeated. Default: 10 tries. */
            fun retryPolicy(policy: RetryPolicy): Builder = set { retry = policy }

            /** Is told of every batch that is given up, on another thread. It must not block. */
            fun onError(listener: Consumer<DurableStreamException>): Builder = set { onError(listener::accept) }

            /** Throws [IllegalArgumentException] naming the field. */
            fun build(): Config = Config(settings.toList()).also { it.check() }

            private fun set(setting: ProducerBuilder.() -> Unit): Builder = apply { settings += setting }
        }

        // The core knows the rules; a producer is made without I/O.
        private fun check() = nowhere.producer("checked", ::applyTo).close()

        companion object {
            private val nowhere: StreamHandle by lazy {
                com.durablestreams.kotlin.DurableStreams().stream(NOWHERE, "application/octet-stream")
            }

            /** Settings to be changed. */
            @JvmStatic
            fun builder(): Builder = Builder()

            /** The core's own settings. */
            @JvmStatic
            fun defaults(): Config = Config(emptyList())
        }
    }
}
