package example

import com.durablestreams.junit.TestServerExtension
import com.durablestreams.kotlin.DurableStreams
import com.durablestreams.testing.TestServer
import kotlinx.coroutines.runBlocking
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertSame
import org.junit.jupiter.api.BeforeEach
import org.junit.jupiter.api.Nested
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.extension.ExtendWith
import java.io.ByteArrayOutputStream
import java.io.PrintStream

/** What a program writes to standard output. */
internal fun printedBy(program: () -> Unit): List<String> {
    val (standard, printed) = System.out to ByteArrayOutputStream()
    System.setOut(PrintStream(printed, true))
    try {
        program()
    } finally {
        System.setOut(standard)
    }
    return printed.toString().lines().filter { it.isNotEmpty() }
}

@ExtendWith(TestServerExtension::class)
class MetersTest {
    private var server: TestServer? = null

    @BeforeEach
    fun given(server: TestServer) {
        this.server?.let { assertSame(it, server) }
        this.server = server
    }

    @Test
    fun theExampleCountsAndFollows(server: TestServer) {
        assertEquals(listOf("75.0 kWh so far", "then 7.0 kWh"), printedBy { main(arrayOf(server.newStreamUrl())) })
    }

    @Nested
    inner class Within {
        @Test
        fun aNestedClassHasTheServerOfItsOuterOne(server: TestServer) = runBlocking {
            assertSame(this@MetersTest.server, server)
            assertEquals(true, DurableStreams().stream(server.newStreamUrl()).create().isNew)
        }
    }
}
