package com.durablestreams.kotlin

import com.durablestreams.ffi.FfiProducer
import com.durablestreams.ffi.FfiReceipt
import com.durablestreams.internal.QuickAppend
import com.sun.jna.Native
import com.sun.jna.Pointer
import java.lang.ref.Reference
import java.nio.ByteBuffer
import java.nio.ByteOrder

/**
 * Memory that the core reads messages from. One for all messages of a producer: memory outside the heap is slow to get
 * and slow to be collected. The lock also keeps the order of messages that cross together.
 */
internal class Crossing(private val ffi: FfiProducer) {
    private lateinit var buffer: ByteBuffer
    private var bufferAddress = 0L

    /** 0 once the producer was let go. */
    private var producerAddress = ffi.address().toLong()

    init {
        allocate(FIRST_SIZE)
    }

    /** Takes a message. Whether there is room for more; if not, the caller waits for [FfiProducer.room] once. */
    @Synchronized
    fun append(message: ByteArray): Boolean {
        fill(message)
        if (producerAddress == 0L) return ffi.take(buffer, waits = true)
        val outcome = QuickAppend.durable_streams_append(producerAddress, bufferAddress, message.size.toLong())
        // Or the collector may free what the address is of.
        Reference.reachabilityFence(ffi)
        return when (outcome) {
            QuickAppend.TAKEN -> true
            QuickAppend.FULL -> false
            // Asked again for the reason.
            else -> ffi.take(buffer, waits = true)
        }
    }

    /** Takes a message, with its receipt. */
    @Synchronized
    fun offer(message: ByteArray): FfiReceipt {
        fill(message)
        return ffi.appendWithReceipt(buffer)
    }

    /** Takes several messages in one crossing, each behind its length; what to wait on if the queue is full with them. */
    @Synchronized
    fun appendAll(messages: List<ByteArray>): FfiReceipt? {
        grow(messages.sumOf { Int.SIZE_BYTES + it.size })
        buffer.clear()
        for (message in messages) buffer.putInt(message.size).put(message)
        buffer.flip()
        return ffi.appendFramed(buffer)
    }

    /** Lets go of the producer. */
    @Synchronized
    fun close() {
        producerAddress = 0
        ffi.close()
    }

    private fun fill(message: ByteArray) {
        grow(message.size)
        buffer.clear()
        buffer.put(message).flip()
    }

    private fun grow(size: Int) {
        if (size > buffer.capacity()) allocate(maxOf(size, buffer.capacity() * 2))
    }

    private fun allocate(size: Int) {
        buffer = ByteBuffer.allocateDirect(size).order(ByteOrder.LITTLE_ENDIAN)
        bufferAddress = Pointer.nativeValue(Native.getDirectBufferPointer(buffer))
    }

    companion object {
        private const val FIRST_SIZE = 4 * 1024
        private const val ENOUGH_BYTES = 256 * 1024
        private const val ENOUGH_MESSAGES = 1_000

        /** So many messages as are worth a crossing, at least one. The program's iterator runs outside the lock. */
        fun portion(messages: Iterator<ByteArray>): List<ByteArray> {
            val portion = ArrayList<ByteArray>()
            var bytes = 0
            while (messages.hasNext() && bytes < ENOUGH_BYTES && portion.size < ENOUGH_MESSAGES) {
                portion += messages.next()
                bytes += portion.last().size
            }
            return portion
        }
    }
}
