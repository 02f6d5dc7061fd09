//! Rules of all requests (protocol.md §4).

use crate::client::{Client, TEXT, append, ask, create, get, quick, start};

#[tokio::test]
async fn every_answer_carries_the_security_and_cors_headers() {
    let server = start().await;
    create(&server, "/v1/stream/a", TEXT, b"x").await;
    for (method, target) in [
        ("GET", "/v1/stream/a"),
        ("GET", "/v1/stream/a?offset=now"),
        ("GET", "/v1/stream/a?offset=now&live=long-poll"),
        ("GET", "/v1/stream/missing"),
        ("GET", "/v1/stream/a?offset=bad"),
        ("HEAD", "/v1/stream/a"),
        ("POST", "/v1/stream/a"),
        ("PATCH", "/v1/stream/a"),
        ("PUT", "/v1/stream/a"),
        ("DELETE", "/v1/stream/a"),
        ("GET", "/health"),
        ("GET", "/nothing"),
        ("GET", "/v1/stream/__ds/nothing"),
        ("OPTIONS", "/v1/stream/a"),
    ] {
        // Answers a cache may keep carry the list for whoever comes later; others when asked.
        let origin = [("Origin", "https://app.example.com")];
        let reply = ask(&server, method, target, if method == "GET" { &[] } else { &origin }, b"").await;
        assert_eq!(reply.header("x-content-type-options"), Some("nosniff"), "{method} {target}");
        assert_eq!(reply.header("cross-origin-resource-policy"), Some("cross-origin"), "{method} {target}");
        assert_eq!(reply.header("access-control-allow-origin"), Some("*"), "{method} {target}");
        let exposed = reply.header("access-control-expose-headers").expect("exposed headers");
        for name in ["Stream-Next-Offset", "Stream-SSE-Data-Encoding", "Stream-TTL", "ETag", "Location"] {
            assert!(exposed.split(", ").any(|candidate| candidate == name), "{name}");
        }
    }
}

#[tokio::test]
async fn preflight_allows_what_browsers_need() {
    let server = start().await;
    let reply = ask(&server, "OPTIONS", "/v1/stream/any", &[("Origin", "http://app")], b"").await;
    assert_eq!(reply.status, 204);
    let headers = reply.header("access-control-allow-headers").expect("allowed headers");
    for name in ["If-None-Match", "Content-Type", "Authorization", "Producer-Id", "Stream-Fork-Sub-Offset"] {
        assert!(headers.split(", ").any(|candidate| candidate == name), "{name}");
    }
    let methods = reply.header("access-control-allow-methods").expect("allowed methods");
    assert!(["GET", "POST", "PUT", "DELETE", "HEAD"].iter().all(|method| methods.contains(method)));
}

#[tokio::test]
async fn other_methods_are_refused_with_the_ones_on_offer() {
    let server = start().await;
    for method in ["PATCH", "TRACE", "PROPFIND"] {
        let reply = ask(&server, method, "/v1/stream/a", &[], b"").await;
        assert_eq!(reply.status, 405);
        assert!(reply.header("allow").is_some_and(|allow| allow.contains("PUT") && allow.contains("DELETE")));
    }
    assert_eq!(ask(&server, "POST", "/health", &[], b"").await.status, 405);
}

#[tokio::test]
async fn one_stream_has_one_identity_however_its_path_is_spelled() {
    let server = start().await;
    create(&server, "/v1/stream/caf%C3%A9/a", TEXT, b"x").await;
    for spelling in ["/v1/stream/caf%c3%a9/a", "/v1/stream/c%61f%C3%A9/a", "/v1/stre%61m/caf%C3%A9/a"] {
        assert_eq!(get(&server, spelling).await.text(), "x", "{spelling}");
    }
}

#[tokio::test]
async fn traversal_and_hidden_slashes_are_refused() {
    let server = start().await;
    for bad in ["/v1/stream/../a", "/v1/stream/a/%2e%2e/b", "/v1/stream/a//b", "/v1/stream/a%2Fb", "/v1/stream/a%00"] {
        assert_eq!(ask(&server, "PUT", bad, &[TEXT], b"").await.status, 400, "{bad}");
    }
    assert_eq!(get(&server, "/etc/passwd").await.status, 404);
    assert_eq!(ask(&server, "PUT", "/v1/stream/", &[TEXT], b"").await.status, 404);
}

#[tokio::test]
async fn the_control_path_is_never_a_stream() {
    let server = start().await;
    for target in ["/v1/stream/__ds/x", "/v1/stream/__ds", "/v1/stream/__ds/x/y/z"] {
        let reply = ask(&server, "PUT", target, &[TEXT], b"").await;
        assert!(matches!(reply.status, 404 | 405), "{target}: {}", reply.status);
        assert_eq!(reply.header("content-type"), Some("application/json"), "{target}");
        let body: serde_json::Value = serde_json::from_slice(&reply.body).expect("JSON");
        assert!(body["error"]["code"].is_string());
    }
    assert_eq!(ask(&server, "PUT", "/v1/stream/%5F%5Fds/x", &[TEXT], b"").await.status, 404);
    assert_eq!(server.engine().stream_count(), 0);
}

#[tokio::test]
async fn with_prefix_slash_any_path_is_a_stream_but_the_servers_own() {
    let server = quick().prefix("/").start().await.expect("started");
    create(&server, "/test-stream-1", TEXT, b"x").await;
    create(&server, "/v1/stream/b", TEXT, b"y").await;
    assert_eq!(get(&server, "/test-stream-1").await.text(), "x");
    assert_eq!(get(&server, "/health").await.text(), r#"{"status":"ok"}"#);
    assert_eq!(ask(&server, "PUT", "/health", &[TEXT], b"").await.status, 405);
    let control = ask(&server, "GET", "/v1/stream/__ds/nothing", &[], b"").await;
    assert_eq!((control.status, control.header("content-type")), (404, Some("application/json")));
}

#[tokio::test]
async fn a_prefix_of_ones_own_moves_the_streams() {
    let server = quick().prefix("events").start().await.expect("started");
    create(&server, "/events/a", TEXT, b"x").await;
    assert_eq!(ask(&server, "PUT", "/v1/stream/a", &[TEXT], b"").await.status, 404);
    assert_eq!(server.streams_url(), format!("{}/events", server.url()));
}

#[tokio::test]
async fn header_names_have_no_case_and_only_the_word_true_closes() {
    let server = start().await;
    for (value, is_closed) in [("true", true), ("TRUE", true), ("false", false), ("yes", false), ("1", false)] {
        let path = format!("/v1/stream/flag-{value}");
        let reply = ask(&server, "PUT", &path, &[("sTREAM-cLOSED", value), ("content-TYPE", "text/plain")], b"x").await;
        assert_eq!(reply.status, 201, "{value}");
        assert_eq!(reply.header("stream-closed"), is_closed.then_some("true"), "{value}");
    }
}

#[tokio::test]
async fn one_connection_serves_many_requests_and_pipelined_ones_in_order() {
    let server = start().await;
    create(&server, "/v1/stream/a", TEXT, b"").await;
    let mut client = Client::to(&server).await;
    for _ in 0..3 {
        client.send("POST", "/v1/stream/a", &[TEXT], b"x").await;
        assert_eq!(client.reply_to("POST").await.status, 204);
    }
    client.send("GET", "/v1/stream/a", &[], b"").await;
    client.send("HEAD", "/v1/stream/a", &[], b"").await;
    client.send("GET", "/v1/stream/missing", &[], b"").await;
    assert_eq!(client.reply_to("GET").await.text(), "xxx");
    assert_eq!(client.reply_to("HEAD").await.status, 200);
    assert_eq!(client.reply_to("GET").await.status, 404);
}

#[tokio::test]
async fn a_client_that_ends_its_side_still_gets_its_answer() {
    let server = start().await;
    create(&server, "/v1/stream/a", TEXT, b"").await;
    let mut client = Client::to(&server).await;
    client.send("POST", "/v1/stream/a", &[TEXT], b"x").await;
    client.half_close().await;
    assert_eq!(client.reply_to("POST").await.status, 204);
    assert!(client.is_closed().await);
    assert_eq!(append(&server, "/v1/stream/a", TEXT, b"y").await, get(&server, "/v1/stream/a").await.next_offset());
}

#[tokio::test]
async fn refusals_say_what_and_how_in_plain_text() {
    let server = start().await;
    create(&server, "/v1/stream/a", TEXT, b"").await;
    for (method, target, headers, body, words) in [
        ("GET", "/v1/stream/missing", &[][..], &b""[..], &["/v1/stream/missing"][..]),
        ("GET", "/v1/stream/a?offset=12", &[], b"", &["offset", "\"12\"", "-1, now"]),
        ("GET", "/v1/stream/a?offset=-1&live=maybe", &[], b"", &["live", "\"maybe\"", "long-poll or sse"]),
        ("PUT", "/v1/stream/b", &[("Stream-TTL", "1h")], b"", &["Stream-TTL", "\"1h\""]),
        ("POST", "/v1/stream/a", &[TEXT], b"", &["body is empty", "Stream-Closed"]),
        ("POST", "/v1/stream/a", &[], b"x", &["Content-Type"]),
        ("POST", "/v1/stream/a", &[("Content-Type", "image/png")], b"x", &["image/png", "text/plain"]),
        ("POST", "/v1/stream/a", &[TEXT, ("Producer-Id", "p")], b"x", &["Producer-Epoch", "all three"]),
    ] {
        let reply = ask(&server, method, target, headers, body).await;
        assert!(reply.status >= 400, "{method} {target}");
        assert_eq!(reply.header("content-type"), Some("text/plain; charset=utf-8"));
        assert_eq!(reply.header("cache-control"), Some("no-store"));
        for word in words {
            assert!(reply.text().contains(word), "{word} in {:?}", reply.text());
        }
    }
}
