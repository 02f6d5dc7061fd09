package com.durablestreams

import com.durablestreams.kotlin.DurableStreams
import com.durablestreams.kotlin.asJava
import com.durablestreams.model.LiveMode
import kotlinx.coroutines.flow.Flow
import kotlinx.coroutines.flow.asFlow
import kotlinx.coroutines.flow.toList
import kotlinx.serialization.Serializable
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import java.nio.file.Path
import kotlin.io.path.readText
import kotlin.time.Duration.Companion.hours

/** The README's example as a program. */
class ReadmeTest {
    @Serializable
    data class Order(val id: Int)

    private class Ledger {
        val applied = ArrayList<Order>()

        fun apply(order: Order) {
            applied += order
        }
    }

    private object Tokens {
        fun fresh() = "fresh"
    }

    @Test
    fun theExampleWorks() = testing {
        val base = Server.newUrl()
        val tokens = Tokens
        val ledger = Ledger()
        val orders: Flow<Order> = List(10) { Order(it) }.asFlow()

        val client = DurableStreams {
            header("Authorization") { "Bearer ${tokens.fresh()}" }   // suspends; asked for every HTTP request
        }
        val stream = client.stream("$base/orders", contentType = "application/json")
        stream.create(contentType = "application/json", ttl = 1.hours)

        // Batched, pipelined, stored exactly once. `use` flushes and detaches; the stream stays open.
        stream.producer("checkout-7") { autoClaim = true }.use { producer ->
            orders.collect { producer.sendJson(it) }
        }

        // The same objects, from Java's side.
        stream.asJava().closeStream(stream.url)

        // From the beginning, then live, until the stream is closed.
        stream.readJson<Order>(live = LiveMode.SSE).collect { ledger.apply(it) }

        assertEquals(orders.toList(), ledger.applied)
    }

    @Test
    fun everyLineOfTheReadmesExamplesIsCompiled() {
        val blocks = Regex("```(kotlin|java)\n(.*?)```", RegexOption.DOT_MATCHES_ALL)
            .findAll(Path.of("../README.md").readText()).toList()
        assertEquals(setOf("kotlin", "java"), blocks.map { it.groupValues[1] }.toSet())
        val compiled = listOf(
            "src/test/kotlin/com/durablestreams/ReadmeTest.kt",
            "src/test/java/com/durablestreams/ReadmeJavaTest.java",
            "../examples/src/test/java/example/OrdersTest.java",
        ).flatMap { Path.of(it).readText().lines() }.map { it.trim() }.toSet()
        for (block in blocks) {
            for (line in block.groupValues[2].lines()) assertTrue(line.trim() in compiled, "nobody compiles: $line")
        }
    }
}
