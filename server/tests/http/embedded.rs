//! The service without a socket: requests handed over, bodies pulled.

use std::{
    future::poll_fn,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    pin::Pin,
    time::Duration,
};

use bytes::Bytes;
use durable_streams_server::{
    embedded::{AnswerBody, Caller, Embedded, RawRequest},
    http::HttpOptions,
    path::StreamPath,
    server::BackendOptions,
};
use http::{Request, Response};
use http_body::Body as _;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use crate::client::PATIENCE;

const CALLER: Caller = Caller {
    ip: IpAddr::V4(Ipv4Addr::LOCALHOST),
    local: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 4000),
    is_tls: true,
};
const MOUNT: &str = "/api/streams";

async fn open() -> Embedded {
    let http = HttpOptions { long_poll_timeout: Duration::from_millis(300), ..HttpOptions::default() };
    Embedded::open(BackendOptions::default(), http).await.expect("opened")
}

fn request(method: &str, target: &str, headers: &[(&str, &str)], pieces: &[&'static str]) -> Request<Vec<Bytes>> {
    let mut request = Request::builder().method(method).uri(target).header("host", "app.example:4000");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(pieces.iter().map(|piece| Bytes::from_static(piece.as_bytes())).collect()).expect("a request")
}

async fn ask(
    embedded: &Embedded,
    method: &str,
    target: &str,
    headers: &[(&str, &str)],
    pieces: &[&'static str],
) -> Response<AnswerBody> {
    let answering = embedded.answer(&CALLER, MOUNT, request(method, target, headers, pieces));
    timeout(PATIENCE, answering).await.expect("an answer")
}

async fn frame(body: &mut AnswerBody) -> Option<Bytes> {
    let next = poll_fn(|cx| Pin::new(&mut *body).poll_frame(cx));
    let frame = timeout(PATIENCE, next).await.expect("a frame or the end")?;
    frame.expect("no failure").into_data().ok()
}

async fn text(mut answer: Response<AnswerBody>) -> String {
    let mut whole = Vec::new();
    while let Some(piece) = frame(answer.body_mut()).await {
        whole.extend_from_slice(&piece);
    }
    String::from_utf8(whole).expect("UTF-8")
}

fn header<'a>(answer: &'a Response<AnswerBody>, name: &str) -> Option<&'a str> {
    answer.headers().get(name).map(|value| value.to_str().expect("text"))
}

const TEXT: (&str, &str) = ("content-type", "text/plain");

#[tokio::test]
async fn a_mount_shows_the_streams_of_the_engine_under_its_own_path() {
    let embedded = open().await;
    let created = ask(&embedded, "PUT", "/api/streams/a%20b", &[TEXT], &["one ", "two"]).await;
    assert_eq!(created.status(), 201);
    assert_eq!(header(&created, "location"), Some("https://app.example:4000/api/streams/a%20b"));
    let path = StreamPath::parse("/v1/stream/a%20b").expect("a path");
    assert_eq!(embedded.engine().head(&path).expect("found").content_type.as_ref(), "text/plain");
    let read = ask(&embedded, "GET", "/api/streams/a%20b?offset=-1", &[], &[]).await;
    assert_eq!(header(&read, "stream-up-to-date"), Some("true"));
    assert_eq!(text(read).await, "one two");
    let fork = [("stream-forked-from", "/api/streams/a%20b")];
    assert_eq!(ask(&embedded, "PUT", "/api/streams/copy", &fork, &[]).await.status(), 201);
    assert_eq!(text(ask(&embedded, "GET", "/api/streams/copy", &[], &[]).await).await, "one two");
}

#[tokio::test]
async fn outside_the_mount_there_is_nothing() {
    let embedded = open().await;
    for target in ["/api/streamsX/a", "/other", "/v1/stream/a", "/api/streams", "/api/streams/"] {
        assert_eq!(ask(&embedded, "PUT", target, &[TEXT], &[]).await.status(), 404, "{target}");
    }
    assert_eq!(embedded.engine().stream_count(), 0);
}

#[tokio::test]
async fn what_is_no_request_is_answered_by_name() {
    let embedded = open().await;
    let field = |name: &str, value: &str| vec![(name.as_bytes().to_vec(), value.as_bytes().to_vec())];
    let good = RawRequest {
        method: "PUT".to_owned(),
        target: "/api/streams/a?x=1".to_owned(),
        headers: field("content-type", "text/plain"),
        body: Vec::new(),
    };
    let answer = embedded.answer_raw(&CALLER, MOUNT, good.clone()).await;
    // Without a host header only the local address is left to name.
    assert_eq!(header(&answer, "location"), Some("https://127.0.0.1:4000/api/streams/a"));
    for bad in [
        RawRequest { method: "P UT".to_owned(), ..good.clone() },
        RawRequest { target: "/api/streams/a b".to_owned(), ..good.clone() },
        RawRequest { headers: field("content type", "text/plain"), ..good.clone() },
        RawRequest { headers: field("content-type", "text\r\nplain"), ..good },
    ] {
        assert_eq!(embedded.answer_raw(&CALLER, MOUNT, bad.clone()).await.status(), 400, "{bad:?}");
    }
}

#[tokio::test]
async fn bodies_over_the_limit_are_refused() {
    let http = HttpOptions { max_body_bytes: 5, ..HttpOptions::default() };
    let embedded = Embedded::open(BackendOptions::default(), http).await.expect("opened");
    assert_eq!(ask(&embedded, "PUT", "/api/streams/a", &[TEXT], &["123", "45"]).await.status(), 201);
    assert_eq!(ask(&embedded, "POST", "/api/streams/a", &[TEXT], &["123", "456"]).await.status(), 413);
}

#[tokio::test]
async fn live_reads_are_pulled_and_end_when_let_go() {
    let embedded = open().await;
    ask(&embedded, "PUT", "/api/streams/a", &[TEXT], &["first"]).await;
    let mut events = ask(&embedded, "GET", "/api/streams/a?offset=-1&live=sse", &[], &[]).await;
    assert_eq!(header(&events, "content-type"), Some("text/event-stream"));
    let first = frame(events.body_mut()).await.expect("a frame");
    assert!(std::str::from_utf8(&first).expect("UTF-8").contains("data:first"), "{first:?}");
    ask(&embedded, "POST", "/api/streams/a", &[TEXT], &["second"]).await;
    let second = frame(events.body_mut()).await.expect("a frame");
    assert!(std::str::from_utf8(&second).expect("UTF-8").contains("data:second"), "{second:?}");
    assert_eq!(embedded.live_readers(), 1);
    drop(events);
    assert_eq!(embedded.live_readers(), 0);
    let waited = ask(&embedded, "GET", "/api/streams/a?offset=now&live=true", &[], &[]).await;
    assert_eq!(waited.status(), 204);
}

#[tokio::test]
async fn a_socket_serves_the_same_streams_and_closing_it_cuts_live_readers_only() {
    let embedded = open().await;
    ask(&embedded, "PUT", "/api/streams/a", &[TEXT], &["first"]).await;
    let listening = embedded.listen("127.0.0.1", 0, 10).await.expect("listening");
    assert_eq!(listening.url(), format!("http://127.0.0.1:{}", listening.port()));
    let mut socket = TcpStream::connect(("127.0.0.1", listening.port())).await.expect("connected");
    let head = b"GET /v1/stream/a?offset=-1&live=sse HTTP/1.1\r\nhost: x\r\n\r\n";
    socket.write_all(head).await.expect("sent");
    let mut seen = Vec::new();
    while !seen.windows(10).any(|window| window == b"data:first") {
        let read = timeout(PATIENCE, socket.read_buf(&mut seen)).await.expect("in time").expect("read");
        assert!(read > 0, "ended early: {seen:?}");
    }
    timeout(PATIENCE, listening.stop()).await.expect("stopped");
    let rest = timeout(PATIENCE, socket.read_to_end(&mut seen)).await.expect("in time");
    assert!(rest.is_ok() || rest.is_err_and(|error| error.kind() == std::io::ErrorKind::ConnectionReset));
    assert_eq!(text(ask(&embedded, "GET", "/api/streams/a", &[], &[]).await).await, "first");
    embedded.stop().await;
    assert_eq!(ask(&embedded, "PUT", "/api/streams/b", &[TEXT], &[]).await.status(), 500);
}
