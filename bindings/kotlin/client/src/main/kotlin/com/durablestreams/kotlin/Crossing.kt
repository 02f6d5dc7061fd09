package com.durablestreams.kotlin

import java.nio.ByteBuffer

/**
 * Memory that the core reads messages from. One for all messages of a producer: memory outside the heap is slow to get
 * and slow to be collected. The lock also keeps the order of messages that cross together.
 */
internal class Crossing {
    private var buffer: ByteBuffer = ByteBuffer.allocateDirect(FIRST_SIZE)

    @Synchronized
    fun <T> one(message: ByteArray, cross: (ByteBuffer) -> T): T {
        grow(message.size)
        buffer.clear()
        buffer.put(message).flip()
        return cross(buffer)
    }

    /** Takes messages until there is enough for one crossing. */
    @Synchronized
    fun <T> many(messages: Iterator<ByteArray>, cross: (ByteBuffer, List<UInt>) -> T): T {
        val ends = ArrayList<UInt>()
        buffer.clear()
        while (messages.hasNext() && buffer.position() < ENOUGH_BYTES && ends.size < ENOUGH_MESSAGES) {
            val message = messages.next()
            grow(buffer.position() + message.size)
            buffer.put(message)
            ends += buffer.position().toUInt()
        }
        buffer.flip()
        return cross(buffer, ends)
    }

    private fun grow(size: Int) {
        if (size <= buffer.capacity()) return
        val filled = buffer
        filled.flip()
        buffer = ByteBuffer.allocateDirect(maxOf(size, filled.capacity() * 2)).put(filled)
    }

    private companion object {
        const val FIRST_SIZE = 4 * 1024
        const val ENOUGH_BYTES = 256 * 1024
        const val ENOUGH_MESSAGES = 1_000
    }
}
