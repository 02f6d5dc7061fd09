//! Long-polls (protocol.md §12, §15, §18).

use std::time::{Duration, Instant};

use crate::client::{CLOSED, Client, JSON, TEXT, append, ask, create, get, quick, start};

#[tokio::test]
async fn data_that_is_there_comes_at_once() {
    let server = quick().long_poll_timeout(Duration::from_secs(60)).start().await.expect("started");
    create(&server, "/v1/stream/a", TEXT, b"abc").await;
    let reply = get(&server, "/v1/stream/a?offset=-1&live=long-poll").await;
    assert_eq!((reply.status, reply.text()), (200, "abc"));
    assert!(reply.header("stream-cursor").is_some_and(|cursor| cursor.bytes().all(|byte| byte.is_ascii_digit())));
    assert!(reply.header("etag").is_some());
    assert_eq!(reply.header("stream-up-to-date"), Some("true"));
    assert_eq!(get(&server, "/v1/stream/a?offset=-1&live=true").await.text(), "abc");
}

#[tokio::test]
async fn nothing_new_is_a_204_with_the_tail() {
    let server = start().await;
    let tail = create(&server, "/v1/stream/a", TEXT, b"abc").await;
    for offset in [tail.as_str(), "now"] {
        let started = Instant::now();
        let reply = get(&server, &format!("/v1/stream/a?offset={offset}&live=long-poll")).await;
        assert!(started.elapsed() >= Duration::from_millis(300));
        assert_eq!((reply.status, reply.next_offset()), (204, tail.clone()));
        assert_eq!(reply.header("stream-up-to-date"), Some("true"));
        assert_eq!(reply.header("cache-control"), Some("no-store"));
        assert!(reply.header("stream-cursor").is_some());
        assert_eq!(reply.header("stream-closed"), None);
    }
}

#[tokio::test]
async fn an_append_wakes_waiting_readers_with_only_the_new_data() {
    let server = quick().long_poll_timeout(Duration::from_secs(60)).start().await.expect("started");
    create(&server, "/v1/stream/a", JSON, b"[1]").await;
    let mut waiting = Client::to(&server).await;
    waiting.send("GET", "/v1/stream/a?offset=now&live=long-poll", &[], b"").await;
    wait_for_live_readers(&server, 1).await;
    let tail = append(&server, "/v1/stream/a", JSON, b"[2,3]").await;
    let reply = waiting.reply_to("GET").await;
    assert_eq!((reply.status, reply.text(), reply.next_offset()), (200, "[2,3]", tail));
    assert_eq!(reply.header("cache-control"), Some("no-store"), "what now means has moved on");
}

#[tokio::test]
async fn closure_wakes_waiting_readers_data_first() {
    let server = quick().long_poll_timeout(Duration::from_secs(60)).start().await.expect("started");
    for (path, body) in [("/v1/stream/a", &b""[..]), ("/v1/stream/b", b"last")] {
        let tail = create(&server, path, TEXT, b"abc").await;
        let mut waiting = Client::to(&server).await;
        waiting.send("GET", &format!("{path}?offset={tail}&live=long-poll"), &[], b"").await;
        wait_for_live_readers(&server, 1).await;
        ask(&server, "POST", path, &[TEXT, CLOSED], body).await;
        let reply = waiting.reply_to("GET").await;
        assert_eq!((reply.status, &*reply.body), (if body.is_empty() { 204 } else { 200 }, body));
        assert_eq!(reply.header("stream-closed"), Some("true"));
        assert_eq!(reply.header("stream-up-to-date"), Some("true"));
        let at_the_end = format!("{path}?offset={}&live=long-poll", reply.next_offset());
        let end = get(&server, &at_the_end).await;
        assert_eq!((end.status, end.header("stream-closed")), (204, Some("true")));
    }
}

#[tokio::test]
async fn deletion_answers_waiting_readers() {
    let server = quick().long_poll_timeout(Duration::from_secs(60)).start().await.expect("started");
    for (path, status) in [("/v1/stream/a", 404), ("/v1/stream/b", 410)] {
        create(&server, path, TEXT, b"abc").await;
        if status == 410 {
            ask(&server, "PUT", "/v1/stream/fork", &[("Stream-Forked-From", path)], b"").await;
        }
        let mut waiting = Client::to(&server).await;
        waiting.send("GET", &format!("{path}?offset=now&live=long-poll"), &[], b"").await;
        wait_for_live_readers(&server, 1).await;
        ask(&server, "DELETE", path, &[], b"").await;
        assert_eq!(waiting.reply_to("GET").await.status, status);
    }
}

#[tokio::test]
async fn a_clients_cursor_is_always_exceeded() {
    let server = start().await;
    create(&server, "/v1/stream/a", TEXT, b"abc").await;
    let cursor = async |sent: &str| -> u64 {
        let reply = get(&server, &format!("/v1/stream/a?offset=-1&live=long-poll{sent}")).await;
        reply.header("stream-cursor").and_then(|cursor| cursor.parse().ok()).expect("a cursor")
    };
    let current = cursor("").await;
    assert!(cursor(&format!("&cursor={current}")).await > current);
    let ahead = current + 1_000_000;
    assert!(cursor(&format!("&cursor={ahead}")).await > ahead);
    for unusable in ["abc", "", "-5", "1.5", "99999999999999999999"] {
        assert!(cursor(&format!("&cursor={unusable}")).await <= current + 1, "{unusable}");
    }
}

#[tokio::test]
async fn forks_wait_only_for_their_own_appends() {
    let server = start().await;
    create(&server, "/v1/stream/src", TEXT, b"abc").await;
    ask(&server, "PUT", "/v1/stream/fork", &[("Stream-Forked-From", "/v1/stream/src")], b"").await;
    assert_eq!(get(&server, "/v1/stream/fork?offset=-1&live=long-poll").await.text(), "abc");
    let mut waiting = Client::to(&server).await;
    waiting.send("GET", "/v1/stream/fork?offset=now&live=long-poll", &[], b"").await;
    wait_for_live_readers(&server, 1).await;
    append(&server, "/v1/stream/src", TEXT, b"def").await;
    assert_eq!(waiting.reply_to("GET").await.status, 204);
}

#[tokio::test]
async fn a_reader_who_hangs_up_is_noticed_at_once() {
    let server = quick().long_poll_timeout(Duration::from_secs(600)).start().await.expect("started");
    create(&server, "/v1/stream/a", TEXT, b"abc").await;
    for live in ["long-poll", "sse"] {
        let mut waiting = Client::to(&server).await;
        waiting.send("GET", &format!("/v1/stream/a?offset=now&live={live}"), &[], b"").await;
        wait_for_live_readers(&server, 1).await;
        drop(waiting);
        wait_for_live_readers(&server, 0).await;
    }
}

#[tokio::test]
async fn the_live_reader_limit_is_a_503_to_come_back_after() {
    let server = quick().long_poll_timeout(Duration::from_secs(60)).max_live_readers(1).start().await.expect("started");
    create(&server, "/v1/stream/a", TEXT, b"abc").await;
    let mut waiting = Client::to(&server).await;
    waiting.send("GET", "/v1/stream/a?offset=now&live=long-poll", &[], b"").await;
    wait_for_live_readers(&server, 1).await;
    for live in ["long-poll", "sse"] {
        let reply = get(&server, &format!("/v1/stream/a?offset=now&live={live}")).await;
        assert_eq!((reply.status, reply.header("retry-after")), (503, Some("1")), "{live}");
    }
    assert_eq!(get(&server, "/v1/stream/a").await.status, 200, "catch-up reads go on");
}

/// Resolves once so many live reads are under way.
pub async fn wait_for_live_readers(server: &durable_streams_server::server::RunningServer, count: usize) {
    let patience = Instant::now() + crate::client::PATIENCE;
    while server.live_readers() != count {
        assert!(Instant::now() < patience, "{} live readers, not {count}", server.live_readers());
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn one_connection_mixes_live_reads_with_everything_else() {
    let server = start().await;
    create(&server, "/v1/stream/a", TEXT, b"abc").await;
    let mut client = Client::to(&server).await;
    for round in 0..3 {
        client.send("GET", "/v1/stream/a?offset=-1", &[], b"").await;
        assert_eq!(client.reply_to("GET").await.text(), "abc", "{round}");
        client.send("GET", "/v1/stream/a?offset=now&live=long-poll", &[], b"").await;
        assert_eq!(client.reply_to("GET").await.status, 204, "{round}");
        client.send("GET", "/v1/stream/a?offset=-1&live=long-poll", &[], b"").await;
        assert_eq!(client.reply_to("GET").await.text(), "abc", "{round}");
        client.send("GET", "/v1/stream/missing?offset=now&live=sse", &[], b"").await;
        assert_eq!(client.reply_to("GET").await.status, 404, "{round}");
        client.send("GET", "/v1/stream/a?live=sse", &[], b"").await;
        assert_eq!(client.reply_to("GET").await.status, 400, "{round}");
        client.send("PUT", "/v1/stream/b", &[TEXT], b"").await;
        assert!(matches!(client.reply_to("PUT").await.status, 200 | 201), "{round}");
    }
    create(&server, "/v1/stream/done", ("Stream-Closed", "true"), b"x").await;
    client.send("GET", "/v1/stream/done?offset=-1&live=sse", &[], b"").await;
    assert!(client.reply_to("GET").await.text().ends_with("\"streamClosed\":true}\n\n"));
    client.send("HEAD", "/v1/stream/a", &[], b"").await;
    assert_eq!(client.reply_to("HEAD").await.status, 200);
}

#[tokio::test]
async fn bytes_of_a_body_are_never_read_as_a_request() {
    let server = start().await;
    create(&server, "/v1/stream/a", TEXT, b"secret").await;
    let smuggled = b"GET /v1/stream/a?offset=-1&live=long-poll HTTP/1.1\r\nHost: x\r\n\r\n";
    let length = smuggled.len().to_string();
    // A body that no handler reads, in a packet of its own.
    let mut client = Client::to(&server).await;
    client.send("GET", "/v1/stream/missing", &[("Content-Length", &length)], b"").await;
    assert_eq!(client.head().await.status, 404);
    client.write(smuggled).await;
    client.send("GET", "/health", &[], b"").await;
    let rest = client.rest().await;
    assert!(!rest.contains("secret"), "{rest}");
    // A body that is stored, in a packet of its own.
    let mut client = Client::to(&server).await;
    client.send("POST", "/v1/stream/a", &[TEXT, ("Content-Length", &length)], b"").await;
    client.write(smuggled).await;
    assert_eq!(client.reply_to("POST").await.status, 204);
    assert_eq!(get(&server, "/v1/stream/a").await.body, [&b"secret"[..], smuggled].concat());
    // A head in two packets, the second of which looks like a request.
    let mut client = Client::to(&server).await;
    client.write(b"GET /health HTTP/1.1\r\nHost: x\r\nX: ").await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    client.write(smuggled).await;
    assert_eq!(client.reply_to("GET").await.text(), r#"{"status":"ok"}"#);
}
