//! Reading over real sockets: client and server of this repository together.

use std::time::Duration;

use durable_streams::{
    Chunk, ChunkIterator, Client, CreateOptions, DurableStream, ErrorCode, LiveMode, Offset, StreamError,
    http::HeaderMap,
};
use durable_streams_server::{
    http::{Fault, SseEvent},
    server::{RunningServer, Server, ServerBuilder},
};

const LIVE: [LiveMode; 3] = [LiveMode::LongPoll, LiveMode::Sse, LiveMode::Auto];
const TYPES: [&str; 3] = ["application/json", "text/plain", "application/octet-stream"];

async fn start(change: impl FnOnce(ServerBuilder) -> ServerBuilder) -> (RunningServer, Client) {
    let builder = Server::builder()
        .test_control(true)
        .long_poll_timeout(Duration::from_millis(300))
        .sse_reconnect_interval(Duration::from_secs(2));
    let server = change(builder).start().await.expect("starts");
    let client = Client::builder().base_url(server.streams_url()).build().expect("valid");
    (server, client)
}

async fn created(client: &Client, name: &str, content_type: &str) -> DurableStream {
    let stream = client.stream(name);
    stream.create_with_options(CreateOptions::new().content_type(content_type)).await.expect("creates");
    stream
}

/// Takes chunks until as much text has come as is wanted, or the end.
async fn text_of(chunks: &mut ChunkIterator, wanted: &str) -> String {
    let mut text = String::new();
    while text.len() < wanted.len() {
        let Some(chunk) = chunks.next_chunk().await.expect("reads") else { break };
        // An empty array tells that the read is up to date.
        if chunk.data != "[]" {
            text.push_str(std::str::from_utf8(&chunk.data).expect("text"));
        }
    }
    text
}

async fn rest(mut chunks: ChunkIterator) -> Vec<Chunk> {
    let mut all = Vec::new();
    while let Some(chunk) = chunks.next_chunk().await.expect("reads") {
        all.push(chunk);
    }
    all
}

#[tokio::test]
async fn batches_in_pieces_are_the_bytes_of_the_stream() {
    let (server, client) = start(|builder| builder.max_chunk_bytes(2 << 20)).await;
    let stream = created(&client, "pieces", "application/octet-stream").await;
    let written: Vec<u8> = (0..1_500_000_u32).flat_map(|at| at.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
    for part in written.chunks(1 << 20) {
        stream.append(part.to_vec()).await.expect("appends");
    }
    let mut reader = stream.read().vectored(true).reader().expect("valid");
    let (mut read, mut most_pieces) = (Vec::new(), 0);
    while let Some(batch) = reader.next_batch().await.expect("reads") {
        batch.pieces().for_each(|piece| read.extend_from_slice(piece));
        most_pieces = most_pieces.max(batch.pieces().count());
        assert_eq!(batch.next_offset, *reader.offset());
    }
    assert!(read == written, "{} bytes of {}", read.len(), written.len());
    assert!(most_pieces > 1, "no answer of 2 MiB came in more than one piece");
    // Chunks are whole, whatever was asked for.
    let chunks = rest(stream.read().vectored(true).build().expect("valid")).await;
    assert_eq!(chunks.iter().map(|chunk| chunk.data.len()).sum::<usize>(), written.len());
    server.stop().await;
}

#[tokio::test]
async fn a_stream_of_many_answers_reads_back_byte_for_byte() {
    let (server, client) = start(|builder| builder.max_chunk_bytes(65_536)).await;
    let stream = created(&client, "bytes", "application/octet-stream").await;
    let mut written = Vec::new();
    for round in 0..40_u32 {
        let piece: Vec<u8> = (0..30_000_u32).map(|at| (at.wrapping_mul(31) ^ round).to_le_bytes()[0]).collect();
        stream.append(&piece).await.expect("appends");
        written.extend_from_slice(&piece);
    }
    for prefetch in [true, false] {
        let chunks = rest(stream.read().prefetch(prefetch).build().expect("valid")).await;
        assert!(chunks.len() > 5, "{}", chunks.len());
        assert!(chunks.concat_data() == written);
        assert!(chunks.last().is_some_and(|chunk| chunk.up_to_date));
        // Every chunk's offset resumes exactly behind it.
        let (half, tail) = chunks.split_at(chunks.len() / 2);
        let resumed = rest(stream.read().offset(&half[half.len() - 1].offset).build().expect("valid")).await;
        assert!(resumed.concat_data() == tail.to_vec().concat_data());
    }
    server.stop().await;
}

#[tokio::test]
async fn large_answers_survive_callers_that_stop_waiting() {
    use futures_util::FutureExt as _;

    let (server, client) = start(|builder| builder.max_chunk_bytes(1 << 20)).await;
    let stream = created(&client, "large", "application/octet-stream").await;
    let piece: Vec<u8> = (0..1_000_000_u32).map(|at| at.wrapping_mul(2_654_435_761).to_le_bytes()[3]).collect();
    for _ in 0..6 {
        stream.append(&piece).await.expect("appends");
    }
    let mut chunks = stream.read().build().expect("valid");
    let mut read = Vec::new();
    loop {
        // Every poll is a future of its own, dropped at once.
        match chunks.next_chunk().now_or_never() {
            None => tokio::task::yield_now().await,
            Some(chunk) => match chunk.expect("reads") {
                Some(chunk) => read.extend_from_slice(&chunk.data),
                None => break,
            },
        }
    }
    assert!(read == piece.repeat(6));
    // Leaving in the middle of an answer is fine, too.
    let mut chunks = stream.read().build().expect("valid");
    for _ in 0..50 {
        assert!(!matches!(chunks.next_chunk().now_or_never(), Some(Err(_))));
        tokio::task::yield_now().await;
    }
    drop(chunks);
    server.stop().await;
}

#[tokio::test]
async fn live_reads_deliver_what_is_appended_while_they_wait_and_end_at_closure() {
    let (server, client) = start(|builder| builder).await;
    for content_type in TYPES {
        for live in LIVE {
            let stream = created(&client, &format!("live-{}-{live:?}", content_type.len()), content_type).await;
            let is_json = content_type == "application/json";
            let message = |number: u32| if is_json { format!("[{number}]") } else { format!("<{number}>") };
            stream.append(message(0)).await.expect("appends");
            let mut chunks = stream.read().live(live).build().expect("valid");
            let first = chunks.next_chunk().await.expect("reads").expect("has data");
            assert_eq!(
                (first.data.as_ref(), first.up_to_date),
                (message(0).as_bytes(), true),
                "{content_type} {live:?}"
            );
            for number in 1..6 {
                let expected = message(number);
                let (text, appended) = tokio::join!(text_of(&mut chunks, &expected), stream.append(message(number)));
                assert_eq!(text, expected, "{content_type} {live:?}");
                assert_eq!(*chunks.offset(), appended.expect("appends").next_offset);
            }
            let (last, closed) = tokio::join!(chunks.next_chunk(), stream.close());
            assert!(last.expect("reads").expect("tells the end").stream_closed);
            assert_eq!(*chunks.offset(), closed.expect("closes").final_offset);
            assert_eq!(chunks.next_chunk().await.expect("reads"), None);
        }
    }
    server.stop().await;
}

#[tokio::test]
async fn now_delivers_only_what_comes_later() {
    let (server, client) = start(|builder| builder).await;
    for live in LIVE {
        let stream = created(&client, &format!("now-{live:?}"), "application/json").await;
        stream.append(b"[1]").await.expect("appends");
        let mut chunks = stream.read().offset(Offset::Now).live(live).build().expect("valid");
        // The first answer of an SSE read tells the tail; a long-poll waits. Either way the
        // reader must be waiting before the append.
        let read = tokio::spawn(async move { text_of(&mut chunks, "[2]").await });
        while server.live_readers() == 0 {
            tokio::task::yield_now().await;
        }
        stream.append(b"[2]").await.expect("appends");
        assert_eq!(read.await.expect("no panic"), "[2]", "{live:?}");
        while server.live_readers() != 0 {
            tokio::task::yield_now().await;
        }
    }
    server.stop().await;
}

#[tokio::test]
async fn a_live_read_outlives_several_answers_of_the_server() {
    let (server, plain) = start(|builder| builder.sse_reconnect_interval(Duration::from_secs(1))).await;
    for live in [LiveMode::LongPoll, LiveMode::Sse] {
        let stream = created(&plain, &format!("long-{live:?}"), "text/plain").await;
        // Every request of the reader asks this provider.
        let (requests, mut seen) = tokio::sync::watch::channel(0);
        let reading = plain.to_builder().header_provider(move || {
            requests.send_modify(|count| *count += 1);
            HeaderMap::new()
        });
        let reading = reading.build().expect("valid").stream(stream.url());
        let mut chunks = reading.read().live(live).build().expect("valid");
        let write = async {
            for number in 0..4 {
                let before = *seen.borrow_and_update();
                seen.wait_for(|count| *count > before).await.expect("the reader lives");
                stream.append(number.to_string()).await.expect("appends");
            }
            stream.close().await.expect("closes");
        };
        let read = async {
            let mut text = Vec::new();
            while let Some(chunk) = chunks.next_chunk().await.expect("reads") {
                text.extend_from_slice(&chunk.data);
            }
            text
        };
        assert_eq!(tokio::join!(read, write).0, b"0123", "{live:?}");
    }
    server.stop().await;
}

#[tokio::test]
async fn dropping_the_iterator_ends_its_connection() {
    let (server, client) = start(|builder| builder.long_poll_timeout(Duration::from_secs(30))).await;
    for live in [LiveMode::LongPoll, LiveMode::Sse] {
        let stream = created(&client, &format!("drop-{live:?}"), "text/plain").await;
        let mut chunks = stream.read().live(live).build().expect("valid");
        assert!(chunks.next_chunk().await.expect("reads").expect("tells up to date").up_to_date);
        let waiting = tokio::spawn(async move { chunks.next_chunk().await });
        while server.live_readers() == 0 {
            tokio::task::yield_now().await;
        }
        waiting.abort();
        while server.live_readers() != 0 {
            tokio::task::yield_now().await;
        }
    }
    server.stop().await;
}

#[tokio::test]
async fn spoilt_bodies_are_parse_errors_and_the_next_read_works() {
    let (server, client) = start(|builder| builder.compression(false)).await;
    let stream = created(&client, "spoilt", "application/json").await;
    stream.append(br#"[{"cm":112},{"cm":118}]"#).await.expect("appends");
    let path = format!("{}/spoilt", server.streams_url());
    let path = path.strip_prefix(server.url()).expect("below the origin").to_owned();
    for fault in [
        Fault { truncate_body_bytes: Some(0), ..Fault::default() },
        Fault { truncate_body_bytes: Some(5), ..Fault::default() },
        Fault { truncate_body_bytes: Some(15), ..Fault::default() },
        Fault { corrupt_body: true, ..Fault::default() },
    ] {
        server.inject_fault(Fault { path: path.clone(), ..fault.clone() });
        let mut chunks = stream.read().build().expect("valid");
        let error = chunks.next_chunk().await.expect_err("spoilt");
        assert_eq!(error.code(), ErrorCode::ParseError, "{fault:?}");
        assert!(chunks.offset().is_beginning());
        assert_eq!(
            chunks.next_chunk().await.expect("reads").expect("has data").data,
            &br#"[{"cm":112},{"cm":118}]"#[..]
        );
    }
    server.stop().await;
}

#[tokio::test]
async fn broken_connections_and_server_errors_are_survived() {
    let (server, client) = start(|builder| builder).await;
    let stream = created(&client, "faults", "text/plain").await;
    stream.append(b"data").await.expect("appends");
    let path = server.streams_url().replace(server.url(), "") + "/faults";
    for fault in [
        Fault { drop_connection: true, count: Some(2), ..Fault::default() },
        Fault { status: Some(500), count: Some(2), ..Fault::default() },
        Fault { status: Some(429), retry_after: Some(1), ..Fault::default() },
    ] {
        server.inject_fault(Fault { path: path.clone(), ..fault });
        assert_eq!(rest(stream.read().build().expect("valid")).await.concat_data(), b"data");
    }
    server.stop().await;
}

#[tokio::test]
async fn unknown_sse_events_are_ignored_and_malformed_control_events_are_parse_errors() {
    let (server, client) = start(|builder| builder).await;
    let stream = created(&client, "events", "text/plain").await;
    let path = server.streams_url().replace(server.url(), "") + "/events";
    let tail = stream.append(b"data").await.expect("appends").next_offset;
    let fault = |event_type: &str, data: &str, count| Fault {
        path: path.clone(),
        inject_sse_event: Some(SseEvent { event_type: event_type.to_owned(), data: data.to_owned() }),
        count: Some(count),
        ..Fault::default()
    };
    server.inject_fault(fault("unknown-future-type", "{\"some\":\"future-data\"}", 2));
    let mut chunks = stream.read().live(LiveMode::Sse).build().expect("valid");
    assert_eq!(text_of(&mut chunks, "data").await, "data");
    for data in ["{invalid json here", ""] {
        server.inject_fault(fault("control", data, 2));
        let mut chunks = stream.read().offset(&tail).live(LiveMode::Sse).build().expect("valid");
        let told = loop {
            match chunks.next_chunk().await {
                Ok(Some(_)) => {}
                other => break other,
            }
        };
        assert_eq!(told.expect_err("malformed").code(), ErrorCode::ParseError);
    }
    server.stop().await;
}

#[tokio::test]
async fn refusals_have_their_own_errors() {
    let (server, client) = start(|builder| builder).await;
    for live in [LiveMode::Off, LiveMode::LongPoll, LiveMode::Sse] {
        for offset in [Offset::Beginning, Offset::Now] {
            let missing =
                client.stream("missing").read().offset(offset).live(live).build().expect("valid").next_chunk().await;
            assert!(matches!(missing, Err(StreamError::NotFound)), "{live:?}");
        }
    }
    let stream = created(&client, "refusals", "text/plain").await;
    let mut reader = stream.read().offset("not-a-valid-offset-format").reader().expect("valid");
    assert_eq!(reader.next_batch().await.expect_err("refused").code(), ErrorCode::InvalidOffset);
    server.stop().await;
}

#[tokio::test]
async fn header_providers_are_asked_for_every_request_of_a_read() {
    let (server, _) = start(|builder| builder.max_chunk_bytes(65_536)).await;
    let asked = std::sync::Arc::new(std::sync::atomic::AtomicU32::new(0));
    let count = std::sync::Arc::clone(&asked);
    let client = Client::builder()
        .base_url(server.streams_url())
        .header_provider(move || {
            count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            HeaderMap::new()
        })
        .build()
        .expect("valid");
    let stream = created(&client, "asked", "text/plain").await;
    for _ in 0..4 {
        stream.append(vec![b'x'; 50_000]).await.expect("appends");
    }
    let before = asked.load(std::sync::atomic::Ordering::Relaxed);
    let chunks = rest(stream.read().build().expect("valid")).await;
    assert_eq!(chunks.concat_data().len(), 200_000);
    let answers = u32::try_from(chunks.len()).expect("few");
    assert!(answers > 1);
    assert_eq!(asked.load(std::sync::atomic::Ordering::Relaxed) - before, answers);
    server.stop().await;
}

#[cfg(feature = "json")]
#[tokio::test]
async fn typed_items_arrive_live_and_in_order() {
    let (server, client) = start(|builder| builder).await;
    for live in LIVE {
        let stream = created(&client, &format!("typed-{live:?}"), "application/json").await;
        let mut numbers = stream.read().live(live).json::<u32>().expect("valid");
        let write = async {
            for number in 0..50_u32 {
                stream.append(format!("[{},{}]", 2 * number, 2 * number + 1)).await.expect("appends");
            }
            stream.close().await.expect("closes");
        };
        let read = async {
            let mut taken = Vec::new();
            while let Some(item) = numbers.next_item().await.expect("reads") {
                taken.push(item.value);
            }
            taken
        };
        assert_eq!(tokio::join!(read, write).0, (0..100).collect::<Vec<_>>(), "{live:?}");
    }
    server.stop().await;
}

trait ConcatData {
    fn concat_data(&self) -> Vec<u8>;
}

impl ConcatData for [Chunk] {
    fn concat_data(&self) -> Vec<u8> {
        self.iter().flat_map(|chunk| chunk.data.iter().copied()).collect()
    }
}
