package com.durablestreams.kotlin

import com.durablestreams.exception.DurableStreamException
import com.durablestreams.exception.ErrorCode
import com.durablestreams.ffi.FfiBytes
import com.durablestreams.ffi.Piece
import com.durablestreams.ffi.ReadSettings
import com.durablestreams.ffi.ReadState
import com.durablestreams.inMilliseconds
import com.durablestreams.internal.asMap
import com.durablestreams.internal.asPairs
import com.durablestreams.internal.core
import com.durablestreams.model.Chunk
import com.durablestreams.model.LiveMode
import com.durablestreams.model.Offset
import com.durablestreams.model.ReadOptions
import com.sun.jna.Pointer
import kotlinx.coroutines.CancellationException
import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.CoroutineStart
import kotlinx.coroutines.Deferred
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.SupervisorJob
import kotlinx.coroutines.async
import kotlinx.coroutines.sync.Mutex
import kotlinx.coroutines.sync.withLock
import java.util.Optional
import java.util.concurrent.atomic.AtomicBoolean
import com.durablestreams.ffi.LiveMode as CoreLiveMode

/** A read. One piece is asked for at a time; a pull that is cancelled loses nothing. */
class Reader internal constructor(stream: StreamHandle, options: ReadOptions) : AutoCloseable {
    private val ffi = stream.reader(options)
    private val isLive = options.liveMode != LiveMode.OFF

    @Volatile
    private var state: ReadState = ffi.state()

    private val closed = AtomicBoolean()

    /** One caller at a time waits for the pull, the others for their turn. */
    private val turn = Mutex()

    /**
     * Under way, or not taken yet. It is not part of any caller, who may be cancelled at the very moment at which the
     * piece arrives: the next one takes it.
     */
    private var pull: Deferred<Result<Pair<Piece?, ReadState>>>? = null

    /** Whether [close] was called. */
    val isClosed: Boolean get() = closed.get()

    /** Where to resume, as of the last piece handed out. */
    val offset: Offset get() = Offset(state.offset)

    /** Everything available had been read. */
    val isUpToDate: Boolean get() = state.upToDate

    /** The end of a closed stream was reached. */
    val isStreamClosed: Boolean get() = state.streamClosed

    /** For a later live read. */
    val cursor: String? get() = state.cursor

    /** Status of the latest answer; 0 before the first. */
    val statusCode: Int get() = state.status.toInt()

    /** The stream's content type as the latest answer says. */
    val contentType: String? get() = state.contentType

    /** The next piece; `null` when the read is over. After a failure the next call asks again from the same offset. */
    suspend fun next(): Chunk? = turn.withLock { take() }

    private suspend fun take(): Chunk? {
        while (true) {
            if (isClosed) return null
            val (piece, now) = try {
                val outcome = pulling().await()
                // Not when the wait was cancelled.
                pull = null
                outcome.getOrThrow()
            } catch (failed: DurableStreamException) {
                if (isClosed && failed.code == ErrorCode.CANCELLED) return null
                throw failed
            } catch (released: IllegalStateException) {
                // Closed between the two calls.
                if (isClosed && released !is CancellationException) return null
                throw released
            }
            state = now
            if (piece == null) return null
            val data = piece.bytes.use(FfiBytes::copied)
            // A read that ends at the tail says so by ending.
            if (piece.isEmpty && !isLive) continue
            return Chunk(
                data = data,
                isJson = piece.isJson,
                isEmpty = piece.isEmpty,
                nextOffset = Offset(piece.nextOffset),
                isUpToDate = piece.upToDate,
                isStreamClosed = piece.streamClosed,
                cursor = Optional.ofNullable(piece.cursor),
                statusCode = piece.status.toInt(),
                answerHeaders = lazy(LazyThreadSafetyMode.PUBLICATION) { now.headers.asMap() },
            )
        }
    }

    /** Waits until [next] has something to say, and takes nothing. */
    internal suspend fun arrived() {
        turn.withLock { if (!isClosed) pulling().await() }
    }

    private fun pulling() = pull ?: pulls.async(start = CoroutineStart.UNDISPATCHED) {
        runCatching { core({ state.offset }) { ffi.nextPiece(null) } to ffi.state() }
    }.also { pull = it }

    /** Ends the read and aborts its connection, from any thread. */
    override fun close() {
        if (!closed.compareAndSet(false, true)) return
        ffi.cancel()
        ffi.close()
    }
}

/** What goes on without its caller. On the thread that brings the piece: what remains to be done there is short. */
private val pulls = CoroutineScope(SupervisorJob() + Dispatchers.Unconfined)

/** The bytes, copied once: from where the core put them into the heap. */
private fun FfiBytes.copied(): ByteArray {
    val count = count().toInt()
    return if (count == 0) ByteArray(0) else Pointer(address().toLong()).getByteArray(0, count)
}

internal fun ReadOptions.settings(): ReadSettings = ReadSettings(
    offset = offset?.value,
    live = when (liveMode) {
        LiveMode.OFF -> CoreLiveMode.OFF
        LiveMode.LONG_POLL -> CoreLiveMode.LONG_POLL
        LiveMode.SSE -> CoreLiveMode.SSE
        LiveMode.AUTO -> CoreLiveMode.AUTO
    },
    cursor = cursor,
    ifNoneMatch = ifNoneMatch,
    contentType = contentType,
    headers = headers.asPairs(),
    params = params.asPairs(),
    timeoutMs = timeout?.inMilliseconds(),
    maxBatchBytes = maxChunkBytes?.toUInt(),
)
