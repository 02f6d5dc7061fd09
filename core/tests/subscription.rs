//! Workers and receivers of webhooks against the real server.

#![cfg(feature = "testing")]

use std::time::{Duration, SystemTime};

use durable_streams::{
    Client, CreateOptions,
    http::{HeaderMap, HeaderName, HeaderValue},
    http_client_builder,
    server::{Server, server::RunningServer, subscriptions::WebhookMode},
    subscription::{Ack, KeySet, LeaseError, WebhookError, Worker, WorkerError, verify_webhook},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

async fn server() -> (RunningServer, Client) {
    let server = Server::builder().memory().webhooks(WebhookMode::Dev).start().await.expect("starts");
    let client = Client::builder().base_url(server.streams_url()).build().expect("a client");
    (server, client)
}

async fn control(server: &RunningServer, method: &str, path: &str, body: &str) -> Vec<u8> {
    let url = format!("{}/__ds/{path}", server.streams_url());
    let http = http_client_builder().build().expect("a client");
    let request = http.request(method.parse().expect("a method"), url).header("content-type", "application/json");
    let answer = request.body(body.to_owned()).send().await.expect("answered");
    assert!(answer.status().is_success(), "{method} {path}: {}", answer.status());
    answer.bytes().await.expect("a body").to_vec()
}

async fn json_stream(client: &Client, name: &str, data: &str) {
    let options = CreateOptions::new().content_type("application/json").initial_data(data);
    client.stream(name).create_with_options(options).await.expect("created");
}

#[tokio::test]
async fn a_worker_acknowledges_until_its_lease_is_lost() {
    let (server, client) = server().await;
    json_stream(&client, "wakes", "").await;
    let config = r#"{"type":"pull-wake","pattern":"jobs/*","wake_stream":"wakes"}"#;
    control(&server, "PUT", "subscriptions/s", config).await;
    let (first, second) =
        (Worker::new(&client, "__ds/subscriptions/s", "w1"), Worker::new(&client, "__ds/subscriptions/s", "w2"));
    assert!(first.claim().await.expect("answered").is_none(), "nothing to do yet");
    json_stream(&client, "jobs/a", "[1]").await;

    let mut lease = first.claim().await.expect("answered").expect("granted");
    assert!(second.claim().await.expect("answered").is_none(), "w1 holds it");
    let work = lease.wake().streams[0].clone();
    assert_eq!((work.path.as_str(), work.has_pending), ("jobs/a", true));
    let beyond = Ack { stream: work.path.clone(), offset: "9999999999999999_9999999999999999".to_owned() };
    let refused = lease.ack(&[beyond]).await;
    assert!(matches!(refused, Err(WorkerError::Lease(LeaseError::Refused { status: 409, .. }))), "{refused:?}");
    lease.ack(&[]).await.expect("a sign of life");
    let mut stale = lease.clone();
    let done = Ack { stream: work.path, offset: work.tail_offset };
    assert!(!lease.finish(&[done]).await.expect("acknowledged"), "nothing is left");

    // The same lease in other hands is stale by now.
    assert!(matches!(stale.ack(&[]).await, Err(WorkerError::Lease(LeaseError::Lost { code })) if code == "FENCED"));
    assert!(stale.is_over() && lease.is_over());

    client.stream("jobs/a").append("2").await.expect("stored");
    let mut lease = second.claim().await.expect("answered").expect("granted");
    control(&server, "DELETE", "subscriptions/s", "").await;
    assert!(matches!(lease.ack(&[]).await, Err(WorkerError::Lease(LeaseError::Lost { .. }))));
    server.stop().await;
    // Nothing listens any more: what is lost sends nothing.
    assert!(matches!(lease.release().await, Err(WorkerError::Lease(LeaseError::Lost { .. }))));
}

#[tokio::test]
async fn a_webhook_of_the_server_is_genuine_and_a_changed_one_is_not() {
    let (server, client) = server().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    let config = format!(r#"{{"type":"webhook","pattern":"jobs/*","webhook":{{"url":"http://{address}/hook"}}}}"#);
    control(&server, "PUT", "subscriptions/s", &config).await;
    json_stream(&client, "jobs/a", "[1]").await;

    let (headers, body) = received(&listener).await;
    let keys = KeySet::parse(&control(&server, "GET", "jwks.json", "").await).expect("a key set");
    let now = SystemTime::now();
    let wake = verify_webhook(&headers, &body, &keys, "s", now).expect("genuine");
    assert_eq!((wake.subscription_id.as_str(), wake.generation), ("s", 1));
    assert!(wake.callback_url.is_some_and(|url| url.ends_with("/subscriptions/s/callback")));

    let mut changed = body.clone();
    *changed.last_mut().expect("a body") = b' ';
    assert_eq!(verify_webhook(&headers, &changed, &keys, "s", now), Err(WebhookError::BadSignature));
    assert!(matches!(verify_webhook(&headers, &body, &keys, "t", now), Err(WebhookError::OtherSubscription { .. })));
    assert!(matches!(
        verify_webhook(&headers, &body, &keys, "s", now + Duration::from_secs(400)),
        Err(WebhookError::OutsideWindow { .. })
    ));
    assert!(matches!(verify_webhook(&headers, &body, &KeySet::default(), "s", now), Err(WebhookError::UnknownKey(_))));
    server.stop().await;
}

/// One request, answered with 200.
async fn received(listener: &TcpListener) -> (HeaderMap, Vec<u8>) {
    let (mut socket, _) = listener.accept().await.expect("a connection");
    let mut seen = Vec::new();
    loop {
        let mut piece = [0; 4096];
        let length = socket.read(&mut piece).await.expect("reads");
        assert!(length > 0, "the request ended early");
        seen.extend_from_slice(&piece[..length]);
        let Some(end) = seen.windows(4).position(|window| window == b"\r\n\r\n") else { continue };
        let head = String::from_utf8(seen[..end].to_vec()).expect("text");
        let pair = |line: &str| {
            let (name, value) = line.split_once(": ")?;
            Some((name.parse::<HeaderName>().ok()?, HeaderValue::from_str(value).ok()?))
        };
        let headers: HeaderMap = head.lines().skip(1).filter_map(pair).collect();
        let length: usize = headers["content-length"].to_str().expect("text").parse().expect("a number");
        if seen.len() == end + 4 + length {
            socket.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}").await.expect("writes");
            return (headers, seen.split_off(end + 4));
        }
    }
}
