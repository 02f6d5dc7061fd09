package com.durablestreams;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.durablestreams.exception.DurableStreamException;
import com.durablestreams.exception.ErrorCode;
import com.durablestreams.exception.ParseErrorException;
import com.durablestreams.exception.SequenceConflictException;
import com.durablestreams.exception.StreamClosedException;
import com.durablestreams.exception.StreamNotFoundException;
import com.durablestreams.model.AppendOptions;
import com.durablestreams.model.Chunk;
import com.durablestreams.model.JsonBatch;
import com.durablestreams.model.LiveMode;
import com.durablestreams.model.Offset;
import com.durablestreams.model.ReadOptions;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.concurrent.CancellationException;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicReference;
import java.util.function.Function;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** The facade as Java programs see it. */
@Timeout(120)
class JavaTest {
    private static byte[] bytes(String text) {
        return text.getBytes(StandardCharsets.UTF_8);
    }

    private static List<Integer> parse(String array) {
        return Stream.of(array.replaceAll("[\\[\\] ]", "").split(","))
                .filter(part -> !part.isEmpty())
                .map(Integer::valueOf)
                .collect(Collectors.toList());
    }

    @Test
    void aProgramFromStartToEnd() {
        try (DurableStream client = DurableStream.builder().header("X-Trace", () -> "1").build()) {
            String url = Server.newUrl();
            client.create(url, "application/json");
            IdempotentProducer.Config config =
                    IdempotentProducer.Config.builder().autoClaim(true).lingerMs(1).maxInFlight(3).build();
            try (IdempotentProducer out = client.producer(url, "checkout-7", config)) {
                for (int n = 0; n < 1_000; n++) {
                    out.append(Integer.toString(n));
                }
                out.flush();
                assertEquals(0, out.getPendingMessages());
            }
            assertFalse(client.head(url).isStreamClosed());
            client.close(url);

            List<Integer> read = new ArrayList<>();
            Offset last = Offset.BEGINNING;
            try (JsonIterator<Integer> in =
                    client.readJson(url, JavaTest::parse, ReadOptions.from(last).live(LiveMode.SSE))) {
                for (JsonBatch<Integer> batch : in) {
                    read.addAll(batch.getItems());
                    last = batch.getNextOffset();
                }
                assertTrue(in.isUpToDate());
            }
            assertEquals(Stream.iterate(0, n -> n + 1).limit(1_000).collect(Collectors.toList()), read);
            assertEquals(client.head(url).nextOffset(), last);
        }
    }

    @Test
    void chunksAreIterated() {
        try (DurableStream client = DurableStream.create()) {
            String url = Server.newUrl();
            client.create(url);
            Offset first = client.append(url, bytes("ab")).getNextOffset();
            client.append(url, bytes("cd"));
            try (ChunkIterator chunks = client.read(url, ReadOptions.from(first))) {
                assertTrue(chunks.hasNext());
                Chunk chunk = chunks.next();
                assertArrayEquals(bytes("cd"), chunk.getData());
                assertEquals("cd", chunk.getDataAsString());
                assertEquals(chunk.nextOffset(), chunks.getCurrentOffset());
                assertFalse(chunks.hasNext());
                assertNull(chunks.poll(Duration.ofMillis(1)));
            }
        }
    }

    @Test
    void pollWaitsNoLongerThanItWasTold() {
        try (DurableStream client = DurableStream.create()) {
            String url = Server.newUrl();
            client.create(url, "text/plain");
            try (ChunkIterator chunks = client.read(url, ReadOptions.fromBeginning().live(LiveMode.LONG_POLL))) {
                Chunk chunk;
                do {
                    chunk = chunks.poll(Duration.ofMillis(50));
                } while (chunk != null);
                client.append(url, bytes("x"));
                do {
                    chunk = chunks.poll(Duration.ofSeconds(20));
                } while (chunk != null && chunk.isEmpty());
                assertEquals("x", chunk.getDataAsString());
                chunks.close();
                assertNull(chunks.poll(Duration.ofSeconds(20)));
                assertFalse(chunks.hasNext());
            }
        }
    }

    @Test
    void itemsAndStreamsHideEmptyBatches() {
        try (DurableStream client = DurableStream.create()) {
            String url = Server.newUrl();
            client.create(url, "application/json");
            client.append(url, bytes("[1,2,3]"));
            Function<String, List<Integer>> parser = JavaTest::parse;
            try (Stream<Integer> items = client.readJson(url, parser::apply).itemStream()) {
                assertEquals(List.of(1, 2, 3), items.collect(Collectors.toList()));
            }
            List<Integer> seen = new ArrayList<>();
            client.readJson(url, JavaTest::parse).items().forEach(seen::add);
            assertEquals(List.of(1, 2, 3), seen);
        }
    }

    @Test
    void aParserMayThrowAnything() {
        try (DurableStream client = DurableStream.create()) {
            String url = Server.newUrl();
            client.create(url, "application/json");
            client.append(url, bytes("[1]"));
            JsonParser<Integer> parser = text -> {
                throw new java.io.IOException("no such thing");
            };
            JsonIterator<Integer> in = client.readJson(url, parser);
            ParseErrorException failed = assertThrows(ParseErrorException.class, in::next);
            assertInstanceOf(java.io.IOException.class, failed.getCause());
        }
    }

    @Test
    void failuresAreUncheckedAndTyped() {
        try (DurableStream client = DurableStream.create()) {
            String url = Server.newUrl();
            StreamNotFoundException missing =
                    assertThrows(StreamNotFoundException.class, () -> client.append(url, bytes("x")));
            assertEquals(404, missing.getStatusCode().orElseThrow());
            assertEquals("NOT_FOUND", missing.getErrorCode().orElseThrow());
            client.create(url, "text/plain", Duration.ofHours(1), null, true, bytes("end"));
            assertThrows(StreamClosedException.class, () -> client.append(url, bytes("x")));
            CompletionException late =
                    assertThrows(CompletionException.class, () -> client.appendAsync(url, bytes("x")).join());
            assertInstanceOf(StreamClosedException.class, late.getCause());
            assertThrows(DurableStreamException.class, () -> client.append(url, new byte[0]));
        }
    }

    @Test
    void settingsAreRefusedByName() {
        IllegalArgumentException refused = assertThrows(
                IllegalArgumentException.class,
                () -> IdempotentProducer.Config.builder().maxInFlight(0).build());
        assertTrue(refused.getMessage().startsWith("maxInFlight"), refused.getMessage());
        assertThrows(IllegalArgumentException.class, () -> RetryPolicy.builder().multiplier(0.5).build());
    }

    @Test
    void everythingIsThereWithoutWaiting() {
        try (DurableStream client = DurableStream.create()) {
            String url = Server.newUrl();
            client.createAsync(url, "text/plain")
                    .thenCompose(nothing -> client.appendAsync(url, bytes("a")))
                    .thenCompose(appended -> client.closeAsync(url))
                    .join();
            assertTrue(client.headAsync(url).join().isStreamClosed());
            assertEquals("a", client.readAsync(url).join().get(0).getDataAsString());
            client.deleteAsync(url).join();
            assertThrows(StreamNotFoundException.class, () -> client.head(url));
        }
    }

    @Test
    void aProducerTellsWhatBecameOfAMessage() {
        try (DurableStream client = DurableStream.create()) {
            String url = Server.newUrl();
            client.create(url, "application/json");
            IdempotentProducer out = client.producer(url, "p");
            assertEquals(0L, out.send("1").join().getSeq());
            out.closeStream(bytes("2"));
            out.closeStream(bytes("2"));
            out.close();
            out.close();
            assertEquals(
                    ErrorCode.ALREADY_CLOSED,
                    assertThrows(DurableStreamException.class, () -> out.append("3")).getCode());
            assertThrows(IllegalArgumentException.class, () -> client.producer(url, "q").append(3));
        }
    }

    @Test
    void anInterruptEndsAWaitAndStaysSet() throws InterruptedException {
        try (DurableStream client = DurableStream.create()) {
            String url = Server.newUrl();
            client.create(url, "text/plain");
            AtomicReference<Throwable> failure = new AtomicReference<>();
            AtomicInteger isInterrupted = new AtomicInteger();
            CountDownLatch ended = new CountDownLatch(1);
            Thread reader = new Thread(() -> {
                try (ChunkIterator chunks = client.read(url, ReadOptions.fromBeginning().live(LiveMode.SSE))) {
                    while (chunks.hasNext()) {
                        chunks.next();
                    }
                } catch (DurableStreamException failed) {
                    failure.set(failed);
                    isInterrupted.set(Thread.currentThread().isInterrupted() ? 1 : 0);
                }
                ended.countDown();
            });
            reader.start();
            reader.interrupt();
            assertTrue(ended.await(20, TimeUnit.SECONDS));
            assertInstanceOf(InterruptedException.class, failure.get().getCause());
            assertEquals(1, isInterrupted.get());
        }
    }

    @Test
    void cancellingAFutureCancelsTheRequest() throws InterruptedException {
        try (DurableStream client = DurableStream.create()) {
            String url = Server.newUrl();
            client.create(url, "text/plain");
            long before = Server.getServer().getLiveReaders();
            CompletableFuture<List<Chunk>> read =
                    client.readAsync(url, ReadOptions.fromBeginning().live(LiveMode.LONG_POLL));
            Server.awaitLiveReadersOf(before + 1);
            assertTrue(read.cancel(true));
            Server.awaitLiveReadersOf(before);
            assertThrows(CancellationException.class, read::join);
        }
    }

    @Test
    void aForkBeginsWithItsSource() {
        try (DurableStream client = DurableStream.create()) {
            String source = Server.newUrl();
            client.create(source, "text/plain");
            Offset middle = client.append(source, bytes("ab")).getNextOffset();
            client.append(source, bytes("cd"));
            String whole = Server.newUrl();
            client.fork(whole, source);
            String half = Server.newUrl();
            client.forkAsync(half, source, middle).join();
            client.append(half, bytes("x"));
            assertEquals("abcd", text(client, whole));
            assertEquals("abx", text(client, half));
            assertThrows(StreamNotFoundException.class, () -> client.fork(Server.newUrl(), Server.newUrl()));
        }
    }

    private static String text(DurableStream client, String url) {
        StringBuilder text = new StringBuilder();
        try (ChunkIterator chunks = client.read(url)) {
            for (Chunk chunk : chunks) {
                text.append(chunk.dataAsString());
            }
        }
        return text.toString();
    }

    @Test
    void dataThatIsStillBeingMadeIsStoredWholeOrNotAtAll() {
        try (DurableStream client = DurableStream.create()) {
            String url = Server.newUrl();
            client.create(url, "text/plain");
            String data = "0123456789".repeat(50_000);
            client.append(url, new ByteArrayInputStream(bytes(data)));
            assertEquals(data, text(client, url));
            IOException mine = new IOException("the disk is gone");
            InputStream broken = new InputStream() {
                private int left = 100_000;

                @Override
                public int read() throws IOException {
                    if (left-- <= 0) {
                        throw mine;
                    }
                    return 'x';
                }
            };
            DurableStreamException failed =
                    assertThrows(DurableStreamException.class, () -> client.append(url, broken));
            assertSame(mine, Stream.iterate((Throwable) failed, Throwable::getCause)
                    .takeWhile(Objects::nonNull)
                    .filter(IOException.class::isInstance)
                    .findFirst()
                    .orElse(null));
            assertEquals(data, text(client, url));
        }
    }

    @Test
    void writersCoordinateByToken() {
        try (DurableStream client = DurableStream.create()) {
            String url = Server.newUrl();
            client.create(url, "text/plain");
            client.append(url, bytes("a"), new AppendOptions("2"));
            assertThrows(
                    SequenceConflictException.class, () -> client.append(url, bytes("b"), new AppendOptions("1")));
        }
    }

    @Test
    void aFlushThrowsWhatTheListenerIsTold() {
        try (DurableStream client = DurableStream.create()) {
            String url = Server.newUrl();
            client.create(url, "text/plain");
            client.closeStream(url);
            CompletableFuture<DurableStreamException> told = new CompletableFuture<>();
            IdempotentProducer.Config config =
                    IdempotentProducer.Config.builder().linger(Duration.ofMinutes(1)).onError(told::complete).build();
            IdempotentProducer out = client.producer(url, "p", config);
            out.append("a");
            StreamClosedException failed = assertThrows(StreamClosedException.class, out::flush);
            assertEquals(failed.getMessage(), told.join().getMessage());
            out.close();
        }
    }

    @Test
    void aPolicyTellsWhatItDoes() {
        RetryPolicy policy = RetryPolicy.builder().maxRetries(2).maxDelay(Duration.ofMillis(150)).build();
        assertTrue(policy.shouldRetry(503, 0));
        assertTrue(policy.shouldRetry(429, 1));
        assertFalse(policy.shouldRetry(503, 2));
        assertFalse(policy.shouldRetry(404, 0));
        assertEquals(Duration.ofMillis(100), policy.getDelay(0));
        assertEquals(Duration.ofMillis(150), policy.getDelay(1));
        assertEquals(Duration.ofSeconds(30), RetryPolicy.defaults().getDelay(50));
    }
}
