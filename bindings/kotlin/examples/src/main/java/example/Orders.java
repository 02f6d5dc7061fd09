package example;

import com.durablestreams.ChunkIterator;
import com.durablestreams.DurableStream;
import com.durablestreams.IdempotentProducer;
import com.durablestreams.exception.StreamExistsException;
import com.durablestreams.model.Chunk;
import com.durablestreams.model.LiveMode;
import com.durablestreams.model.Offset;
import com.durablestreams.model.ReadOptions;

/**
 * Lines of text, written exactly once and followed live until the stream is closed.
 *
 * <pre>mvn -q compile exec:java -Dexec.mainClass=example.Orders -Dexec.args=http://localhost:4437/v1/stream/orders</pre>
 */
public final class Orders {
    private Orders() {}

    public static void main(String[] arguments) {
        String url = arguments[0];
        try (DurableStream client = DurableStream.create()) {
            try {
                client.create(url, "text/plain");
            } catch (StreamExistsException other) {
                throw new IllegalStateException("that stream holds something else: " + other.getMessage(), other);
            }

            IdempotentProducer.Config config = IdempotentProducer.Config.builder().autoClaim(true).build();
            try (IdempotentProducer out = client.producer(url, "checkout-7", config)) {
                for (int number = 1; number <= 3; number++) {
                    out.append("order " + number + "\n");
                }
            } // everything is stored, the stream is open
            client.closeStream(url); // nothing can follow: readers end

            Offset saved = Offset.BEGINNING;
            try (ChunkIterator chunks = client.read(url, ReadOptions.from(saved).live(LiveMode.LONG_POLL))) {
                for (Chunk chunk : chunks) {
                    System.out.print(chunk.getDataAsString());
                    saved = chunk.getNextOffset();
                }
            }
            System.out.println("resume from " + saved);
        }
    }
}
