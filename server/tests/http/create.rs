//! PUT, HEAD and DELETE (protocol.md §5, §8, §9, §21, §22).

use crate::client::{BYTES, CLOSED, JSON, TEXT, append, ask, create, get, producer, quick, start};

const START: &str = "0000000000000000_0000000000000000";
const BEYOND: &str = "9999999999999999_9999999999999999";

#[tokio::test]
async fn a_created_stream_is_announced_with_an_absolute_url() {
    let server = start().await;
    let reply =
        ask(&server, "PUT", "/v1/stream/%61/b", &[("Content-Type", "text/plain; charset=utf-8")], b"hello").await;
    assert_eq!(reply.status, 201);
    assert_eq!(reply.header("location"), Some("http://test.example/v1/stream/%61/b"));
    assert_eq!(reply.header("content-type"), Some("text/plain; charset=utf-8"));
    assert!(reply.next_offset().as_str() > START);
    assert_eq!(reply.header("stream-closed"), None);
    let empty = ask(&server, "PUT", "/v1/stream/empty", &[], b"").await;
    assert_eq!((empty.header("content-type"), empty.next_offset().as_str()), (Some("application/octet-stream"), START));
    let odd = ask(&server, "PUT", "/v1/stream/odd", &[("Content-Type", "nonsense")], b"").await;
    assert_eq!(odd.header("content-type"), Some("application/octet-stream"));
}

#[tokio::test]
async fn the_public_url_wins_over_the_host() {
    let server = quick().public_url("https://streams.example.org/").start().await.expect("started");
    let reply = ask(&server, "PUT", "/v1/stream/a", &[("X-Forwarded-Host", "evil")], b"").await;
    assert_eq!(reply.header("location"), Some("https://streams.example.org/v1/stream/a"));
}

#[tokio::test]
async fn repeating_a_create_confirms_and_differing_conflicts() {
    let server = start().await;
    let headers = [TEXT, ("Stream-TTL", "3600")];
    let first = ask(&server, "PUT", "/v1/stream/a", &headers, b"x").await;
    assert_eq!(first.status, 201);
    let again = ask(&server, "PUT", "/v1/stream/a", &headers, b"other body").await;
    assert_eq!((again.status, again.next_offset()), (200, first.next_offset()));
    assert_eq!(again.header("location"), None);
    assert_eq!(
        ask(&server, "PUT", "/v1/stream/a", &[("Content-Type", "TEXT/PLAIN;x=1"), ("Stream-TTL", "3600")], b"")
            .await
            .status,
        200
    );
    for other in [
        &[TEXT, ("Stream-TTL", "60")][..],
        &[TEXT],
        &[JSON, ("Stream-TTL", "3600")],
        &[TEXT, ("Stream-TTL", "3600"), CLOSED],
    ] {
        assert_eq!(ask(&server, "PUT", "/v1/stream/a", other, b"").await.status, 409, "{other:?}");
    }
    assert_eq!(get(&server, "/v1/stream/a").await.text(), "x");
}

#[tokio::test]
async fn malformed_settings_create_nothing() {
    let server = start().await;
    for (name, value) in [
        ("Stream-TTL", "-1"),
        ("Stream-TTL", "060"),
        ("Stream-TTL", "+60"),
        ("Stream-TTL", "60.5"),
        ("Stream-TTL", "1e3"),
        ("Stream-TTL", "abc"),
        ("Stream-TTL", "9007199254740992"),
        ("Stream-Expires-At", "tomorrow"),
        ("Stream-Fork-Sub-Offset", "0"),
        ("Stream-Fork-Offset", START),
    ] {
        let reply = ask(&server, "PUT", "/v1/stream/a", &[(name, value)], b"").await;
        assert_eq!(reply.status, 400, "{name}: {value}");
        assert!(reply.text().contains(name), "{}", reply.text());
    }
    let both = [("Stream-TTL", "60"), ("Stream-Expires-At", "2099-01-01T00:00:00Z")];
    assert_eq!(ask(&server, "PUT", "/v1/stream/a", &both, b"").await.status, 400);
    assert_eq!(ask(&server, "PUT", "/v1/stream/a", &[JSON], b"{oops").await.status, 400);
    assert_eq!(server.engine().stream_count(), 0);
}

#[tokio::test]
async fn a_stream_created_closed_is_complete() {
    let server = start().await;
    let reply = ask(&server, "PUT", "/v1/stream/a", &[TEXT, CLOSED], b"all of it").await;
    assert_eq!((reply.status, reply.header("stream-closed")), (201, Some("true")));
    assert_eq!(ask(&server, "PUT", "/v1/stream/a", &[TEXT, CLOSED], b"").await.status, 200);
    assert_eq!(ask(&server, "PUT", "/v1/stream/a", &[TEXT], b"").await.status, 409);
    let read = get(&server, "/v1/stream/a").await;
    assert_eq!((read.text(), read.header("stream-closed")), ("all of it", Some("true")));
}

#[tokio::test]
async fn head_shows_the_settings_and_no_body() {
    let server = start().await;
    create(&server, "/v1/stream/a", ("Content-Type", "text/plain; charset=utf-8"), b"abc").await;
    let reply = ask(&server, "HEAD", "/v1/stream/a", &[], b"").await;
    assert_eq!(reply.status, 200);
    assert_eq!(reply.header("content-type"), Some("text/plain; charset=utf-8"));
    assert_eq!(reply.header("cache-control"), Some("no-store"));
    assert_eq!(reply.header("stream-closed"), None);
    assert_eq!(reply.header("stream-ttl"), None);
    assert_eq!(reply.next_offset(), get(&server, "/v1/stream/a").await.next_offset());
    ask(&server, "PUT", "/v1/stream/ttl", &[("Stream-TTL", "3600")], b"").await;
    assert_eq!(ask(&server, "HEAD", "/v1/stream/ttl", &[], b"").await.header("stream-ttl"), Some("3600"));
    ask(&server, "PUT", "/v1/stream/at", &[("Stream-Expires-At", "2099-01-01T02:00:00+02:00"), CLOSED], b"").await;
    let at = ask(&server, "HEAD", "/v1/stream/at", &[], b"").await;
    assert_eq!(at.header("stream-expires-at"), Some("2099-01-01T02:00:00+02:00"));
    assert_eq!(at.header("stream-closed"), Some("true"));
    assert_eq!(ask(&server, "HEAD", "/v1/stream/missing", &[], b"").await.status, 404);
}

#[tokio::test]
async fn a_deleted_path_starts_anew() {
    let server = start().await;
    create(&server, "/v1/stream/a", TEXT, b"old").await;
    let claim = [&[TEXT, ("Stream-Seq", "9")][..], &producer("p", "0", "0")].concat();
    assert_eq!(ask(&server, "POST", "/v1/stream/a", &claim, b"x").await.status, 200);
    let tag = get(&server, "/v1/stream/a").await.header("etag").map(str::to_owned).expect("a tag");
    assert_eq!(ask(&server, "DELETE", "/v1/stream/a", &[], b"").await.status, 204);
    for method in ["GET", "HEAD", "DELETE"] {
        assert_eq!(ask(&server, method, "/v1/stream/a", &[], b"").await.status, 404, "{method}");
    }
    assert_eq!(ask(&server, "POST", "/v1/stream/a", &[TEXT], b"x").await.status, 404);
    create(&server, "/v1/stream/a", TEXT, b"old").await;
    assert_eq!(ask(&server, "POST", "/v1/stream/a", &claim, b"x").await.status, 200);
    let fresh = ask(&server, "GET", "/v1/stream/a", &[("If-None-Match", &tag)], b"").await;
    assert_eq!((fresh.status, fresh.text()), (200, "oldx"), "a tag of the former stream must not match");
}

#[tokio::test]
async fn ttl_zero_and_past_deadlines_mean_expired_at_once() {
    let server = start().await;
    for header in [("Stream-TTL", "0"), ("Stream-Expires-At", "2001-01-01T00:00:00Z")] {
        assert_eq!(ask(&server, "PUT", "/v1/stream/a", &[header], b"x").await.status, 201, "{header:?}");
        assert_eq!(get(&server, "/v1/stream/a").await.status, 404, "{header:?}");
    }
    assert_eq!(ask(&server, "PUT", "/v1/stream/a", &[JSON], b"[1]").await.status, 201);
}

#[tokio::test]
async fn forks_start_with_their_sources_data_and_diverge() {
    let server = start().await;
    let first = create(&server, "/v1/stream/src", TEXT, b"abc").await;
    append(&server, "/v1/stream/src", TEXT, b"def").await;
    let fork = ask(
        &server,
        "PUT",
        "/v1/stream/fork",
        &[("Stream-Forked-From", "/v1/stream/src"), ("Stream-Fork-Offset", &first), ("Stream-Fork-Sub-Offset", "2")],
        b"",
    )
    .await;
    assert_eq!((fork.status, fork.header("content-type")), (201, Some("text/plain")));
    assert!(fork.headers.iter().all(|(name, _)| !name.to_lowercase().starts_with("stream-fork")));
    append(&server, "/v1/stream/fork", TEXT, b"!").await;
    append(&server, "/v1/stream/src", TEXT, b"ghi").await;
    assert_eq!(get(&server, "/v1/stream/fork").await.text(), "abcde!");
    assert_eq!(get(&server, "/v1/stream/src").await.text(), "abcdefghi");
}

#[tokio::test]
async fn a_rejected_fork_leaves_no_reference_behind() {
    let server = start().await;
    create(&server, "/v1/stream/src", TEXT, b"abc").await;
    let from = ("Stream-Forked-From", "/v1/stream/src");
    for (headers, status) in [
        (&[("Stream-Forked-From", "/v1/stream/missing")][..], 404),
        (&[("Stream-Forked-From", "../src")], 400),
        (&[from, ("Stream-Fork-Offset", BEYOND)], 400),
        (&[from, ("Stream-Fork-Offset", "-1")], 400),
        (&[from, ("Stream-Fork-Offset", "now")], 400),
        (&[from, ("Stream-Fork-Offset", START), ("Stream-Fork-Sub-Offset", "4")], 400),
        (&[from, ("Stream-Fork-Sub-Offset", "1")], 400),
        (&[from, ("Stream-Fork-Sub-Offset", "01")], 400),
        (&[from, JSON], 409),
    ] {
        assert_eq!(ask(&server, "PUT", "/v1/stream/fork", headers, b"").await.status, status, "{headers:?}");
    }
    assert_eq!(ask(&server, "DELETE", "/v1/stream/src", &[], b"").await.status, 204);
    assert_eq!(get(&server, "/v1/stream/src").await.status, 404);
}

#[tokio::test]
async fn a_source_deleted_under_its_fork_is_gone_but_readable_through_it() {
    let server = start().await;
    create(&server, "/v1/stream/src", BYTES, b"abc").await;
    let from = ("Stream-Forked-From", "/v1/stream/src");
    assert_eq!(ask(&server, "PUT", "/v1/stream/fork", &[from], b"d").await.status, 201);
    assert_eq!(ask(&server, "DELETE", "/v1/stream/src", &[], b"").await.status, 204);
    for method in ["GET", "HEAD", "DELETE"] {
        assert_eq!(ask(&server, method, "/v1/stream/src", &[], b"").await.status, 410, "{method}");
    }
    assert_eq!(ask(&server, "POST", "/v1/stream/src", &[BYTES], b"x").await.status, 410);
    assert_eq!(ask(&server, "PUT", "/v1/stream/src", &[BYTES], b"").await.status, 409);
    assert_eq!(ask(&server, "PUT", "/v1/stream/other", &[from], b"").await.status, 409);
    assert_eq!(get(&server, "/v1/stream/fork").await.text(), "abcd");
}

#[tokio::test]
async fn the_stream_limit_is_a_503_to_come_back_after() {
    let server = quick().max_streams(1).start().await.expect("started");
    create(&server, "/v1/stream/a", TEXT, b"").await;
    let reply = ask(&server, "PUT", "/v1/stream/b", &[TEXT], b"").await;
    assert_eq!((reply.status, reply.header("retry-after")), (503, Some("1")));
    assert_eq!(ask(&server, "PUT", "/v1/stream/a", &[TEXT], b"").await.status, 200);
}
