package com.durablestreams

import com.durablestreams.kotlin.DurableStreams
import com.durablestreams.kotlin.asJava
import com.durablestreams.model.LiveMode
import kotlinx.coroutines.flow.Flow
import kotlinx.coroutines.flow.asFlow
import kotlinx.coroutines.flow.take
import kotlinx.coroutines.flow.toList
import kotlinx.serialization.Serializable
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Test
import kotlin.time.Duration.Companion.hours

/** The README's example as a program. */
class ReadmeTest {
    @Serializable
    data class Order(val id: Int)

    @Test
    fun theExampleWorks() = testing {
        val orders: Flow<Order> = List(10) { Order(it) }.asFlow()
        val client = DurableStreams {
            header("Authorization") { "Bearer fresh" }
        }
        val stream = client.stream(Server.newUrl(), contentType = "application/json")
        stream.create(contentType = "application/json", ttl = 1.hours)
        stream.producer("checkout-7") { autoClaim = true }.use { producer ->
            orders.collect { producer.sendJson(it) }
        }
        assertEquals(orders.toList(), stream.readJson<Order>(live = LiveMode.SSE).take(10).toList())
        // The same objects, from Java's side.
        stream.asJava().closeStream(stream.url)
        assertEquals(orders.toList(), stream.readJson<Order>(live = LiveMode.AUTO).toList())
    }
}
