/** Reading commands and writing results. */
import kotlinx.serialization.json.JsonArray
import kotlinx.serialization.json.JsonElement
import kotlinx.serialization.json.JsonNull
import kotlinx.serialization.json.JsonObject
import kotlinx.serialization.json.JsonPrimitive
import kotlinx.serialization.json.booleanOrNull
import kotlinx.serialization.json.contentOrNull
import kotlinx.serialization.json.doubleOrNull
import kotlinx.serialization.json.jsonObject
import kotlinx.serialization.json.jsonPrimitive
import kotlinx.serialization.json.longOrNull

private fun JsonObject.primitive(name: String): JsonPrimitive? = this[name] as? JsonPrimitive

fun JsonObject.text(name: String): String? = primitive(name)?.contentOrNull

fun JsonObject.needed(name: String): String = requireNotNull(text(name)) { "$name is missing" }

fun JsonObject.flag(name: String): Boolean = primitive(name)?.booleanOrNull ?: false

fun JsonObject.whole(name: String): Long? = primitive(name)?.longOrNull

fun JsonObject.number(name: String): Double? = primitive(name)?.doubleOrNull

fun JsonObject.texts(name: String): Map<String, String> =
    (this[name] as? JsonObject)?.mapValues { it.value.jsonPrimitive.content } ?: emptyMap()

fun JsonObject.list(name: String): List<String> = (this[name] as JsonArray).map { it.jsonPrimitive.content }

fun JsonObject.inner(name: String): JsonObject = getValue(name).jsonObject

/** Any value of a result. */
fun json(value: Any?): JsonElement = when (value) {
    null -> JsonNull
    is JsonElement -> value
    is String -> JsonPrimitive(value)
    is Number -> JsonPrimitive(value)
    is Boolean -> JsonPrimitive(value)
    is Map<*, *> -> JsonObject(value.entries.associate { it.key.toString() to json(it.value) })
    is Iterable<*> -> JsonArray(value.map(::json))
    else -> error("${value.javaClass} is no JSON")
}
