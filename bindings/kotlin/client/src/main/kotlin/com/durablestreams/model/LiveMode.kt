package com.durablestreams.model

/** How a read goes on once it has caught up. */
enum class LiveMode(
    /** How requests spell it; `null` for [OFF]. */
    val wireValue: String?,
) {
    /** It ends. */
    OFF(null),

    /** It repeats requests that wait for data. */
    LONG_POLL("long-poll"),

    /** It holds one answer open that data is sent into. */
    SSE("sse"),

    /** Server-sent events where the content type allows them, else long-poll. */
    AUTO("auto"),
    ;

    companion object {
        /** `true` is [LONG_POLL]; a name is its mode; anything else is [OFF]. */
        @JvmStatic
        fun parse(value: Any?): LiveMode =
            if (value == true) LONG_POLL else entries.firstOrNull { it.wireValue != null && it.wireValue == value } ?: OFF
    }
}
