package com.durablestreams.internal

import com.sun.jna.Native

/**
 * The core's function that takes a message by numbers alone. A generated function passes structures, and JNA makes
 * memory outside the heap for each, which is slow to get and slow to be freed.
 */
internal object QuickAppend {
    const val TAKEN = 0
    const val FULL = 1

    init {
        Native.register(QuickAppend::class.java, "durable_streams_ffi")
    }

    /** Producer's address, message's address and length; [TAKEN], [FULL] or refused. */
    @JvmStatic
    external fun durable_streams_append(producer: Long, data: Long, length: Long): Int
}
