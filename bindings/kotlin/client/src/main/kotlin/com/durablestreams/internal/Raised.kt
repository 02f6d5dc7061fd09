package com.durablestreams.internal

import com.durablestreams.ffi.ProviderException
import kotlinx.coroutines.CancellationException

/**
 * Exceptions of the program's own functions while the core carries their numbers: they come back as the cause of what
 * they made fail. Bounded, because a failure that nobody waits for any more is never asked about.
 */
internal object Raised {
    private const val MOST = 256
    private var count = 0UL
    private val kept = object : LinkedHashMap<ULong, Throwable>() {
        override fun removeEldestEntry(eldest: MutableMap.MutableEntry<ULong, Throwable>) = size > MOST
    }

    @Synchronized
    fun keep(exception: Throwable): ULong = (++count).also { kept[it] = exception }

    @Synchronized
    fun find(number: ULong): Throwable? = kept[number]

    /** Runs a function of the program for the core. */
    inline fun <T> keeping(function: () -> T): T =
        try {
            function()
        } catch (cancelled: CancellationException) {
            throw cancelled
        } catch (failed: Exception) {
            throw ProviderException.Raised(failed.message ?: failed.toString(), keep(failed))
        }
}
