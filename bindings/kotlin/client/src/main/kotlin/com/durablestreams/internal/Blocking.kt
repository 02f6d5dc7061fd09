package com.durablestreams.internal

import com.durablestreams.exception.DurableStreamException
import com.durablestreams.exception.ErrorCode
import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.runBlocking

/** Waits on this thread. An interrupt cancels what is waited for and is left set. */
internal fun <T> blocking(operation: suspend CoroutineScope.() -> T): T =
    try {
        runBlocking(block = operation)
    } catch (interrupted: InterruptedException) {
        Thread.currentThread().interrupt()
        throw DurableStreamException("the thread was interrupted", ErrorCode.CANCELLED, interrupted)
    }
