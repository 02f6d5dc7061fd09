package com.durablestreams.model

/** Who writes, for an append whose numbers the program counts itself. */
data class ProducerClaim(
    /** Who writes; not empty. */
    val id: String,
    /** Which incarnation of the writer. */
    val epoch: Long,
    /** Number of the request in this epoch, from 0. */
    val seq: Long,
)

/** Settings of an append. */
data class AppendOptions @JvmOverloads constructor(
    /** Writer coordination token. */
    val seq: String? = null,
    /** Only if the stream still has this entity tag. */
    val ifMatch: String? = null,
    /** Content type of the data, instead of the handle's. */
    val contentType: String? = null,
    /** Makes repeating the append harmless. */
    val producer: ProducerClaim? = null,
    /** Headers of this request. */
    val headers: Map<String, String> = emptyMap(),
)
