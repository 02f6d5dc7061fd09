package com.durablestreams.internal

import com.durablestreams.ffi.uniffiRustFutureContinuationCallbackImpl
import com.sun.jna.CallbackThreadInitializer
import com.sun.jna.Native

/**
 * Lets the core's threads, which wake coroutines, stay known to the JVM: JNA otherwise makes each a thread of Java for
 * one call and forgets it again, which costs more than the call. As daemons they keep no program from ending.
 */
internal object CoreThreads {
    init {
        val initializer = CallbackThreadInitializer(true, false, "durable-streams")
        Native.setCallbackThreadInitializer(uniffiRustFutureContinuationCallbackImpl, initializer)
    }

    /** Done when this object is first used. */
    fun stay() = Unit
}
