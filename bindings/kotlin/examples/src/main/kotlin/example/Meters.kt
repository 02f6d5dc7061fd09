/**
 * Readings of a meter, written exactly once and read again from where a reader stopped.
 *
 *     mvn -q compile exec:java -Dexec.mainClass=example.MetersKt -Dexec.args=http://localhost:4437/v1/stream/meters
 */
package example

import com.durablestreams.kotlin.DurableStreams
import com.durablestreams.model.LiveMode
import com.durablestreams.model.Offset
import kotlinx.coroutines.flow.first
import kotlinx.coroutines.runBlocking
import kotlinx.serialization.Serializable
import kotlin.time.Duration.Companion.hours

@Serializable
data class Reading(val meter: Int, val kwh: Double)

fun main(arguments: Array<String>): Unit = runBlocking {
    val stream = DurableStreams().stream(arguments.single(), contentType = "application/json")
    stream.create(contentType = "application/json", ttl = 1.hours)

    // Batched, pipelined, stored once however often a request is repeated.
    stream.producer("gateway-7") { autoClaim = true }.use { producer ->
        for (hour in 1..24) producer.sendJson(Reading(meter = 3, kwh = hour * 0.25))
    }

    // A reader keeps the offset beside what it made of the data; here they are two variables.
    var total = 0.0
    var checkpoint = Offset.BEGINNING
    stream.readJsonBatches<Reading>(from = checkpoint).collect { batch ->
        total += batch.items.sumOf { it.kwh }
        checkpoint = batch.nextOffset
    }
    println("$total kWh so far")

    // Later, perhaps in another process: from there on, and live.
    stream.appendJson(Reading(meter = 3, kwh = 7.0))
    val next = stream.readJson<Reading>(from = checkpoint, live = LiveMode.SSE).first()
    println("then ${next.kwh} kWh")
}
