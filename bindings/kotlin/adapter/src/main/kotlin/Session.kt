/** What is kept between commands: content types, producers, dynamic values, time limits. */
import com.durablestreams.kotlin.ClientBuilder
import com.durablestreams.kotlin.DurableStreams
import com.durablestreams.kotlin.Producer
import com.durablestreams.kotlin.StreamHandle
import kotlinx.serialization.json.JsonObject
import java.util.concurrent.ConcurrentHashMap
import java.util.concurrent.atomic.AtomicLong
import kotlin.time.Duration.Companion.milliseconds

private val FEATURES = listOf(
    "batching",
    "sse",
    "longPoll",
    "auto",
    "streaming",
    "dynamicHeaders",
    "retryOptions",
    "batchItems",
    "strictZeroValidation",
    "configure",
    "etag",
    "cursor",
    "fork",
    "producerRestart",
    "requestCounter",
    "errorDetails",
    "appendProducer",
    "readers",
    "failingProvider",
    "sseIdle",
)
const val OCTETS = "application/octet-stream"

class Session {
    private var serverUrl = ""
    private val contentTypes = HashMap<String, String>()
    private var limits: ClientBuilder.() -> Unit = {}
    val producers = HashMap<Triple<String, String, Long>, Producer>()
    val headers = LinkedHashMap<String, Dynamic>()
    val params = LinkedHashMap<String, Dynamic>()

    fun init(command: Command): JsonObject {
        serverUrl = command.needed("serverUrl").trimEnd('/')
        contentTypes.clear()
        producers.values.forEach { it.close() }
        producers.clear()
        headers.clear()
        params.clear()
        limits = {}
        return success(
            "init",
            "clientName" to "durable-streams (Kotlin)",
            "clientVersion" to com.durablestreams.kotlin.coreVersion,
            "features" to FEATURES.associateWith { true },
        )
    }

    /** Time limits of the client from now on. */
    fun configure(command: Command): JsonObject {
        val request = command.whole("requestTimeoutMs")?.milliseconds
        val longPoll = command.whole("longPollTimeoutMs")?.milliseconds
        val sseIdle = command.whole("sseIdleTimeoutMs")?.milliseconds
        limits = {
            timeout = request
            longPollTimeout = longPoll
            sseIdleTimeout = sseIdle
        }
        return success("configure")
    }

    /** The handle of a command, with the content type known from earlier ones. */
    fun stream(command: Command, sent: Sent? = null): StreamHandle {
        val client = DurableStreams {
            limits()
            command.texts("headers").forEach { (name, value) -> header(name, value) }
            sent?.addTo(this)
        }
        return client.stream(serverUrl + command.needed("path"), contentTypes[command.needed("path")] ?: OCTETS)
    }

    /** Remembers the content type of a path, or forgets it. */
    fun learn(command: Command, contentType: String?) {
        val path = command.needed("path")
        if (contentType == null) contentTypes.remove(path) else contentTypes[path] = contentType
    }

    /** The dynamic values of one command. */
    fun sent(command: Command): Sent {
        (headers.values + params.values).forEach { it.countCommand() }
        val own = command.texts("headers").keys.map { it.lowercase() }
        // What the command says itself wins.
        return Sent(headers.filterKeys { it.lowercase() !in own }, params.toMap())
    }

    fun setDynamic(values: MutableMap<String, Dynamic>, command: Command): JsonObject {
        values[command.needed("name")] = Dynamic(command)
        return success(command.needed("type"))
    }

    fun clearDynamic(): JsonObject {
        headers.clear()
        params.clear()
        return success("clear-dynamic")
    }
}

/** A header or parameter whose value changes; the client gets it as a function. */
class Dynamic(command: Command) {
    private val kind = command.needed("valueType")

    /** What a token is, or why a function fails. */
    private val text = command.text("initialValue") ?: ""
    private val count = AtomicLong()

    init {
        if (kind !in KINDS) throw NotSupported("there is no valueType $kind")
    }

    fun countCommand() {
        if (kind != "request-counter") count.incrementAndGet()
    }

    fun next(): String = when (kind) {
        "request-counter" -> count.incrementAndGet().toString()
        "timestamp" -> System.currentTimeMillis().toString()
        "failing" -> throw IllegalStateException(text)
        "token" -> text
        else -> count.get().toString()
    }

    private companion object {
        val KINDS = setOf("counter", "request-counter", "timestamp", "token", "failing")
    }
}

/** Which dynamic values a command has sent. */
class Sent(private val headers: Map<String, Dynamic>, private val params: Map<String, Dynamic>) {
    private val sentHeaders = ConcurrentHashMap<String, String>()
    private val sentParams = ConcurrentHashMap<String, String>()

    fun addTo(client: ClientBuilder) {
        for ((name, dynamic) in headers) client.header(name) { dynamic.next().also { sentHeaders[name] = it } }
        for ((name, dynamic) in params) client.param(name) { dynamic.next().also { sentParams[name] = it } }
    }

    /** The fields of a result. */
    fun fields(): Array<Pair<String, Any?>> = arrayOf(
        "headersSent" to sentHeaders.takeIf { it.isNotEmpty() },
        "paramsSent" to sentParams.takeIf { it.isNotEmpty() },
    )
}
