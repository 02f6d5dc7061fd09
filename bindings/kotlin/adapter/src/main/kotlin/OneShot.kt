/** The operations of one request. */
import com.durablestreams.model.AppendOptions
import com.durablestreams.kotlin.CreateOptions
import com.durablestreams.model.ProducerClaim
import com.durablestreams.model.Metadata
import com.durablestreams.model.Offset
import kotlinx.serialization.json.JsonObject
import java.util.Base64
import kotlin.time.Duration.Companion.seconds
import kotlin.time.Instant

suspend fun create(session: Session, command: Command): JsonObject {
    val options = CreateOptions(
        contentType = command.text("contentType"),
        ttl = command.number("ttlSeconds")?.seconds,
        expiresAt = command.text("expiresAt")?.let(Instant::parse),
        closed = command.flag("closed"),
        data = command.text("data")?.encodeToByteArray(),
        forkFrom = command.text("forkFrom"),
        forkOffset = command.text("forkOffset")?.let(::Offset),
        forkSubOffset = command.whole("forkSubOffset"),
    )
    val created = session.stream(command).create(options)
    session.learn(command, created.contentType ?: command.text("contentType") ?: OCTETS)
    return success(
        "create",
        "status" to created.statusCode,
        "offset" to created.nextOffset?.value,
        "headers" to created.headers,
    )
}

suspend fun connect(session: Session, command: Command): JsonObject = described("connect", asked(session, command))

suspend fun head(session: Session, command: Command): JsonObject = described("head", asked(session, command))

private suspend fun asked(session: Session, command: Command): Metadata {
    val found = session.stream(command).head()
    session.learn(command, found.contentType)
    return found
}

private fun described(kind: String, found: Metadata) = success(
    kind,
    "status" to found.statusCode,
    "offset" to found.nextOffset.value,
    "contentType" to found.contentType,
    "ttlSeconds" to found.ttl.map { it.seconds }.orElse(null),
    "expiresAt" to found.expiresAt.map { it.toString() }.orElse(null),
    "streamClosed" to found.isStreamClosed,
    "headers" to found.headers,
)

suspend fun append(session: Session, command: Command): JsonObject {
    val sent = session.sent(command)
    val claim = command.text("producerId")?.let {
        ProducerClaim(it, command.whole("producerEpoch") ?: 0, command.whole("producerSeq") ?: 0)
    }
    val options = AppendOptions(seq = command.text("seq"), producer = claim)
    val appended = session.stream(command, sent).appendMessage(body(command), options)
    return success(
        "append",
        "status" to 200,
        "offset" to appended.nextOffset?.value,
        "headers" to appended.headers,
        "duplicate" to claim?.let { appended.isDuplicate },
        "producerEpoch" to appended.producerEpoch,
        "producerSeq" to appended.producerSeq,
        *sent.fields(),
    )
}

suspend fun delete(session: Session, command: Command): JsonObject {
    session.stream(command).delete()
    session.learn(command, null)
    return success("delete", "status" to 200)
}

suspend fun close(session: Session, command: Command): JsonObject {
    val last = if ("data" in command) body(command) else null
    val closed = session.stream(command).closeStream(last, command.text("contentType"))
    return success("close", "status" to 200, "finalOffset" to (closed.finalOffset?.value ?: ""))
}

private fun body(command: Command): ByteArray {
    val data = command.text("data") ?: ""
    return if (command.flag("binary")) Base64.getDecoder().decode(data) else data.encodeToByteArray()
}
