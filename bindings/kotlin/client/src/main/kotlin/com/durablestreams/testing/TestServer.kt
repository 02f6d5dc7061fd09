package com.durablestreams.testing

import com.durablestreams.ffi.FaultSettings
import com.durablestreams.ffi.FfiServer
import com.durablestreams.ffi.ServerSettings
import com.durablestreams.ffi.startServer
import com.durablestreams.internal.blocking
import com.durablestreams.internal.core

/** A server inside the process, for tests: on the loopback interface, in memory. */
class TestServer private constructor(private val ffi: FfiServer) : AutoCloseable {
    /** The server's origin. */
    val url: String = ffi.url()

    /** The URL below which streams live. */
    val streamsUrl: String = ffi.streamsUrl()

    /** Number of long-polls and answers of server-sent events under way. */
    val liveReaders: Long get() = blocking { core { ffi.liveReaders() } }.toLong()

    /** Lets requests to this exact URL path fail: with a status, late, or with the connection cut. */
    @JvmOverloads
    fun injectFault(path: String, status: Int? = null, delayMs: Long? = null, cut: Boolean = false, count: Int = 1) =
        blocking {
            val fault = FaultSettings(
                path = path,
                status = status?.toUShort(),
                delayMs = delayMs?.toULong(),
                dropConnection = cut,
                count = count.toULong(),
            )
            core { ffi.injectFault(fault) }
        }

    fun clearFaults() = blocking { core { ffi.clearFaults() } }

    /** Deletes every stream. */
    fun clear() = blocking { core { ffi.clear() } }

    override fun close() {
        blocking { core { ffi.stop() } }
        ffi.close()
    }

    companion object {
        /** Starts a server on a free port. */
        @JvmStatic
        @JvmOverloads
        fun start(longPollTimeoutMs: Long? = null): TestServer = blocking {
            val settings = ServerSettings(longPollTimeoutMs = longPollTimeoutMs?.toULong())
            TestServer(core { startServer(settings) })
        }
    }
}
