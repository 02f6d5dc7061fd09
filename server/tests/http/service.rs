//! Health, limits, faults and stopping.

use std::time::{Duration, Instant};

use crate::{
    client::{Client, Events, JSON, TEXT, append, ask, create, get, quick, start},
    live::wait_for_live_readers,
};

#[tokio::test]
async fn health_pages_answer_and_metrics_only_when_asked_for() {
    let server = start().await;
    for page in ["/health", "/healthz", "/readyz"] {
        let reply = get(&server, page).await;
        assert_eq!((reply.status, reply.text()), (200, r#"{"status":"ok"}"#), "{page}");
        assert_eq!(reply.header("content-type"), Some("application/json"));
    }
    assert_eq!(get(&server, "/metrics").await.status, 404);
    let server = quick().metrics(true).start().await.expect("started");
    create(&server, "/v1/stream/a", TEXT, b"abc").await;
    append(&server, "/v1/stream/a", TEXT, b"de").await;
    let metrics = get(&server, "/metrics").await;
    for line in [
        "durable_streams_requests_total{operation=\"Create\",status=\"201\"} 1",
        "durable_streams_requests_total{operation=\"Append\",status=\"204\"} 1",
        "durable_streams_appended_bytes_total 5",
        "durable_streams_streams 1",
    ] {
        assert!(metrics.text().lines().any(|candidate| candidate == line), "{line} in {}", metrics.text());
    }
}

#[tokio::test]
async fn stopping_answers_long_polls_ends_sse_and_keeps_what_was_written() {
    let dir = tempfile::tempdir().expect("a directory");
    let on_disk = || quick().data_dir(dir.path()).long_poll_timeout(Duration::from_secs(600));
    let server = on_disk().start().await.expect("started");
    let tail = create(&server, "/v1/stream/a", TEXT, b"abc").await;
    let mut waiting = Client::to(&server).await;
    waiting.send("GET", "/v1/stream/a?offset=now&live=long-poll", &[], b"").await;
    let mut events = Events::of(&server, "/v1/stream/a?offset=now&live=sse").await;
    events.control().await;
    let mut idle = Client::to(&server).await;
    idle.send("GET", "/v1/stream/a", &[], b"").await;
    idle.reply_to("GET").await;
    wait_for_live_readers(&server, 2).await;
    let port = server.port();
    let started = Instant::now();
    server.stop().await;
    assert!(started.elapsed() < Duration::from_secs(5), "took {:?}", started.elapsed());
    let reply = waiting.reply_to("GET").await;
    assert_eq!((reply.status, reply.next_offset()), (204, tail.clone()));
    assert_eq!(events.next().await, None);
    assert!(idle.is_closed().await);
    assert!(tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_err(), "the port is free again");
    let server = on_disk().start().await.expect("the directory is free again");
    let read = get(&server, "/v1/stream/a").await;
    assert_eq!((read.text(), read.next_offset()), ("abc", tail));
}

#[tokio::test]
async fn letting_a_server_go_ends_its_live_reads() {
    let server = quick().start().await.expect("started");
    create(&server, "/v1/stream/a", TEXT, b"abc").await;
    let mut events = Events::of(&server, "/v1/stream/a?offset=now&live=sse").await;
    events.control().await;
    drop(server);
    assert_eq!(events.next().await, None);
}

#[tokio::test]
async fn clients_over_the_connection_limit_are_told_to_come_back() {
    let server = quick().max_connections(1).start().await.expect("started");
    let mut first = Client::to(&server).await;
    first.send("GET", "/health", &[], b"").await;
    assert_eq!(first.reply_to("GET").await.status, 200);
    let second = get(&server, "/health").await;
    assert_eq!((second.status, second.header("retry-after")), (503, Some("1")));
    first.send("GET", "/health", &[], b"").await;
    assert_eq!(first.reply_to("GET").await.status, 200);
}

#[tokio::test]
async fn a_port_in_use_is_named() {
    let server = start().await;
    let error = quick().port(server.port()).start().await.expect_err("the port is taken").to_string();
    assert!(error.contains(&server.port().to_string()), "{error}");
}

#[tokio::test]
async fn http2_works_without_tls() {
    let server = start().await;
    create(&server, "/v1/stream/a", JSON, b"[1]").await;
    let socket = tokio::net::TcpStream::connect(("127.0.0.1", server.port())).await.expect("connected");
    let (mut sender, connection) = hyper::client::conn::http2::handshake::<_, _, http_body_util::Full<bytes::Bytes>>(
        hyper_util::rt::TokioExecutor::new(),
        hyper_util::rt::TokioIo::new(socket),
    )
    .await
    .expect("a handshake");
    tokio::spawn(connection);
    let request = |method: &str, path: &str, body: &'static str| {
        http::Request::builder()
            .method(method)
            .uri(format!("{}{path}", server.url()))
            .header("content-type", "application/json")
            .body(http_body_util::Full::from(body))
            .expect("a request")
    };
    let created = sender.send_request(request("PUT", "/v1/stream/b", "")).await.expect("an answer");
    assert_eq!(created.headers()["location"], format!("{}/v1/stream/b", server.url()));
    let appended = sender.send_request(request("POST", "/v1/stream/a", "[2]")).await.expect("an answer");
    assert_eq!(appended.status(), 204);
    let read = sender.send_request(request("GET", "/v1/stream/a", "")).await.expect("an answer");
    let body = http_body_util::BodyExt::collect(read.into_body()).await.expect("a body").to_bytes();
    assert_eq!(body, "[1,2]");
}

#[tokio::test]
async fn tls_offers_http1_and_http2() {
    use std::sync::Arc;

    use tokio_rustls::rustls::{self, ClientConfig, RootCertStore, pki_types::ServerName};

    let dir = tempfile::tempdir().expect("a directory");
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).expect("a certificate");
    let (certificate, key) = (dir.path().join("cert.pem"), dir.path().join("key.pem"));
    std::fs::write(&certificate, made.cert.pem()).expect("written");
    std::fs::write(&key, made.signing_key.serialize_pem()).expect("written");
    let server = quick().tls(&certificate, &key).start().await.expect("started");
    assert!(server.url().starts_with("https://"));
    let mut roots = RootCertStore::empty();
    roots.add(made.cert.der().clone()).expect("a root");
    for (alpn, version) in [(&b"h2"[..], http::Version::HTTP_2), (b"http/1.1", http::Version::HTTP_11)] {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_root_certificates(roots.clone())
            .with_no_client_auth();
        config.alpn_protocols = vec![alpn.to_vec()];
        let socket = tokio::net::TcpStream::connect(("127.0.0.1", server.port())).await.expect("connected");
        let name = ServerName::try_from("localhost").expect("a name");
        let socket =
            tokio_rustls::TlsConnector::from(Arc::new(config)).connect(name, socket).await.expect("a handshake");
        assert_eq!(socket.get_ref().1.alpn_protocol(), Some(alpn));
        let io = hyper_util::rt::TokioIo::new(socket);
        let request = http::Request::builder()
            .method("PUT")
            .uri("https://localhost/v1/stream/a?x=1")
            .header("host", "localhost")
            .body(http_body_util::Full::<bytes::Bytes>::from("x"))
            .expect("a request");
        let reply = if version == http::Version::HTTP_2 {
            let executor = hyper_util::rt::TokioExecutor::new();
            let (mut sender, connection) = hyper::client::conn::http2::handshake(executor, io).await.expect("http/2");
            tokio::spawn(connection);
            sender.send_request(request).await.expect("an answer")
        } else {
            let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await.expect("http/1");
            tokio::spawn(connection);
            sender.send_request(request).await.expect("an answer")
        };
        assert_eq!(reply.version(), version);
        assert!(reply.status().is_success());
    }
}

#[tokio::test]
async fn injected_faults_hit_as_often_as_asked() {
    let server = quick().test_control(true).start().await.expect("started");
    create(&server, "/v1/stream/a", JSON, b"[1,2,3]").await;
    let inject = async |fault: &str| {
        let reply = ask(&server, "POST", "/_test/inject-error", &[JSON], fault.as_bytes()).await;
        (reply.status, reply.text().to_owned())
    };
    assert_eq!(
        inject(r#"{"path":"/v1/stream/a","status":503,"retryAfter":1,"count":2}"#).await,
        (200, r#"{"ok":true}"#.into())
    );
    for _ in 0..2 {
        let reply = get(&server, "/v1/stream/a?offset=-1").await;
        assert_eq!((reply.status, reply.header("retry-after")), (503, Some("1")));
    }
    assert_eq!(get(&server, "/v1/stream/a").await.status, 200);
    inject(r#"{"path":"/v1/stream/a","truncateBodyBytes":5}"#).await;
    let cut = ask(&server, "GET", "/v1/stream/a", &[("Accept-Encoding", "gzip")], b"").await;
    assert_eq!((cut.status, cut.text()), (200, "[1,2,"));
    inject(r#"{"path":"/v1/stream/a","dropConnection":true}"#).await;
    let mut dropped = Client::to(&server).await;
    dropped.send("GET", "/v1/stream/a", &[], b"").await;
    assert!(dropped.is_closed().await);
    inject(r#"{"path":"/v1/stream/a","injectSseEvent":{"eventType":"weird","data":"x"}}"#).await;
    let mut events = Events::of(&server, "/v1/stream/a?offset=-1&live=sse").await;
    assert_eq!(events.next().await.as_deref(), Some("event: weird\ndata: x\n\n"));
    assert_eq!(events.next().await.as_deref(), Some("event: data\ndata:[1,2,3]\n\n"));
    inject(r#"{"path":"/v1/stream/a","status":500,"method":"POST"}"#).await;
    assert_eq!(get(&server, "/v1/stream/a").await.status, 200);
    assert_eq!(ask(&server, "DELETE", "/_test/inject-error", &[], b"").await.text(), r#"{"ok":true}"#);
    assert_eq!(ask(&server, "POST", "/v1/stream/a", &[JSON], b"4").await.status, 204);
    for bad in [r#"{"status":500}"#, r#"{"path":"/a"}"#, "{"] {
        assert_eq!(inject(bad).await.0, 400, "{bad}");
    }
    assert_eq!(ask(&server, "PUT", "/_test/inject-error", &[], b"").await.status, 405);
    assert_eq!(get(&start().await, "/_test/inject-error").await.status, 404);
}

#[tokio::test]
async fn clear_deletes_every_stream() {
    let server = start().await;
    create(&server, "/v1/stream/a", TEXT, b"x").await;
    create(&server, "/v1/stream/b", TEXT, b"x").await;
    server.clear().await.expect("cleared");
    assert_eq!(get(&server, "/v1/stream/a").await.status, 404);
    create(&server, "/v1/stream/b", JSON, b"[1]").await;
}

#[tokio::test]
async fn browsers_get_the_origin_they_came_from_when_only_some_are_allowed() {
    let allowed = http::HeaderValue::from_static("https://app.example");
    let cors = durable_streams_server::server::CorsPolicy::Only(vec![allowed]);
    let server = quick().cors(cors).start().await.expect("started");
    create(&server, "/v1/stream/a", TEXT, b"x").await;
    let from = async |origin| ask(&server, "GET", "/v1/stream/a", &[("Origin", origin)], b"").await;
    assert_eq!(from("https://app.example").await.header("access-control-allow-origin"), Some("https://app.example"));
    assert_eq!(from("https://evil.example").await.header("access-control-allow-origin"), None);
}
