/**
 * Speed of the Kotlin client: `read|produce|produce-all URL` measures one thing and prints it as JSON. What comes first is
 * not counted: Java reads its classes and compiles while it runs.
 */
package bench

import com.durablestreams.kotlin.DurableStreams
import com.durablestreams.kotlin.DurableStreamsClient
import com.durablestreams.kotlin.StreamHandle
import kotlinx.coroutines.flow.fold
import kotlinx.coroutines.runBlocking
import kotlin.system.exitProcess

private const val MESSAGES = 1_000_000
private const val READ_BYTES = 256L shl 20
private const val TOGETHER = 1_000

/** Reads of the whole that come first, and those that count. */
private const val WARM_UP = 4
private const val COUNTED = 3

fun main(arguments: Array<String>) {
    val (what, server) = arguments
    val streams = DurableStreams { baseUrl = "$server/v1/stream" }
    runBlocking {
        when (what) {
            "read" -> read(streams.stream("read-256-mib"))
            "produce" -> produce(streams, together = false)
            "produce-all" -> produce(streams, together = true)
            else -> error("$what is none of read, produce, produce-all")
        }
    }
    exitProcess(0)
}

/** The stream that `client-bench fill` wrote. */
private suspend fun read(stream: StreamHandle) {
    val seconds = List(WARM_UP + COUNTED) {
        val started = System.nanoTime()
        val bytes = stream.read().fold(0L) { sum, chunk -> sum + chunk.data.size }
        check(bytes == READ_BYTES) { "$bytes bytes instead of $READ_BYTES" }
        (System.nanoTime() - started) / 1e9
    }
    val median = seconds.drop(WARM_UP).sorted()[COUNTED / 2]
    println("""{"mib_per_second":${READ_BYTES / 1048576.0 / median}}""")
}

private suspend fun produce(streams: DurableStreamsClient, together: Boolean) {
    write(streams, MESSAGES / 5, together)
    println("""{"messages_per_second":${MESSAGES / write(streams, MESSAGES, together)}}""")
}

/** How many seconds it takes to make so many messages and to have them stored. */
private suspend fun write(streams: DurableStreamsClient, count: Int, together: Boolean): Double {
    val stream = streams.stream("produce-kotlin-${System.nanoTime()}")
    stream.create(contentType = "application/json")
    val text = "x".repeat(74)
    val messages = (0 until count).asSequence().map { number ->
        "{\"n\":\"${number.toString().padStart(8, '0')}\",\"text\":\"$text\"}".encodeToByteArray()
    }
    return stream.producer("bench").use { producer ->
        val started = System.nanoTime()
        if (together) {
            for (some in messages.chunked(TOGETHER)) producer.sendAll(some)
        } else {
            for (message in messages) producer.send(message)
        }
        producer.flush()
        (System.nanoTime() - started) / 1e9
    }
}
