package com.durablestreams.internal

import java.time.Duration

/** The class of the same name in `com.durablestreams`, under the name older programs import. */
class RetryPolicy @JvmOverloads constructor(
    maxRetries: Int? = null,
    initialDelay: Duration? = null,
    maxDelay: Duration? = null,
    multiplier: Double? = null,
) : com.durablestreams.RetryPolicy(maxRetries, initialDelay, maxDelay, multiplier)
