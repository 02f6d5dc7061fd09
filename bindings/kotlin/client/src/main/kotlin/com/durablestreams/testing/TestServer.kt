package com.durablestreams.testing

import com.durablestreams.ffi.FfiServer
import com.durablestreams.ffi.ServerSettings
import com.durablestreams.ffi.startServer
import com.durablestreams.internal.blocking
import com.durablestreams.internal.constructing
import com.durablestreams.internal.core
import java.nio.file.Path
import java.time.Duration
import java.util.UUID
import java.util.concurrent.atomic.AtomicBoolean

/** A server inside the process, for tests: on the loopback interface, on a free port. */
class TestServer private constructor(private val ffi: FfiServer) : AutoCloseable {
    private val isClosed = AtomicBoolean()

    /** The server's origin, such as `http://127.0.0.1:4437`. */
    val url: String = ffi.url()

    /** The URL below which streams live, without a slash at its end. */
    val streamsUrl: String = ffi.streamsUrl()

    /** Number of long-polls and answers of server-sent events under way. */
    val liveReaders: Long get() = blocking { core { ffi.liveReaders() } }.toLong()

    /** The URL of a stream that nobody has used. */
    fun newStreamUrl(): String = "$streamsUrl/${UUID.randomUUID()}"

    /** Lets requests fail. */
    fun injectFault(fault: Fault) = blocking { core { ffi.injectFault(fault.settings()) } }

    /** Forgets all faults. */
    fun clearFaults() = blocking { core { ffi.clearFaults() } }

    /** Deletes every stream. */
    fun clear() = blocking { core { ffi.clear() } }

    /** Stops in order: live readers end, everything under way finishes. Repeating does nothing. */
    override fun close() {
        if (isClosed.compareAndSet(false, true)) {
            blocking { core { ffi.stop() } }
            ffi.close()
        }
    }

    /** Collects settings; each method returns the builder. */
    class Builder internal constructor() {
        private var longPollTimeout: Duration? = null
        private var dataDir: Path? = null
        private var prefix: String? = null

        /** How long a long-poll waits. Default: 30 s. */
        fun longPollTimeout(timeout: Duration): Builder = apply { longPollTimeout = timeout }

        /** Directory where streams outlive the server. Default: memory. */
        fun dataDir(directory: Path): Builder = apply { dataDir = directory }

        /** URL path below which streams live, such as `/v1/stream`. Default: every path is a stream. */
        fun prefix(path: String): Builder = apply { prefix = path }

        /** Starts the server. Throws [IllegalArgumentException] for settings that cannot be used. */
        fun start(): TestServer = blocking {
            val settings = ServerSettings(
                dataDir = dataDir?.toString(),
                prefix = prefix,
                longPollTimeoutMs = longPollTimeout?.toMillis()?.toULong(),
            )
            TestServer(constructing { startServer(settings) })
        }
    }

    companion object {
        /** Settings to be changed. */
        @JvmStatic
        fun builder(): Builder = Builder()

        /** Starts a server that keeps streams in memory. */
        @JvmStatic
        fun start(): TestServer = builder().start()
    }
}
