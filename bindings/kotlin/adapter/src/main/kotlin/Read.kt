/** Reads: pieces until one of the rules of the adapter protocol says stop. */
import com.durablestreams.kotlin.Reader
import com.durablestreams.model.Chunk
import com.durablestreams.model.LiveMode
import com.durablestreams.model.ReadOptions
import com.durablestreams.model.Offset
import kotlinx.coroutines.async
import kotlinx.coroutines.awaitAll
import kotlinx.coroutines.coroutineScope
import kotlinx.coroutines.withTimeoutOrNull
import kotlinx.serialization.json.JsonObject
import java.nio.ByteBuffer
import java.nio.charset.CharacterCodingException
import java.util.Base64

private const val MAX_CHUNKS = 100L
private const val TIMEOUT_MS = 5_000L

/** One read, or `readers` of the same at once. */
suspend fun read(session: Session, command: Command): JsonObject {
    val readers = command.whole("readers") ?: return oneRead(session, command)
    val results = coroutineScope { List(readers.toInt()) { async { oneRead(session, command) } }.awaitAll() }
    return success("read", "results" to results)
}

private suspend fun oneRead(session: Session, command: Command): JsonObject {
    val sent = session.sent(command)
    val chunks = ArrayList<Map<String, Any?>>()
    val reader = session.stream(command, sent).open(options(command))
    return reader.use {
        withTimeoutOrNull(command.whole("timeoutMs") ?: TIMEOUT_MS) { collect(reader, command, chunks) }
        // If nothing ever arrived, there is nothing the reader is behind of.
        val isAnswered = reader.statusCode != 0
        success(
            "read",
            "status" to if (isAnswered) reader.statusCode else 200,
            "chunks" to chunks,
            "offset" to reader.offset.value,
            "upToDate" to (!isAnswered || reader.isUpToDate),
            "streamClosed" to reader.isStreamClosed,
            "cursor" to reader.cursor,
            *sent.fields(),
        )
    }
}

private suspend fun collect(reader: Reader, command: Command, chunks: MutableList<Map<String, Any?>>) {
    val maxChunks = command.whole("maxChunks") ?: MAX_CHUNKS
    while (true) {
        val chunk = reader.next() ?: return
        if (!chunk.isEmpty) chunks += described(chunk)
        val isCaughtUp = command.flag("waitForUpToDate") && chunk.isUpToDate
        if (chunks.size >= maxChunks || isCaughtUp || chunk.isStreamClosed) return
    }
}

private fun options(command: Command): ReadOptions {
    val live = when (val asked = command.text("live")) {
        null, "false" -> LiveMode.OFF
        "true" -> LiveMode.AUTO
        else -> LiveMode.parse(asked)
    }
    return ReadOptions.builder()
        .offset(command.text("offset")?.let(::Offset))
        .liveMode(live)
        .cursor(command.text("cursor"))
        .ifNoneMatch(command.text("ifNoneMatch"))
        .build()
}

private fun described(chunk: Chunk): Map<String, Any?> {
    val offset = chunk.nextOffset.value
    return try {
        val text = Charsets.UTF_8.newDecoder().decode(ByteBuffer.wrap(chunk.data)).toString()
        mapOf("data" to text, "offset" to offset)
    } catch (binary: CharacterCodingException) {
        mapOf("data" to Base64.getEncoder().encodeToString(chunk.data), "offset" to offset, "binary" to true)
    }
}
