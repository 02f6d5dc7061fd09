package example;

import static org.junit.jupiter.api.Assertions.assertEquals;

import com.durablestreams.DurableStream;
import com.durablestreams.junit.TestServerExtension;
import com.durablestreams.testing.Fault;
import com.durablestreams.testing.TestServer;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;

@ExtendWith(TestServerExtension.class)
class OrdersTest {
    @Test
    void theExampleEndsWhenTheStreamDoes(TestServer server) {
        String url = server.newStreamUrl();
        List<String> printed = MetersTestKt.printedBy(() -> {
            Orders.main(new String[] {url});
            return kotlin.Unit.INSTANCE;
        });
        try (DurableStream client = DurableStream.create()) {
            String end = client.head(url).getNextOffset().getValue();
            assertEquals(List.of("order 1", "order 2", "order 3", "resume from " + end), printed);
        }
    }

    @Test
    void anAppendSurvivesABusyServer(TestServer server) {
        try (DurableStream client = DurableStream.create()) {
            String url = server.newStreamUrl();
            client.create(url, "text/plain");
            server.injectFault(Fault.at(url).status(503).count(2));
            assertEquals(3, client.append(url, "x".getBytes()).getAttempts());
        }
    }
}
