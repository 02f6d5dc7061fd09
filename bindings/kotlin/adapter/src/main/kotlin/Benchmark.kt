/** Timed work. */
import com.durablestreams.kotlin.StreamHandle
import com.durablestreams.model.LiveMode
import com.durablestreams.model.Offset
import kotlinx.coroutines.CoroutineStart
import kotlinx.coroutines.async
import kotlinx.coroutines.coroutineScope
import kotlinx.coroutines.flow.count
import kotlinx.coroutines.flow.first
import kotlinx.coroutines.flow.fold
import kotlinx.serialization.json.JsonElement
import kotlinx.serialization.json.JsonObject

private class Measured(val nanoseconds: Long, val bytes: Long?, val messages: Long? = null)

suspend fun benchmark(session: Session, command: Command): JsonObject {
    val work = command.inner("operation")
    val stream = session.stream(work)
    val measured = when (val operation = work.needed("op")) {
        "append" -> append(stream, work)
        "read" -> readAll(stream, work.text("offset"))
        "create" -> Measured(timed { stream.create(work.text("contentType")) }, null)
        "roundtrip" -> roundTrip(stream, work)
        "throughput_append" -> throughputAppend(stream, work)
        "throughput_read" -> throughputRead(stream)
        else -> throw NotSupported("there is no benchmark $operation")
    }
    val metrics = mapOf("bytesTransferred" to measured.bytes, "messagesProcessed" to measured.messages)
    return success(
        "benchmark",
        "iterationId" to command.needed("iterationId"),
        "durationNs" to measured.nanoseconds.toString(),
        "metrics" to metrics.filterValues { it != null },
    )
}

private fun filled(work: Command) = "x".repeat(work.whole("size")?.toInt() ?: 0)

private suspend fun append(stream: StreamHandle, work: Command): Measured {
    val body = filled(work).encodeToByteArray()
    return Measured(timed { stream.append(body) }, body.size.toLong())
}

private suspend fun readAll(stream: StreamHandle, offset: String?): Measured {
    var bytes = 0L
    val from = offset?.let(::Offset) ?: Offset.BEGINNING
    val took = timed { bytes = stream.read(from).fold(0L) { sum, chunk -> sum + chunk.data.size } }
    return Measured(took, bytes)
}

private suspend fun roundTrip(stream: StreamHandle, work: Command): Measured = coroutineScope {
    val contentType = work.text("contentType")
    stream.create(contentType)
    val isJson = contentType?.startsWith("application/json") ?: false
    val body = if (isJson) "\"${filled(work)}\"" else filled(work)
    val live = LiveMode.parse(work.text("live") ?: "long-poll")
    var received = 0
    val took = timed {
        val read = async(start = CoroutineStart.UNDISPATCHED) { stream.read(live = live).first { !it.isEmpty } }
        stream.appendMessage(body.encodeToByteArray())
        received = read.await().data.size
    }
    Measured(took, (body.length + received).toLong())
}

private suspend fun throughputAppend(stream: StreamHandle, work: Command): Measured {
    stream.create()
    val body = filled(work).encodeToByteArray()
    val count = work.whole("count") ?: 0
    // The path repeats over iterations; a fixed id would measure deduplication.
    val took = stream.producer("bench-${System.nanoTime()}").use { producer ->
        timed {
            repeat(count.toInt()) { producer.send(body) }
            producer.flush()
        }
    }
    return Measured(took, count * body.size, count)
}

private suspend fun throughputRead(stream: StreamHandle): Measured {
    var messages = 0L
    val took = timed { messages = stream.readJson<JsonElement>().count().toLong() }
    return Measured(took, readAll(stream, null).bytes, messages)
}

private inline fun timed(work: () -> Unit): Long {
    val started = System.nanoTime()
    work()
    return System.nanoTime() - started
}
