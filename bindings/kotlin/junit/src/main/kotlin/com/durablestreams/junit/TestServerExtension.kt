package com.durablestreams.junit

import com.durablestreams.testing.TestServer
import org.junit.jupiter.api.extension.AfterAllCallback
import org.junit.jupiter.api.extension.ExtensionContext
import org.junit.jupiter.api.extension.ParameterContext
import org.junit.jupiter.api.extension.ParameterResolver

/**
 * Gives tests a [TestServer] as a parameter: of the constructor, of tests, of methods that run before and after them.
 * One for each top-level class, in memory, on a free loopback port, started when it is first asked for and stopped
 * after the last test of the class.
 *
 * ```
 * @ExtendWith(TestServerExtension::class)
 * class OrdersTest {
 *     @Test
 *     fun ordersAreStored(server: TestServer) { … server.newStreamUrl() … }
 * }
 * ```
 */
class TestServerExtension :
    ParameterResolver,
    AfterAllCallback {
    /** Whether the parameter is a [TestServer]. */
    override fun supportsParameter(parameter: ParameterContext, context: ExtensionContext): Boolean =
        parameter.parameter.type == TestServer::class.java

    /** The server of the test's class. */
    override fun resolveParameter(parameter: ParameterContext, context: ExtensionContext): Any {
        val ofClass = generateSequence(context) { it.parent.orElse(null) }.last { it.testClass.isPresent }
        return ofClass.getStore(OURS).getOrComputeIfAbsent(KEY, { TestServer.start() }, TestServer::class.java)!!
    }

    /** Stops the server that was started for this class. */
    override fun afterAll(context: ExtensionContext) {
        context.getStore(OURS).remove(KEY, TestServer::class.java)?.close()
    }

    private companion object {
        val OURS: ExtensionContext.Namespace = ExtensionContext.Namespace.create(TestServerExtension::class.java)
        const val KEY = "server"
    }
}
