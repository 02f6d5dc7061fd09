//! Server-sent events (protocol.md §13).

use base64::{Engine, prelude::BASE64_STANDARD};

use crate::{
    client::{BYTES, CLOSED, Events, JSON, TEXT, append, ask, create, get, quick, start},
    live::wait_for_live_readers,
};

#[tokio::test]
async fn headers_are_exact_and_come_before_any_data() {
    let server = start().await;
    for (path, content_type, encoding) in [
        ("/v1/stream/text", TEXT, None),
        ("/v1/stream/json", JSON, None),
        ("/v1/stream/csv", ("Content-Type", "text/csv; header=present"), None),
        ("/v1/stream/bytes", BYTES, Some("base64")),
        ("/v1/stream/ndjson", ("Content-Type", "application/ndjson"), Some("base64")),
    ] {
        create(&server, path, content_type, b"").await;
        let events = Events::of(&server, &format!("{path}?offset=now&live=sse")).await;
        assert_eq!(events.head.header("content-type"), Some("text/event-stream"));
        assert_eq!(events.head.header("cache-control"), Some("no-cache"));
        assert_eq!(events.head.header("content-length"), None);
        assert_eq!(events.head.header("etag"), None);
        assert_eq!(events.head.header("x-accel-buffering"), Some("no"));
        assert_eq!(events.head.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(events.head.header("stream-sse-data-encoding"), encoding, "{path}");
    }
}

#[tokio::test]
async fn data_and_its_control_event_travel_in_one_frame() {
    let server = start().await;
    let first = create(&server, "/v1/stream/a", JSON, b"[1]").await;
    let mut events = Events::of(&server, "/v1/stream/a?offset=-1&live=sse").await;
    let frame = events.frame().await.expect("a frame");
    let (data, control) = frame.split_once("\n\n").expect("two events");
    assert_eq!(data, "event: data\ndata:[1]");
    assert!(
        control.starts_with(&format!("event: control\ndata:{{\"streamNextOffset\":\"{first}\",\"streamCursor\":\""))
    );
    assert!(control.ends_with("\",\"upToDate\":true}\n\n"), "{control}");
    let second = append(&server, "/v1/stream/a", JSON, b"[{\"x\": 2}, 3]").await;
    let frame = events.frame().await.expect("a frame");
    assert!(frame.starts_with("event: data\ndata:[{\"x\":2},3]\n\nevent: control\ndata:{"), "{frame}");
    assert!(frame.contains(&second));
}

#[tokio::test]
async fn line_breaks_in_text_cannot_forge_events() {
    let server = start().await;
    create(&server, "/v1/stream/a", TEXT, b"one\r\nevent: control\rdata: {}\n\nlast").await;
    let mut events = Events::of(&server, "/v1/stream/a?offset=-1&live=sse").await;
    let expected = "event: data\ndata:one\ndata:event: control\ndata:data: {}\ndata:\ndata:last\n\n";
    assert_eq!(events.next().await.as_deref(), Some(expected));
    assert!(events.control().await["upToDate"].as_bool().expect("a flag"));
}

#[tokio::test]
async fn other_types_travel_as_base64() {
    let server = start().await;
    let bytes: Vec<u8> = (0..=255).collect();
    create(&server, "/v1/stream/a", BYTES, &bytes).await;
    let mut events = Events::of(&server, "/v1/stream/a?offset=-1&live=sse").await;
    let event = events.next().await.expect("an event");
    let encoded: String = event
        .strip_prefix("event: data\n")
        .expect("data")
        .lines()
        .filter_map(|line| line.strip_prefix("data:"))
        .collect();
    assert_eq!(BASE64_STANDARD.decode(encoded).expect("base64"), bytes);
    assert!(events.control().await["streamNextOffset"].is_string());
}

#[tokio::test]
async fn a_reader_at_the_tail_hears_where_it_is_at_once() {
    let server = start().await;
    let empty = create(&server, "/v1/stream/empty", TEXT, b"").await;
    let tail = create(&server, "/v1/stream/a", TEXT, b"abc").await;
    for (target, offset) in [
        ("/v1/stream/empty?offset=-1", &empty),
        ("/v1/stream/a?offset=now", &tail),
        ("/v1/stream/a?offset=9999999999999999_9999999999999999", &tail),
    ] {
        let control = Events::of(&server, &format!("{target}&live=sse")).await.control().await;
        assert_eq!(control["streamNextOffset"], **offset);
        assert_eq!(control["upToDate"], true);
        assert!(control["streamCursor"].as_str().is_some_and(|cursor| cursor.parse::<u64>().is_ok()));
        assert!(control.get("streamClosed").is_none());
    }
}

#[tokio::test]
async fn closure_ends_the_response_after_the_last_data() {
    let server = start().await;
    let end = ask(&server, "PUT", "/v1/stream/done", &[TEXT, CLOSED], b"abc").await.next_offset();
    let mut events = Events::of(&server, "/v1/stream/done?offset=-1&live=sse").await;
    assert_eq!(events.next().await.as_deref(), Some("event: data\ndata:abc\n\n"));
    assert_closed(&events.control().await, &end);
    assert_eq!(events.next().await, None);
    let mut at_the_end = Events::of(&server, "/v1/stream/done?offset=now&live=sse").await;
    assert_closed(&at_the_end.control().await, &end);
    assert_eq!(at_the_end.next().await, None);
    for body in [&b""[..], b"last"] {
        let path = format!("/v1/stream/open-{}", body.len());
        create(&server, &path, TEXT, b"").await;
        let mut events = Events::of(&server, &format!("{path}?offset=-1&live=sse")).await;
        events.control().await;
        let end = ask(&server, "POST", &path, &[TEXT, CLOSED], body).await.next_offset();
        if !body.is_empty() {
            assert_eq!(events.next().await.as_deref(), Some("event: data\ndata:last\n\n"));
        }
        assert_closed(&events.control().await, &end);
        assert_eq!(events.next().await, None);
    }
}

fn assert_closed(control: &serde_json::Value, end: &str) {
    assert_eq!(*control, serde_json::json!({ "streamNextOffset": end, "upToDate": true, "streamClosed": true }));
}

#[tokio::test]
async fn the_response_ends_by_itself_after_its_interval() {
    let server = quick().sse_reconnect_interval(std::time::Duration::from_millis(200)).start().await.expect("started");
    create(&server, "/v1/stream/a", TEXT, b"").await;
    let mut events = Events::of(&server, "/v1/stream/a?offset=-1&live=sse").await;
    assert!(events.control().await.get("streamClosed").is_none());
    assert_eq!(events.next().await, None);
}

#[tokio::test]
async fn deletion_ends_the_response() {
    let server = start().await;
    create(&server, "/v1/stream/a", TEXT, b"").await;
    let mut events = Events::of(&server, "/v1/stream/a?offset=-1&live=sse").await;
    events.control().await;
    ask(&server, "DELETE", "/v1/stream/a", &[], b"").await;
    assert_eq!(events.next().await, None);
}

#[tokio::test]
async fn a_cursor_that_caught_up_is_exceeded() {
    let server = start().await;
    create(&server, "/v1/stream/a", TEXT, b"").await;
    let ahead = 9_000_000_000_u64;
    let control = Events::of(&server, &format!("/v1/stream/a?offset=-1&live=sse&cursor={ahead}")).await.control().await;
    assert!(control["streamCursor"].as_str().and_then(|cursor| cursor.parse::<u64>().ok()).expect("a cursor") > ahead);
}

#[tokio::test]
async fn many_readers_of_one_stream_see_the_same_events_in_order() {
    let server = start().await;
    create(&server, "/v1/stream/a", JSON, b"").await;
    let mut readers = Vec::new();
    for _ in 0..50 {
        readers.push(Events::of(&server, "/v1/stream/a?offset=now&live=sse").await);
    }
    wait_for_live_readers(&server, 50).await;
    for number in 0..20 {
        append(&server, "/v1/stream/a", JSON, format!("[{number}]").as_bytes()).await;
    }
    let tail = get(&server, "/v1/stream/a?offset=now").await.next_offset();
    for reader in &mut readers {
        assert_eq!(reader.control().await["upToDate"], true);
        let mut seen: Vec<u64> = Vec::new();
        loop {
            let event = reader.next().await.expect("an event");
            let payload = event.strip_prefix("event: data\ndata:").expect("a data event");
            seen.extend(serde_json::from_str::<Vec<u64>>(payload.trim_end()).expect("an array"));
            if reader.control().await["streamNextOffset"] == *tail {
                break;
            }
        }
        assert_eq!(seen, (0..20).collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn a_long_history_alternates_data_and_control() {
    let server = start().await;
    create(&server, "/v1/stream/a", TEXT, b"").await;
    for unit in 0..40 {
        append(&server, "/v1/stream/a", TEXT, format!("{unit:020000}").as_bytes()).await;
    }
    let mut events = Events::of(&server, "/v1/stream/a?offset=-1&live=sse").await;
    let (mut read, mut pairs) = (0, 0);
    loop {
        let data = events.next().await.expect("an event");
        read += data.strip_prefix("event: data\ndata:").expect("a data event").trim_end().len();
        pairs += 1;
        let control = events.control().await;
        assert_eq!(control.get("upToDate").is_some(), read == 40 * 20_000);
        if read == 40 * 20_000 {
            break;
        }
    }
    assert!(pairs > 1);
}
