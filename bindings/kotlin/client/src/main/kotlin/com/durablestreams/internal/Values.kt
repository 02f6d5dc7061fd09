package com.durablestreams.internal

import com.durablestreams.ffi.NameValue
import com.durablestreams.ffi.Resolved
import com.durablestreams.ffi.ValueProvider

/** A value that is computed for every HTTP request. */
internal typealias Value = suspend () -> String

/** Headers and parameters that are computed for every HTTP request. */
internal class Values(
    private val headers: Map<String, Value>,
    private val params: Map<String, Value>,
) : ValueProvider {
    override suspend fun resolve(): Resolved = Raised.keeping { Resolved(headers.evaluated(), params.evaluated()) }

    private suspend fun Map<String, Value>.evaluated() = map { (name, value) -> NameValue(name, value()) }
}
