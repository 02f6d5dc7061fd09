/** Results and errors as the runner reads them. */
import com.durablestreams.exception.DurableStreamException
import com.durablestreams.exception.ErrorCode
import kotlinx.serialization.json.JsonObject

/** The adapter cannot do this. */
class NotSupported(message: String) : Exception(message)

/** A success; fields without a value are left out. */
fun success(kind: String, vararg fields: Pair<String, Any?>): JsonObject =
    JsonObject((listOf("type" to kind, "success" to true) + fields).filter { it.second != null }.associate { it.first to json(it.second) })

fun error(
    kind: String,
    code: String,
    message: String,
    status: Int? = null,
    details: Map<String, Any?> = emptyMap(),
): JsonObject {
    val fields = linkedMapOf<String, Any?>(
        "type" to "error",
        "success" to false,
        "commandType" to kind,
        "errorCode" to code,
        "message" to message,
    )
    if (status != null) fields["status"] = status
    if (details.isNotEmpty()) fields["details"] = details
    return json(fields) as JsonObject
}

/** The result line of an exception. */
fun failure(kind: String, failed: Exception): JsonObject = when (failed) {
    is NotSupported -> error(kind, "NOT_SUPPORTED", failed.message ?: "")
    is IllegalArgumentException -> error(kind, "INVALID_ARGUMENT", failed.message ?: "")
    is DurableStreamException -> {
        val facts = failed.facts
        val details = mapOf(
            "code" to failed.code.name,
            "finalOffset" to facts.finalOffset,
            "currentEpoch" to facts.currentEpoch,
            "expectedSeq" to facts.expectedSeq,
            "receivedSeq" to facts.receivedSeq,
        ).filterValues { it != null }
        // What the client refuses itself the server would refuse with 400.
        val status = facts.status ?: 400.takeIf { kind == "append" && failed.code == ErrorCode.INVALID_ARGUMENT }
        error(kind, kitCode(failed.code), failed.message ?: "", status, details)
    }
    else -> {
        failed.printStackTrace()
        error(kind, "INTERNAL_ERROR", failed.toString())
    }
}

/** The kit's name of a code; the kit has fewer. */
private fun kitCode(code: ErrorCode): String = when (code) {
    ErrorCode.NOT_FOUND,
    ErrorCode.INVALID_OFFSET,
    ErrorCode.INVALID_ARGUMENT,
    ErrorCode.CONFLICT,
    ErrorCode.SEQUENCE_CONFLICT,
    ErrorCode.STREAM_CLOSED,
    ErrorCode.NETWORK_ERROR,
    ErrorCode.TIMEOUT,
    ErrorCode.PARSE_ERROR,
    ErrorCode.NOT_SUPPORTED,
    ErrorCode.INTERNAL_ERROR,
    -> code.name
    ErrorCode.ALREADY_CLOSED -> "INVALID_ARGUMENT"
    ErrorCode.ALREADY_EXISTS, ErrorCode.CONTENT_TYPE_MISMATCH -> "CONFLICT"
    ErrorCode.SEQUENCE_GAP -> "SEQUENCE_CONFLICT"
    ErrorCode.OFFSET_WENT_BACKWARDS -> "PARSE_ERROR"
    ErrorCode.CANCELLED -> "INTERNAL_ERROR"
    ErrorCode.BAD_REQUEST,
    ErrorCode.PAYLOAD_TOO_LARGE,
    ErrorCode.UNAUTHORIZED,
    ErrorCode.FORBIDDEN,
    ErrorCode.GONE,
    ErrorCode.STALE_EPOCH,
    ErrorCode.RATE_LIMITED,
    ErrorCode.BUSY,
    ErrorCode.UNEXPECTED_STATUS,
    -> "UNEXPECTED_STATUS"
}
