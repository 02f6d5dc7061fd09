package com.durablestreams.model

/** A position in a stream: an opaque token to keep and send back. Ordered as text. */
class Offset(
    /** The token. */
    val value: String,
) : Comparable<Offset> {
    /** The token. */
    fun value(): String = value

    override fun compareTo(other: Offset): Int = value.compareTo(other.value)

    override fun equals(other: Any?): Boolean = other is Offset && other.value == value

    override fun hashCode(): Int = value.hashCode()

    override fun toString(): String = value

    companion object {
        /** The beginning of the stream. */
        @JvmField
        val BEGINNING: Offset = Offset("-1")

        /** The tail, wherever it is when the server is asked. */
        @JvmField
        val NOW: Offset = Offset("now")

        /** An offset that a program kept. */
        @JvmStatic
        fun of(value: String): Offset = Offset(value)
    }
}
