package com.durablestreams;

import static org.junit.jupiter.api.Assertions.assertEquals;

import com.durablestreams.model.JsonBatch;
import com.durablestreams.model.LiveMode;
import com.durablestreams.model.Offset;
import com.durablestreams.model.ReadOptions;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** The README's example for Java as a program. */
@Timeout(60)
class ReadmeJavaTest {
    private static final class Order {
        private final String json;

        private Order(String json) {
            this.json = json;
        }

        String toJson() {
            return json;
        }

        static List<Order> listFromJson(String array) {
            List<Order> orders = new ArrayList<>();
            for (String part : array.substring(1, array.length() - 1).split(",")) {
                if (!part.isEmpty()) {
                    orders.add(new Order(part));
                }
            }
            return orders;
        }
    }

    private static final class Tokens {
        String current() {
            return "current";
        }
    }

    private static final class Ledger {
        private final List<String> applied = new ArrayList<>();

        void apply(Order order) {
            applied.add(order.toJson());
        }
    }

    private static final class Checkpoints {
        private String last;

        void store(String offset) {
            last = offset;
        }
    }

    @Test
    void theExampleWorks() {
        String url = Server.newUrl();
        Offset saved = Offset.BEGINNING;
        Tokens tokens = new Tokens();
        Ledger ledger = new Ledger();
        Checkpoints checkpoints = new Checkpoints();
        List<Order> orders = Order.listFromJson("[1,2,3]");

        try (DurableStream client = DurableStream.builder().header("Authorization", () -> "Bearer " + tokens.current()).build()) {
            client.create(url, "application/json");
            IdempotentProducer.Config config = IdempotentProducer.Config.builder().autoClaim(true).build();
            try (IdempotentProducer out = client.producer(url, "checkout-7", config)) {
                orders.forEach(order -> out.append(order.toJson()));
                out.flush();
            }
            client.closeStream(url);
            try (JsonIterator<Order> in = client.readJson(url, Order::listFromJson, ReadOptions.from(saved).live(LiveMode.SSE))) {
                for (JsonBatch<Order> batch : in) {
                    batch.forEach(ledger::apply);
                    checkpoints.store(batch.getNextOffset().getValue());
                }
            }
            assertEquals(List.of("1", "2", "3"), ledger.applied);
            assertEquals(client.head(url).getNextOffset().getValue(), checkpoints.last);
        }
    }
}
