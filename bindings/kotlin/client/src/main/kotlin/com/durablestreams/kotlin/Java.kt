package com.durablestreams.kotlin

import com.durablestreams.DurableStream

/** The same client for Java. */
fun DurableStreamsClient.asJava(): DurableStream = DurableStream.of(this)

/** The client of this handle, for Java. */
fun StreamHandle.asJava(): DurableStream = client.asJava()
