package com.durablestreams.internal

import com.durablestreams.ffi.HttpBody
import com.durablestreams.ffi.HttpFailure
import com.durablestreams.ffi.HttpRequest
import com.durablestreams.ffi.HttpResponse
import com.durablestreams.ffi.HttpTransport
import com.durablestreams.ffi.NameValue
import kotlinx.coroutines.CancellationException
import kotlinx.coroutines.channels.Channel
import kotlinx.coroutines.future.await
import java.io.IOException
import java.net.ConnectException
import java.net.URI
import java.net.http.HttpClient
import java.net.http.HttpConnectTimeoutException
import java.net.http.HttpTimeoutException
import java.nio.ByteBuffer
import java.util.concurrent.CompletionException
import java.util.concurrent.Flow
import java.net.http.HttpRequest as JdkRequest
import java.net.http.HttpResponse as JdkResponse

/** The caller's own `HttpClient` under the core's protocol. */
internal class JdkTransport(private val client: HttpClient) : HttpTransport {
    override suspend fun send(request: HttpRequest): HttpResponse = speakingOfFailures {
        val answer = client.sendAsync(request.forJdk(), JdkResponse.BodyHandlers.ofPublisher()).await()
        val headers = answer.headers().map().flatMap { (name, values) ->
            // HTTP/2 pseudo headers are no headers.
            if (name.startsWith(":")) emptyList() else values.map { NameValue(name, it) }
        }
        HttpResponse(answer.statusCode().toUShort(), headers, PulledBody().also(answer.body()::subscribe))
    }

    private fun HttpRequest.forJdk(): JdkRequest {
        val publisher = with(JdkRequest.BodyPublishers.ofByteArray(body)) {
            if (body.isEmpty() && method in BODYLESS) JdkRequest.BodyPublishers.noBody() else this
        }
        val builder = JdkRequest.newBuilder(URI.create(url)).method(method, publisher)
        for ((name, value) in headers) {
            if (name.lowercase() !in OWNED_BY_CLIENT) builder.header(name, value)
        }
        return builder.build()
    }

    private companion object {
        val BODYLESS = setOf("GET", "HEAD", "DELETE")

        /** `HttpClient` sets these itself and refuses them from others. */
        val OWNED_BY_CLIENT = setOf("connection", "content-length", "expect", "host", "upgrade")
    }
}

/** A body of which one piece is asked for at a time, so that a slow reader slows the server. */
private class PulledBody :
    HttpBody,
    Flow.Subscriber<List<ByteBuffer>> {
    private val pieces = Channel<ByteArray>(Channel.UNLIMITED)
    private val subscription = java.util.concurrent.CompletableFuture<Flow.Subscription>()

    override suspend fun chunk(): ByteArray? = speakingOfFailures {
        subscription.await().request(1)
        val next = pieces.receiveCatching()
        next.exceptionOrNull()?.let { throw it }
        next.getOrNull()
    }

    override fun abort() {
        subscription.thenAccept { it.cancel() }
    }

    override fun onSubscribe(subscription: Flow.Subscription) {
        this.subscription.complete(subscription)
    }

    override fun onNext(item: List<ByteBuffer>) {
        val piece = ByteArray(item.sumOf { it.remaining() })
        var at = 0
        for (buffer in item) {
            val length = buffer.remaining()
            buffer.get(piece, at, length)
            at += length
        }
        pieces.trySend(piece)
    }

    override fun onError(throwable: Throwable) {
        pieces.close(throwable)
    }

    override fun onComplete() {
        pieces.close()
    }
}

private inline fun <T> speakingOfFailures(exchange: () -> T): T =
    try {
        exchange()
    } catch (cancelled: CancellationException) {
        throw cancelled
    } catch (failed: Exception) {
        val cause = if (failed is CompletionException) failed.cause ?: failed else failed
        val reason = cause.message ?: cause.toString()
        throw when (cause) {
            is ConnectException, is HttpConnectTimeoutException -> HttpFailure.Connect(reason)
            is HttpTimeoutException -> HttpFailure.Timeout(reason)
            is IOException -> HttpFailure.Broken(reason)
            is HttpFailure -> cause
            else -> HttpFailure.Broken(cause.toString())
        }
    }
