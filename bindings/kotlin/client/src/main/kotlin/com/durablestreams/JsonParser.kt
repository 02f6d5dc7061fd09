package com.durablestreams

import com.durablestreams.exception.ErrorCode
import com.durablestreams.exception.ErrorFacts
import com.durablestreams.exception.ParseErrorException
import java.util.function.Function

/** Turns the text of a JSON array into values. Unlike a plain `Function` it may throw anything. */
fun interface JsonParser<T> : Function<String, List<T>> {
    /** The values of a JSON array. */
    @Throws(Exception::class)
    fun parse(json: String): List<T>

    /** [parse], with whatever it throws inside a [ParseErrorException]. */
    override fun apply(json: String): List<T> =
        try {
            parse(json)
        } catch (failed: ParseErrorException) {
            throw failed
        } catch (failed: Exception) {
            throw ParseErrorException("a message does not fit: $failed", ErrorCode.PARSE_ERROR, failed, ErrorFacts())
        }
}
