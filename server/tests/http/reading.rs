//! Catch-up reads (protocol.md §10, §11, §14).

use crate::client::{BYTES, CLOSED, JSON, TEXT, append, ask, create, get, quick, start};

#[tokio::test]
async fn minus_one_and_nothing_read_the_same_from_the_start() {
    let server = start().await;
    let tail = create(&server, "/v1/stream/a", TEXT, b"abc").await;
    for target in ["/v1/stream/a", "/v1/stream/a?offset=-1", "/v1/stream/a?foo=bar&offset=-1&x"] {
        let reply = get(&server, target).await;
        assert_eq!((reply.status, reply.text()), (200, "abc"), "{target}");
        assert_eq!(reply.header("content-type"), Some("text/plain"));
        assert_eq!(reply.next_offset(), tail);
        assert_eq!(reply.header("stream-up-to-date"), Some("true"));
        assert_eq!(reply.header("stream-closed"), None);
    }
}

#[tokio::test]
async fn reads_continue_where_the_last_one_ended() {
    let server = start().await;
    let first = create(&server, "/v1/stream/a", TEXT, b"abc").await;
    let tail = append(&server, "/v1/stream/a", TEXT, b"def").await;
    assert_eq!(get(&server, &format!("/v1/stream/a?offset={first}")).await.text(), "def");
    for beyond in [tail.as_str(), "9999999999999999_9999999999999999"] {
        let reply = get(&server, &format!("/v1/stream/a?offset={beyond}")).await;
        assert_eq!((reply.status, reply.text(), reply.next_offset()), (200, "", tail.clone()));
        assert_eq!(reply.header("stream-up-to-date"), Some("true"));
    }
}

#[tokio::test]
async fn the_tail_of_a_json_stream_is_an_empty_array() {
    let server = start().await;
    let tail = create(&server, "/v1/stream/a", JSON, b"[]").await;
    assert_eq!(get(&server, "/v1/stream/a").await.text(), "[]");
    assert_eq!(get(&server, &format!("/v1/stream/a?offset={tail}")).await.text(), "[]");
    assert_eq!(get(&server, "/v1/stream/a?offset=now").await.text(), "[]");
}

#[tokio::test]
async fn now_is_the_tail_and_is_never_kept() {
    let server = start().await;
    let tail = create(&server, "/v1/stream/a", TEXT, b"abc").await;
    let reply = get(&server, "/v1/stream/a?offset=now").await;
    assert_eq!((reply.status, reply.text(), reply.next_offset()), (200, "", tail));
    assert_eq!(reply.header("cache-control"), Some("no-store"));
    assert_eq!(reply.header("etag"), None);
    assert_eq!(reply.header("stream-up-to-date"), Some("true"));
    ask(&server, "POST", "/v1/stream/a", &[CLOSED], b"").await;
    assert_eq!(get(&server, "/v1/stream/a?offset=now").await.header("stream-closed"), Some("true"));
}

#[tokio::test]
async fn a_missing_stream_is_reported_before_a_malformed_parameter() {
    let server = start().await;
    create(&server, "/v1/stream/a", TEXT, b"abc").await;
    let token = "0000000000000000_0000000000000003";
    for query in [
        "offset=",
        "offset=0",
        "offset=abc",
        "offset=%20-1",
        "offset=-1%0A",
        "offset=-1%0D",
        "offset=a%2Cb",
        "offset=..%2F..",
        "offset=%00",
        "offset=-1&offset=-1",
        "offset=NOW",
        "live=sse",
        "live=long-poll",
        "offset=-1&live=",
        "offset=-1&live=x",
        &format!("offset={token}%0A"),
        &format!("offset=%20{token}"),
    ] {
        assert_eq!(get(&server, &format!("/v1/stream/a?{query}")).await.status, 400, "{query}");
        assert_eq!(get(&server, &format!("/v1/stream/missing?{query}")).await.status, 404, "{query}");
    }
    for live in ["", "&live=long-poll", "&live=sse"] {
        assert_eq!(get(&server, &format!("/v1/stream/missing?offset=now{live}")).await.status, 404, "{live}");
    }
}

#[tokio::test]
async fn large_streams_come_in_chunks_that_add_up() {
    let server = quick().max_chunk_bytes(64 * 1024).start().await.expect("started");
    create(&server, "/v1/stream/a", BYTES, b"").await;
    let mut whole = Vec::new();
    for unit in 0_u8..40 {
        let body = vec![unit; 10_000];
        append(&server, "/v1/stream/a", BYTES, &body).await;
        whole.extend(body);
    }
    ask(&server, "POST", "/v1/stream/a", &[CLOSED], b"").await;
    let (mut read, mut offset, mut chunks) = (Vec::new(), "-1".to_owned(), 0);
    loop {
        let reply = get(&server, &format!("/v1/stream/a?offset={offset}")).await;
        assert!(reply.next_offset() > offset && reply.body.len() % 10_000 == 0, "units stay whole");
        read.extend_from_slice(&reply.body);
        offset = reply.next_offset();
        chunks += 1;
        let is_last = read.len() == whole.len();
        assert_eq!(reply.header("stream-up-to-date").is_some(), is_last);
        assert_eq!(reply.header("stream-closed").is_some(), is_last);
        if is_last {
            break;
        }
    }
    assert!(chunks > 5 && read == whole);
}
