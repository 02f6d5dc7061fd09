package com.durablestreams

import com.durablestreams.exception.DurableStreamException
import com.durablestreams.exception.ErrorCode
import com.durablestreams.internal.blocking
import com.durablestreams.internal.core
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

/** Writes messages in batches that are stored exactly once, in the order of the calls. Thread safe. */
class IdempotentProducer internal constructor(
    private val producer: Producer,
    private val scope: CoroutineScope,
) : AutoCloseable {
    private val isClosed = AtomicBoolean()

    val producerId: String get() = producer.id

    val currentEpoch: Long get() = producer.epoch

    /** The sequence number the next batch will get. */
    val currentSeq: Long get() = producer.nextSeq

    /** Messages taken that are neither acknowledged nor given up. */
    val pendingMessages: Long get() = producer.pendingMessages

    /** Takes a message, `byte[]` or `String`; returns at once unless the queue is full. */
    fun append(message: Any) {
        val full = checkedOpen().offerBlocking(bytes(message)) ?: return
        full.use { blocking { core { it.room(null) } } }
    }

    /** Takes several messages, which costs less than one by one. */
    fun appendAll(messages: Iterable<ByteArray>) = blocking { checkedOpen().sendAll(messages) }

    /** Takes a message at once; the future tells when the server has stored it. */
    fun send(message: Any): CompletableFuture<Acknowledgement> {
        val receipt: Receipt = checkedOpen().offer(bytes(message))
        return scope.future { receipt.use { it.acknowledged() } }
    }

    /** Sends what is collected and waits until all of it is stored. Throws the first failure. */
    fun flush() = blocking { producer.flush() }

    /** [flush] without waiting here. Cancelling the future stops the wait, not the batches. */
    fun flushAsync(): CompletableFuture<Void?> = scope.future {
        producer.flush()
        null
    }

    /** Flushes and stops; the stream stays open. Repeating does nothing. */
    override fun close() {
        if (!isClosed.compareAndSet(false, true)) return
        try {
            blocking { producer.detach() }
        } finally {
            producer.close()
        }
    }

    /** Flushes, then ends the stream for everyone. Repeating is success. */
    @JvmOverloads
    fun closeStream(last: ByteArray? = null) {
        blocking { checkedOpen().closeStream(last) }
    }

    /** Flushes and goes on in the next epoch, from sequence number 0. */
    fun restart() = blocking { checkedOpen().restart() }

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

        class Builder internal constructor() {
            private val settings = ArrayList<ProducerBuilder.() -> Unit>()

            fun epoch(epoch: Long): Builder = set { this.epoch = epoch }

            fun autoClaim(autoClaim: Boolean): Builder = set { this.autoClaim = autoClaim }

            fun maxBatchBytes(bytes: Int): Builder = set { maxBatchBytes = bytes.toLong() }

            fun maxBatchItems(items: Int): Builder = set { maxBatchItems = items }

            /** How long a batch waits for more; 0 is taken for 5. [linger] of zero does not wait. */
            fun lingerMs(milliseconds: Int): Builder =
                linger(Duration.ofMillis(if (milliseconds == 0) 5 else milliseconds.toLong()))

            fun linger(linger: Duration): Builder = set { this.linger = linger.toKotlinDuration() }

            fun maxInFlight(batches: Int): Builder = set { maxInFlight = batches }

            fun maxQueuedMessages(messages: Long): Builder = set { maxQueuedMessages = messages }

            fun maxQueuedBytes(bytes: Long): Builder = set { maxQueuedBytes = bytes }

            fun contentType(contentType: String): Builder = set { this.contentType = contentType }

            fun retryPolicy(policy: RetryPolicy): Builder = set { retry = policy }

            /** Is told of every batch that is given up. It must not block. */
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

            @JvmStatic
            fun builder(): Builder = Builder()

            @JvmStatic
            fun defaults(): Config = Config(emptyList())
        }
    }
}
