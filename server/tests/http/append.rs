//! POST: append and close (protocol.md §6, §7, §17, §19).

use crate::client::{BYTES, CLOSED, Client, JSON, TEXT, append, ask, create, get, producer, quick, start};

#[tokio::test]
async fn appends_are_ordered_and_read_back_at_once() {
    let server = start().await;
    let mut last = create(&server, "/v1/stream/a", BYTES, b"").await;
    let all: Vec<u8> = (0..=255).collect();
    for chunk in all.chunks(16) {
        let tail = append(&server, "/v1/stream/a", BYTES, chunk).await;
        assert!(tail > last, "{tail} after {last}");
        assert_eq!(get(&server, "/v1/stream/a").await.next_offset(), tail);
        last = tail;
    }
    assert_eq!(get(&server, "/v1/stream/a").await.body, all);
}

#[tokio::test]
async fn malformed_appends_change_nothing() {
    let server = start().await;
    let tail = create(&server, "/v1/stream/a", JSON, b"[1]").await;
    for (headers, body, status) in [
        (&[JSON][..], &b""[..], 400),
        (&[], b"2", 400),
        (&[TEXT], b"2", 409),
        (&[JSON], b"[]", 400),
        (&[JSON], b"{", 400),
        (&[JSON], b"\xff", 400),
        (&[JSON, CLOSED], b"[]", 400),
        (&[JSON, ("Producer-Id", "p")], b"2", 400),
        (&[JSON, ("Producer-Id", ""), ("Producer-Epoch", "0"), ("Producer-Seq", "0")], b"2", 400),
        (&[JSON, ("Producer-Id", "p"), ("Producer-Epoch", "1abc"), ("Producer-Seq", "0")], b"2", 400),
        (&[JSON, ("Producer-Id", "p"), ("Producer-Epoch", "0"), ("Producer-Seq", "9007199254740992")], b"2", 400),
    ] {
        let reply = ask(&server, "POST", "/v1/stream/a", headers, body).await;
        assert_eq!(reply.status, status, "{headers:?} {body:?}");
    }
    let read = get(&server, "/v1/stream/a").await;
    assert_eq!((read.text(), read.next_offset(), read.header("stream-closed")), ("[1]", tail, None));
}

#[tokio::test]
async fn json_arrays_are_flattened_once_and_kept_as_sent() {
    let server = start().await;
    create(&server, "/v1/stream/a", ("Content-Type", "application/json; charset=utf-8"), b"").await;
    append(&server, "/v1/stream/a", JSON, b"[[1, 2], {\"id\": 1.0}]").await;
    append(&server, "/v1/stream/a", JSON, b" null ").await;
    append(&server, "/v1/stream/a", JSON, b"[[[1]]]").await;
    assert_eq!(get(&server, "/v1/stream/a").await.text(), r#"[[1,2],{"id":1.0},null,[[1]]]"#);
}

#[tokio::test]
async fn stream_seq_must_grow_byte_by_byte() {
    let server = start().await;
    create(&server, "/v1/stream/a", TEXT, b"").await;
    for (seq, status) in
        [("09", 204), ("10", 204), ("10", 409), ("2", 204), ("10", 409), ("B", 204), ("a", 204), ("B", 409)]
    {
        let reply = ask(&server, "POST", "/v1/stream/a", &[TEXT, ("Stream-Seq", seq)], b"x").await;
        assert_eq!(reply.status, status, "{seq}");
        assert!(status == 204 || reply.text().contains(seq));
    }
}

#[tokio::test]
async fn closing_is_idempotent_and_final() {
    let server = start().await;
    let tail = create(&server, "/v1/stream/a", TEXT, b"abc").await;
    for content_type in [None, Some(("Content-Type", "image/png")), None] {
        let headers: Vec<_> = [CLOSED].into_iter().chain(content_type).collect();
        let reply = ask(&server, "POST", "/v1/stream/a", &headers, b"").await;
        assert_eq!((reply.status, reply.header("stream-closed")), (204, Some("true")));
        assert_eq!(reply.next_offset(), tail);
    }
    // The closed check comes before the content type's, so that writers learn of it.
    for headers in [&[TEXT][..], &[JSON], &[TEXT, CLOSED]] {
        let reply = ask(&server, "POST", "/v1/stream/a", headers, b"x").await;
        assert_eq!((reply.status, reply.header("stream-closed")), (409, Some("true")));
        assert_eq!(reply.next_offset(), tail);
    }
    assert_eq!(ask(&server, "POST", "/v1/stream/missing", &[CLOSED], b"").await.status, 404);
}

#[tokio::test]
async fn producers_are_told_new_from_repeated() {
    let server = start().await;
    create(&server, "/v1/stream/a", TEXT, b"").await;
    let post = async |epoch: &str, seq: &str, body: &'static [u8]| {
        let headers = [&[TEXT][..], &producer("p/1", epoch, seq)].concat();
        ask(&server, "POST", "/v1/stream/a", &headers, body).await
    };
    let first = post("0", "0", b"a").await;
    assert_eq!(
        (first.status, first.header("producer-epoch"), first.header("producer-seq")),
        (200, Some("0"), Some("0"))
    );
    assert_eq!(post("0", "1", b"b").await.status, 200);
    let repeated = post("0", "0", b"whatever").await;
    assert_eq!((repeated.status, repeated.header("producer-seq")), (204, Some("1")));
    assert_eq!(repeated.next_offset(), get(&server, "/v1/stream/a").await.next_offset());
    assert_eq!(repeated.header("stream-closed"), None);
    let gap = post("0", "5", b"x").await;
    assert_eq!(gap.status, 409);
    assert_eq!((gap.header("producer-expected-seq"), gap.header("producer-received-seq")), (Some("2"), Some("5")));
    assert_eq!(gap.header("stream-closed"), None);
    assert_eq!(post("2", "1", b"x").await.status, 400);
    assert_eq!(post("2", "0", b"c").await.status, 200);
    let stale = post("1", "0", b"x").await;
    assert_eq!((stale.status, stale.header("producer-epoch")), (403, Some("2")));
    assert_eq!(get(&server, "/v1/stream/a").await.text(), "abc");
}

#[tokio::test]
async fn a_closing_producer_request_may_be_repeated_but_nothing_else() {
    let server = start().await;
    create(&server, "/v1/stream/a", TEXT, b"").await;
    let closing = [&[TEXT, CLOSED][..], &producer("p", "0", "0")].concat();
    let first = ask(&server, "POST", "/v1/stream/a", &closing, b"last").await;
    assert_eq!((first.status, first.header("stream-closed")), (200, Some("true")));
    let again = ask(&server, "POST", "/v1/stream/a", &closing, b"other").await;
    assert_eq!((again.status, again.header("stream-closed")), (204, Some("true")));
    let other = [&[TEXT, CLOSED][..], &producer("p", "0", "1")].concat();
    assert_eq!(ask(&server, "POST", "/v1/stream/a", &other, b"").await.status, 409);
    assert_eq!(get(&server, "/v1/stream/a").await.text(), "last");
    // Close-only with producer headers is 204, not 200.
    create(&server, "/v1/stream/b", TEXT, b"").await;
    let close_only = [&[CLOSED][..], &producer("p", "0", "0")].concat();
    let reply = ask(&server, "POST", "/v1/stream/b", &close_only, b"").await;
    assert_eq!(
        (reply.status, reply.header("producer-seq"), reply.header("stream-closed")),
        (204, Some("0"), Some("true"))
    );
}

#[tokio::test]
async fn a_body_over_the_limit_is_a_413_the_client_can_read() {
    let server = quick().max_body_bytes(1000).start().await.expect("started");
    create(&server, "/v1/stream/a", BYTES, b"").await;
    assert_eq!(ask(&server, "POST", "/v1/stream/a", &[BYTES], &[7; 1000]).await.status, 204);
    let reply = ask(&server, "POST", "/v1/stream/a", &[BYTES], &vec![7; 8 << 20]).await;
    assert_eq!(reply.status, 413);
    assert!(reply.text().contains("1000 bytes"), "{}", reply.text());
    assert_eq!(ask(&server, "POST", "/v1/stream/missing", &[BYTES], &[7; 2000]).await.status, 404);
    assert_eq!(ask(&server, "PUT", "/v1/stream/b", &[BYTES], &[7; 2000]).await.status, 413);
    let mut chunked = Client::to(&server).await;
    chunked.send("POST", "/v1/stream/a", &[BYTES, ("Transfer-Encoding", "chunked")], b"").await;
    for _ in 0..3 {
        chunked.write(b"200\r\n").await;
        chunked.write(&[7; 512]).await;
        chunked.write(b"\r\n").await;
    }
    chunked.write(b"0\r\n\r\n").await;
    assert_eq!(chunked.reply_to("POST").await.status, 413);
    let mut polite = Client::to(&server).await;
    polite.send("POST", "/v1/stream/a", &[BYTES, ("Content-Length", "5000"), ("Expect", "100-continue")], b"").await;
    assert_eq!(polite.reply_to("POST").await.status, 413);
    assert_eq!(get(&server, "/v1/stream/a").await.body.len(), 1000);
}

#[tokio::test]
async fn chunked_bodies_are_one_unit_and_broken_ones_append_nothing() {
    let server = start().await;
    create(&server, "/v1/stream/a", BYTES, b"").await;
    let mut client = Client::to(&server).await;
    client.send("POST", "/v1/stream/a", &[BYTES, ("Transfer-Encoding", "chunked")], b"").await;
    client.write(b"3\r\nabc\r\n3\r\ndef\r\n0\r\n\r\n").await;
    assert_eq!(client.reply_to("POST").await.status, 204);
    client.send("POST", "/v1/stream/a", &[BYTES, ("Content-Length", "100")], b"").await;
    client.write(b"only part of it").await;
    drop(client);
    append(&server, "/v1/stream/a", BYTES, b"ghi").await;
    assert_eq!(get(&server, "/v1/stream/a").await.text(), "abcdefghi");
}

#[tokio::test]
async fn ten_megabytes_go_through_or_are_refused_as_too_large() {
    let server = start().await;
    create(&server, "/v1/stream/a", BYTES, b"").await;
    let body: Vec<u8> = (0_u32..10 << 20).map(|index| (index % 251) as u8).collect();
    append(&server, "/v1/stream/a", BYTES, &body).await;
    assert!(get(&server, "/v1/stream/a").await.body == body);
}
