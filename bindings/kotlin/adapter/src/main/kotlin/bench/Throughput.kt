/** Speed of the Kotlin client: `read|produce|produce-all URL` measures one thing and prints it as JSON. */
package bench

import com.durablestreams.kotlin.DurableStreams
import com.durablestreams.kotlin.StreamHandle
import kotlinx.coroutines.flow.fold
import kotlinx.coroutines.runBlocking
import kotlin.system.exitProcess

private const val MESSAGES = 1_000_000
private const val READ_BYTES = 256L shl 20
private const val TOGETHER = 1_000

fun main(arguments: Array<String>) {
    val (what, server) = arguments
    val streams = DurableStreams { baseUrl = "$server/v1/stream" }
    runBlocking {
        when (what) {
            "read" -> read(streams.stream("read-256-mib"))
            "produce" -> produce(streams.stream("produce-kotlin-${System.nanoTime()}"))
            "produce-all" -> produce(streams.stream("produce-kotlin-${System.nanoTime()}"), together = true)
            else -> error("$what is none of read, produce, produce-all")
        }
    }
    exitProcess(0)
}

/** The stream that `client-bench fill` wrote. */
private suspend fun read(stream: StreamHandle) {
    val started = System.nanoTime()
    val bytes = stream.read().fold(0L) { sum, chunk -> sum + chunk.data.size }
    val seconds = (System.nanoTime() - started) / 1e9
    check(bytes == READ_BYTES) { "$bytes bytes instead of $READ_BYTES" }
    println("""{"mib_per_second":${bytes / 1048576.0 / seconds}}""")
}

private suspend fun produce(stream: StreamHandle, together: Boolean = false) {
    stream.create(contentType = "application/json")
    val text = "x".repeat(74)
    val messages = (0 until MESSAGES).asSequence().map { number ->
        "{\"n\":\"${number.toString().padStart(8, '0')}\",\"text\":\"$text\"}".encodeToByteArray()
    }
    stream.producer("bench").use { producer ->
        val started = System.nanoTime()
        if (together) {
            for (some in messages.chunked(TOGETHER)) producer.sendAll(some)
        } else {
            for (message in messages) producer.send(message)
        }
        producer.flush()
        val seconds = (System.nanoTime() - started) / 1e9
        println("""{"messages_per_second":${MESSAGES / seconds}}""")
    }
}
