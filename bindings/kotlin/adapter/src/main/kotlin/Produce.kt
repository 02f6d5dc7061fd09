/** Idempotent producers: one is kept per path, id and epoch, so that its numbers go on. */
import com.durablestreams.kotlin.Producer
import com.durablestreams.kotlin.ProducerBuilder
import com.durablestreams.model.Acknowledgement
import kotlinx.serialization.json.JsonObject
import kotlin.time.Duration
import kotlin.time.Duration.Companion.minutes

suspend fun idempotentAppend(session: Session, command: Command): JsonObject {
    val producer = kept(session, command)
    val receipt = producer.offer(command.needed("data").encodeToByteArray())
    return receipt.use {
        producer.flush()
        acknowledged("idempotent-append", receipt.acknowledged())
    }
}

suspend fun idempotentAppendBatch(session: Session, command: Command): JsonObject {
    val most = command.whole("maxInFlight") ?: 1
    val producer = opened(session, command) {
        if (most > 1) {
            maxInFlight = most.toInt()
            maxBatchItems = 1
            linger = Duration.ZERO
        } else {
            maxInFlight = 1
            // Longer than any batch takes to fill: only the flush sends it.
            linger = 1.minutes
        }
    }
    return producer.use {
        val receipts = command.list("items").map { producer.offer(it.encodeToByteArray()) }
        producer.flush()
        val last = receipts.last().acknowledged()
        receipts.forEach { it.close() }
        acknowledged("idempotent-append-batch", last)
    }
}

private fun acknowledged(kind: String, told: Acknowledgement) = success(
    kind,
    "status" to 200,
    "offset" to told.offset?.value,
    "duplicate" to told.isDuplicate,
    "producerEpoch" to told.epoch,
    "producerSeq" to told.seq,
)

suspend fun idempotentClose(session: Session, command: Command): JsonObject {
    val closed = kept(session, command).closeStream(command.text("data")?.encodeToByteArray())
    return success("idempotent-close", "status" to 200, "finalOffset" to closed.finalOffset?.value)
}

suspend fun idempotentDetach(session: Session, command: Command): JsonObject {
    session.producers.remove(key(command))?.let {
        it.detach()
        it.close()
    }
    return success("idempotent-detach", "status" to 200)
}

/** Starts the producer's next epoch; it stays under the epoch it was named with. */
suspend fun idempotentRestart(session: Session, command: Command): JsonObject {
    val producer = kept(session, command)
    producer.restart()
    return success("idempotent-restart", "status" to 200, "producerEpoch" to producer.epoch)
}

private fun kept(session: Session, command: Command): Producer = session.producers.getOrPut(key(command)) {
    opened(session, command) {
        maxInFlight = 1
        linger = Duration.ZERO
    }
}

private fun opened(session: Session, command: Command, more: ProducerBuilder.() -> Unit): Producer =
    session.stream(command).producer(command.needed("producerId")) {
        epoch = command.whole("epoch") ?: 0
        autoClaim = command.flag("autoClaim")
        more()
    }

private fun key(command: Command) =
    Triple(command.needed("path"), command.needed("producerId"), command.whole("epoch") ?: 0)
