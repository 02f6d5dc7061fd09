/** Arguments that must be refused before anything is sent. */
import com.durablestreams.RetryPolicy
import com.durablestreams.kotlin.DurableStreams
import kotlinx.serialization.json.JsonObject
import java.time.Duration

suspend fun validate(session: Session, command: Command): JsonObject {
    val target = command.inner("target")
    when (val kind = target.text("target")) {
        "retry-options" -> RetryPolicy.builder().apply {
            target.whole("maxRetries")?.let { maxRetries(it.toInt()) }
            target.whole("initialDelayMs")?.let { initialDelay(Duration.ofMillis(it)) }
            target.whole("maxDelayMs")?.let { maxDelay(Duration.ofMillis(it)) }
            target.number("multiplier")?.let { multiplier(it) }
        }.build()
        "idempotent-producer" -> DurableStreams().stream(NOWHERE, "text/plain").producer(target.text("producerId") ?: "validated") {
            epoch = target.whole("epoch")
            maxBatchBytes = target.whole("maxBatchBytes")
            maxBatchItems = target.whole("maxBatchItems")?.toInt()
        }.close()
        else -> throw NotSupported("there is no target $kind")
    }
    return success("validate")
}

private const val NOWHERE = "http://127.0.0.1:9/validated"
