//! The default transport against raw sockets: what arrives, and how breakage is told.

use std::{io::Write as _, time::Duration};

use bytes::Bytes;
use durable_streams::{
    AppendOptions, BoxError, Client, StreamError, http, http_client_builder,
    testing::TestServer,
    transport::{BodyStream, Reply, Transport, TransportFailure, TransportFailureKind, reqwest::ReqwestTransport},
};
use flate2::{Compression, write::GzEncoder};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::mpsc,
};

/// Answers every request head, on any connection, with the next bytes; an empty answer
/// closes the connection. Tells each request, and the end of each connection.
struct RawServer {
    url: String,
    seen: mpsc::UnboundedReceiver<Seen>,
}

#[derive(Debug, PartialEq, Eq)]
enum Seen {
    Connection,
    Request(String),
    End,
}

impl RawServer {
    async fn answering(answers: Vec<Vec<u8>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}/tides", listener.local_addr().expect("an address"));
        let (tell, seen) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            let mut answers = answers.into_iter();
            while let Ok((mut socket, _)) = listener.accept().await {
                let _ = tell.send(Seen::Connection);
                while let Some(request) = read_head(&mut socket).await {
                    let _ = tell.send(Seen::Request(request));
                    match answers.next() {
                        Some(answer) if !answer.is_empty() => socket.write_all(&answer).await.expect("writes"),
                        Some(_) => break,
                        None => {}
                    }
                }
                let _ = tell.send(Seen::End);
            }
        });
        Self { url, seen }
    }

    async fn request(&mut self) -> String {
        loop {
            match self.seen.recv().await.expect("the server runs") {
                Seen::Request(request) => return request,
                Seen::Connection | Seen::End => {}
            }
        }
    }
}

async fn read_head(socket: &mut TcpStream) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(socket.read_u8().await.ok()?);
    }
    let text = String::from_utf8(head).expect("text").to_ascii_lowercase();
    let length = text.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse::<usize>().ok());
    let mut body = vec![0; length.unwrap_or_default()];
    socket.read_exact(&mut body).await.ok()?;
    Some(text + &String::from_utf8_lossy(&body))
}

async fn send(url: &str, method: http::Method, body: &'static [u8]) -> Result<Reply, TransportFailure> {
    let transport = ReqwestTransport::new(http_client_builder().build().expect("builds"));
    let mut request = http::Request::new(Bytes::from_static(body));
    *request.method_mut() = method;
    *request.uri_mut() = url.parse().expect("a URL");
    transport.send(request).await
}

async fn whole_body(reply: &mut Reply) -> Result<Vec<u8>, TransportFailure> {
    let mut whole = Vec::new();
    while let Some(piece) = reply.body.chunk().await? {
        whole.extend_from_slice(&piece);
    }
    Ok(whole)
}

#[tokio::test]
async fn a_refused_connection_sent_nothing() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("http://{}/", listener.local_addr().expect("an address"));
    drop(listener);
    let failure = send(&url, http::Method::GET, b"").await.expect_err("nobody listens");
    assert_eq!(failure.kind, TransportFailureKind::Connect);
    assert!(!failure.kind.may_be_applied());
}

#[tokio::test]
async fn a_connection_that_dies_without_an_answer_is_broken() {
    let server = RawServer::answering(vec![Vec::new()]).await;
    let failure = send(&server.url, http::Method::POST, b"high").await.expect_err("no answer");
    assert_eq!(failure.kind, TransportFailureKind::Broken);
    assert!(failure.kind.may_be_applied());
}

#[tokio::test]
async fn a_body_shorter_than_announced_is_broken() {
    let short = b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhigh".to_vec();
    let unfinished = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhigh\r\n".to_vec();
    for answer in [short, unfinished] {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}/", listener.local_addr().expect("an address"));
        let serve = async move {
            let (mut socket, _) = listener.accept().await.expect("a connection");
            read_head(&mut socket).await.expect("a request");
            socket.write_all(&answer).await.expect("writes");
        };
        let (reply, ()) = tokio::join!(send(&url, http::Method::GET, b""), serve);
        let failure = whole_body(&mut reply.expect("a head")).await.expect_err("cut short");
        assert_eq!(failure.kind, TransportFailureKind::Broken);
    }
}

#[tokio::test]
async fn a_post_without_body_says_so() {
    let mut server = RawServer::answering(vec![b"HTTP/1.1 204 No Content\r\n\r\n".to_vec()]).await;
    send(&server.url, http::Method::POST, b"").await.expect("answered");
    let request = server.request().await;
    assert_eq!(request.matches("content-length: 0\r\n").count(), 1, "{request}");
}

/// A body made of what is put into the channel.
fn body_of(pieces: mpsc::UnboundedReceiver<Result<Bytes, BoxError>>) -> BodyStream {
    Box::pin(futures::stream::unfold(pieces, async |mut pieces| Some((pieces.recv().await?, pieces))))
}

async fn read_until(socket: &mut TcpStream, seen: &mut Vec<u8>, wanted: &[u8]) -> bool {
    while !seen.windows(wanted.len()).any(|part| part == wanted) {
        if socket.read_buf(seen).await.unwrap_or(0) == 0 {
            return false;
        }
    }
    true
}

#[tokio::test]
async fn a_streamed_append_is_under_way_while_its_body_is_made() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let mut stream = Client::new().stream(&format!("http://{}/tides", listener.local_addr().expect("an address")));
    stream.set_content_type("text/plain");
    let (give, pieces) = mpsc::unbounded_channel();
    let serve = async move {
        let (mut socket, _) = listener.accept().await.expect("a connection");
        let mut seen = Vec::new();
        for piece in ["high", "low"] {
            give.send(Ok(Bytes::from_static(piece.as_bytes()))).expect("wanted");
            assert!(read_until(&mut socket, &mut seen, piece.as_bytes()).await);
        }
        drop(give);
        assert!(read_until(&mut socket, &mut seen, b"0\r\n\r\n").await);
        socket.write_all(b"HTTP/1.1 204 No Content\r\nstream-next-offset: 7\r\n\r\n").await.expect("writes");
        socket
    };
    let append = async { stream.detailed().append_streaming(body_of(pieces), AppendOptions::new()).await };
    let (answer, _socket) = tokio::join!(append, serve);
    assert_eq!(answer.expect("stored").value.next_offset.as_deref(), Some("7"));
}

#[tokio::test]
async fn a_body_that_fails_breaks_its_request_off() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let mut stream = Client::new().stream(&format!("http://{}/tides", listener.local_addr().expect("an address")));
    stream.set_content_type("text/plain");
    let (give, pieces) = mpsc::unbounded_channel();
    let serve = async move {
        let (mut socket, _) = listener.accept().await.expect("a connection");
        let mut seen = Vec::new();
        give.send(Ok(Bytes::from_static(b"high"))).expect("wanted");
        assert!(read_until(&mut socket, &mut seen, b"high").await);
        give.send(Err("the tide gauge broke".into())).expect("wanted");
        // It hangs up instead of ending the body.
        assert!(!read_until(&mut socket, &mut seen, b"0\r\n\r\n").await);
    };
    let append = async { stream.detailed().append_streaming(body_of(pieces), AppendOptions::new()).await };
    let (answer, ()) = tokio::join!(append, serve);
    let failure = answer.expect_err("nothing was stored");
    assert!(failure.to_string().contains("the tide gauge broke"), "{failure}");
}

#[tokio::test]
async fn compressed_bodies_arrive_plain() {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
    gzip.write_all(b"high water").expect("in memory");
    let body = gzip.finish().expect("in memory");
    let mut answer =
        format!("HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: {}\r\n\r\n", body.len()).into_bytes();
    answer.extend_from_slice(&body);
    let server = RawServer::answering(vec![answer]).await;
    let mut reply = send(&server.url, http::Method::GET, b"").await.expect("answered");
    assert_eq!(whole_body(&mut reply).await.expect("whole"), b"high water");
}

#[tokio::test]
async fn compression_is_asked_for_unless_the_server_is_on_this_machine() {
    for (host, wanted) in [("tides.example", "gzip,br"), ("127.0.0.1", "identity")] {
        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n".to_vec();
        let mut server = RawServer::answering(vec![answer]).await;
        let address = server.url.trim_start_matches("http://").trim_end_matches("/tides").to_owned();
        let client = http_client_builder().resolve("tides.example", address.parse().expect("an address"));
        let transport = ReqwestTransport::new(client.build().expect("builds"));
        let mut request = http::Request::new(Bytes::new());
        *request.uri_mut() = server.url.replace("127.0.0.1", host).parse().expect("a URL");
        transport.send(request).await.expect("answered");
        let request = server.request().await;
        let accepted = request.lines().find_map(|line| line.strip_prefix("accept-encoding: "));
        assert_eq!(accepted, Some(wanted), "{host}");
    }
}

#[tokio::test]
async fn requests_share_a_connection() {
    let created = b"HTTP/1.1 201 Created\r\ncontent-length: 0\r\nstream-next-offset: 0_0\r\n\r\n".to_vec();
    let appended = b"HTTP/1.1 204 No Content\r\nstream-next-offset: 0_4\r\n\r\n".to_vec();
    let refused = b"HTTP/1.1 409 Conflict\r\ncontent-length: 6\r\n\r\nclosed".to_vec();
    let mut server = RawServer::answering(vec![created, refused, appended]).await;
    let stream = Client::new().stream(&server.url);
    stream.create().await.expect("created");
    stream.append(b"high").await.expect_err("refused");
    stream.append(b"high").await.expect("stored");
    let mut seen = Vec::new();
    while let Ok(event) = server.seen.try_recv() {
        seen.push(event);
    }
    assert_eq!(seen.iter().filter(|event| **event == Seen::Connection).count(), 1, "{seen:?}");
}

#[tokio::test]
async fn dropping_a_request_closes_its_connection() {
    let mut server = RawServer::answering(Vec::new()).await;
    let stream = Client::new().stream(&server.url);
    let request = tokio::spawn(async move { stream.head().await.map(drop) });
    server.request().await;
    request.abort();
    assert_eq!(server.seen.recv().await, Some(Seen::End));
}

#[tokio::test]
async fn a_redirect_to_another_server_carries_no_credentials() {
    let appended = b"HTTP/1.1 204 No Content\r\nstream-next-offset: 0_4\r\n\r\n".to_vec();
    let mut other = RawServer::answering(vec![appended]).await;
    let redirect = format!("HTTP/1.1 307 Temporary Redirect\r\nlocation: {}\r\ncontent-length: 0\r\n\r\n", other.url);
    let mut first = RawServer::answering(vec![redirect.into_bytes()]).await;
    let client = Client::builder()
        .header("Authorization", "Bearer secret")
        .header("Cookie", "session=secret")
        .header("X-Api-Key", "secret")
        .build()
        .expect("valid settings");
    let mut stream = client.stream(&first.url);
    stream.set_content_type("text/plain");
    stream.append(b"high").await.expect("stored");
    assert_eq!(first.request().await.matches("secret").count(), 3);
    let request = other.request().await;
    assert!(request.starts_with("post /tides ") && request.ends_with("\r\n\r\nhigh"), "{request}");
    assert!(!request.contains("secret"), "{request}");
}

#[tokio::test]
async fn the_callers_own_http_client_is_used() {
    let mut server = RawServer::answering(vec![b"HTTP/1.1 204 No Content\r\n\r\n".to_vec()]).await;
    let http_client = http_client_builder().user_agent("lighthouse/2").build().expect("builds");
    let client = Client::builder().http_client(http_client).build().expect("valid settings");
    client.stream(&server.url).delete().await.expect("deleted");
    assert!(server.request().await.contains("user-agent: lighthouse/2\r\n"));
}

#[tokio::test]
async fn http2_works_without_tls() {
    let server = TestServer::start().await.expect("starts");
    let client = server.client_builder().http2_prior_knowledge().build().expect("valid settings");
    let stream = client.stream("tides");
    stream.create().await.expect("created");
    let answers = futures_util::future::join_all((0..20).map(|_| stream.append(b"high"))).await;
    assert!(answers.iter().all(Result::is_ok), "{answers:?}");
    assert!(matches!(client.stream("none").head().await, Err(StreamError::NotFound)));
    drop((client, stream));
    server.stop().await;
}

#[tokio::test]
async fn tls_negotiates_http2_and_refuses_strangers() {
    let certified = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("generates");
    let dir = tempfile::tempdir().expect("a directory");
    let (chain, key) = (dir.path().join("chain.pem"), dir.path().join("key.pem"));
    std::fs::write(&chain, certified.cert.pem()).expect("writes");
    std::fs::write(&key, certified.signing_key.serialize_pem()).expect("writes");
    let server = TestServer::start_with(|builder| builder.tls(chain, key)).await.expect("starts");
    let base_url = format!("https://localhost:{}", server.port());

    let root = reqwest::Certificate::from_der(certified.cert.der()).expect("a certificate");
    let trusting = http_client_builder().tls_certs_only([root]).build().expect("builds");
    let request = http::Request::head(format!("{base_url}/tides")).body(Vec::<u8>::new()).expect("a request");
    let response = trusting.execute(request.try_into().expect("converts")).await.expect("answered");
    assert_eq!((response.version(), response.status().as_u16()), (http::Version::HTTP_2, 404));
    let client = Client::builder().base_url(&base_url).http_client(trusting).build().expect("valid settings");
    client.stream("tides").create().await.expect("created");

    let never = durable_streams::RetryPolicy::NEVER;
    let stranger = Client::builder().base_url(&base_url).retry(never).build().expect("valid settings");
    match stranger.stream("tides").head().await {
        Err(StreamError::Network(error)) => assert!(error.is_connect(), "{error}"),
        other => panic!("{other:?}"),
    }
    drop(client);
    server.stop().await;
}

#[tokio::test]
async fn a_refused_connection_is_a_network_error_with_its_cause() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("http://{}/tides", listener.local_addr().expect("an address"));
    drop(listener);
    let policy = durable_streams::RetryPolicy { initial_delay: Duration::from_millis(1), ..Default::default() };
    let client = Client::builder().retry(policy).build().expect("valid settings");
    match client.stream(&url).head().await {
        Err(StreamError::Network(error)) => {
            assert!(error.is_connect() && !error.may_be_applied());
            assert!(error.as_reqwest().is_some_and(reqwest::Error::is_connect));
            assert!(error.to_string().contains("/tides"), "{error}");
        }
        other => panic!("{other:?}"),
    }
}
