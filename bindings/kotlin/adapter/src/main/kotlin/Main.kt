/**
 * The Kotlin client behind the conformance kit's adapter protocol: one JSON command per line on standard input, one
 * JSON result per line on standard output. `Session.kt` holds what is kept between commands, `OneShot.kt`, `Read.kt`
 * and `Produce.kt` one function per command, `Outcome.kt` the shape of results and errors.
 */
import kotlinx.coroutines.CancellationException
import kotlinx.coroutines.runBlocking
import kotlinx.serialization.SerializationException
import kotlinx.serialization.json.Json
import kotlinx.serialization.json.JsonObject
import kotlinx.serialization.json.jsonObject
import kotlin.system.exitProcess

typealias Command = JsonObject

private val COMMANDS: Map<String, suspend (Session, Command) -> JsonObject> = mapOf(
    "init" to { session, command -> session.init(command) },
    "configure" to { session, command -> session.configure(command) },
    "shutdown" to { _, _ -> success("shutdown") },
    "set-dynamic-header" to { session, command -> session.setDynamic(session.headers, command) },
    "set-dynamic-param" to { session, command -> session.setDynamic(session.params, command) },
    "clear-dynamic" to { session, _ -> session.clearDynamic() },
    "validate" to ::validate,
    "benchmark" to ::benchmark,
    "create" to ::create,
    "connect" to ::connect,
    "append" to ::append,
    "head" to ::head,
    "delete" to ::delete,
    "close" to ::close,
    "read" to ::read,
    "idempotent-append" to ::idempotentAppend,
    "idempotent-append-batch" to ::idempotentAppendBatch,
    "idempotent-close" to ::idempotentClose,
    "idempotent-detach" to ::idempotentDetach,
    "idempotent-restart" to ::idempotentRestart,
)

fun main() {
    val session = Session()
    runBlocking {
        for (line in generateSequence(::readLine)) {
            if (line.isBlank()) continue
            val command = try {
                Json.parseToJsonElement(line).jsonObject
            } catch (failed: SerializationException) {
                write(error("init", "PARSE_ERROR", failed.message ?: "no JSON"))
                continue
            }
            write(perform(session, command))
            if (command.text("type") == "shutdown") break
        }
    }
    exitProcess(0)
}

private suspend fun perform(session: Session, command: Command): JsonObject {
    val kind = command.text("type") ?: ""
    return try {
        val action = COMMANDS[kind] ?: throw NotSupported("there is no command $kind")
        action(session, command)
    } catch (cancelled: CancellationException) {
        throw cancelled
    } catch (failed: Exception) {
        failure(kind, failed)
    }
}

/** ASCII only, so that nothing in it can be taken for the end of the line, whatever the console's charset. */
private fun write(result: JsonObject) {
    val line = StringBuilder()
    for (char in result.toString()) {
        if (char.code < 128) line.append(char) else line.append("\\u%04x".format(char.code))
    }
    println(line)
    System.out.flush()
}
