//! Caching, entity tags and compression (protocol.md §4.5, §16).

use std::io::Read;

use crate::client::{CLOSED, JSON, TEXT, append, ask, create, get, quick, start};

#[tokio::test]
async fn a_matching_tag_is_a_304_that_tells_everything_but_the_body() {
    let server = start().await;
    create(&server, "/v1/stream/a", TEXT, b"abc").await;
    let read = get(&server, "/v1/stream/a").await;
    let tag = read.header("etag").expect("a tag").to_owned();
    assert!(tag.starts_with('"') && tag.ends_with('"'));
    assert_eq!(read.header("cache-control"), Some("public, max-age=60, stale-while-revalidate=300"));
    for asked in [tag.clone(), format!("\"x\", W/{tag}"), "*".to_owned()] {
        let same = ask(&server, "GET", "/v1/stream/a", &[("If-None-Match", &asked)], b"").await;
        assert_eq!((same.status, same.body.len()), (304, 0), "{asked}");
        for name in ["etag", "cache-control", "stream-next-offset", "stream-up-to-date"] {
            assert_eq!(same.header(name), read.header(name), "{name}");
        }
    }
    let other = ask(&server, "GET", "/v1/stream/a", &[("If-None-Match", "\"other\"")], b"").await;
    assert_eq!((other.status, other.text()), (200, "abc"));
}

#[tokio::test]
async fn the_tag_changes_with_data_and_with_closure() {
    let server = start().await;
    create(&server, "/v1/stream/a", TEXT, b"abc").await;
    let tag = async || get(&server, "/v1/stream/a").await.header("etag").expect("a tag").to_owned();
    let first = tag().await;
    append(&server, "/v1/stream/a", TEXT, b"d").await;
    let second = tag().await;
    assert_ne!(first, second);
    ask(&server, "POST", "/v1/stream/a", &[CLOSED], b"").await;
    let third = tag().await;
    assert_ne!(second, third);
    let closed = ask(&server, "GET", "/v1/stream/a", &[("If-None-Match", &second)], b"").await;
    assert_eq!((closed.status, closed.header("stream-closed")), (200, Some("true")));
    let same = ask(&server, "GET", "/v1/stream/a", &[("If-None-Match", &third)], b"").await;
    assert_eq!((same.status, same.header("stream-closed")), (304, Some("true")));
}

#[tokio::test]
async fn long_bodies_are_compressed_for_clients_that_ask() {
    let server = start().await;
    let text = "[".to_owned() + &vec!["\"abc\""; 1000].join(",") + "]";
    create(&server, "/v1/stream/a", JSON, text.as_bytes()).await;
    create(&server, "/v1/stream/small", JSON, b"[1]").await;
    let asking = [("Accept-Encoding", "gzip, deflate")];
    let packed = ask(&server, "GET", "/v1/stream/a", &asking, b"").await;
    assert_eq!(packed.header("content-encoding"), Some("gzip"));
    assert_eq!(packed.header("vary"), Some("Accept-Encoding"));
    let mut unpacked = String::new();
    flate2::read::GzDecoder::new(&*packed.body).read_to_string(&mut unpacked).expect("gzip");
    assert_eq!(unpacked, text);
    let plain = get(&server, "/v1/stream/a").await;
    assert_eq!((plain.header("content-encoding"), plain.text()), (None, text.as_str()));
    let (packed_tag, plain_tag) = (packed.header("etag").expect("a tag"), plain.header("etag").expect("a tag"));
    assert_eq!(packed_tag, format!("W/{plain_tag}"), "encodings have tags of their own");
    let same = [asking[0], ("If-None-Match", packed_tag)];
    assert_eq!(ask(&server, "GET", "/v1/stream/a", &same, b"").await.status, 304);
    let small = ask(&server, "GET", "/v1/stream/small", &asking, b"").await;
    assert_eq!((small.header("content-encoding"), small.text()), (None, "[1]"));
    let off = quick().compression(false).start().await.expect("started");
    create(&off, "/v1/stream/a", JSON, text.as_bytes()).await;
    assert_eq!(ask(&off, "GET", "/v1/stream/a", &asking, b"").await.text(), text);
}
