//! Bytes on a connection to a real server: whatever they are, it answers with HTTP, blames
//! the client and not itself, and goes on serving.

use std::{cell::RefCell, io::ErrorKind, time::Duration};

use durable_streams_server::server::{RunningServer, Server, WebhookMode};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    runtime::Runtime,
};

thread_local! {
    static WORLD: RefCell<Option<World>> = const { RefCell::new(None) };
}

/// After so many runs a new server starts: what is stored must not pile up.
const RUNS_PER_SERVER: u32 = 500;
/// Longer than any answer takes; live answers end within milliseconds here.
const PATIENCE: Duration = Duration::from_secs(20);

struct World {
    runtime: Runtime,
    server: Option<RunningServer>,
    runs: u32,
}

/// The bytes go to a server as one connection, which then ends its side. `~` stands for the
/// path of streams, so that short inputs reach the handlers.
///
/// # Panics
/// When the server answers 5xx, something that is not HTTP, or not at all in time; or when
/// it does not serve an ordinary request afterwards.
pub fn http(data: &[u8]) {
    WORLD.with_borrow_mut(|world| world.get_or_insert_with(World::new).run(data));
}

impl World {
    fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        Self { runtime, server: None, runs: 0 }
    }

    fn run(&mut self, data: &[u8]) {
        let Self { runtime, server, runs } = self;
        *runs += 1;
        if *runs % RUNS_PER_SERVER == 0
            && let Some(old) = server.take()
        {
            runtime.block_on(old.stop());
        }
        let text: Vec<u8> = data
            .iter()
            .flat_map(|byte| if *byte == b'~' { &b"/v1/stream/"[..] } else { std::slice::from_ref(byte) })
            .copied()
            .collect();
        runtime.block_on(async {
            if server.is_none() {
                *server = Some(start().await);
            }
            let Some(server) = server else { return };
            let answers =
                tokio::time::timeout(PATIENCE, exchange(server.port(), &text)).await.expect("an answer in time");
            judge(&text, &answers);
            let alive = exchange(server.port(), b"GET /health HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await;
            assert!(alive.bytes.starts_with(b"HTTP/1.1 200"), "it does not serve any more");
            server.clear().await.expect("the streams are deleted");
        });
    }
}

async fn start() -> RunningServer {
    let life = Duration::from_millis(2);
    Server::builder()
        .long_poll_timeout(life)
        .sse_reconnect_interval(life)
        .max_body_bytes(1000)
        // Nothing may leave this machine.
        .webhooks(WebhookMode::Off)
        .metrics(true)
        .start()
        .await
        .expect("a server on loopback")
}

struct Answers {
    bytes: Vec<u8>,
    /// The server closed with unread input: what it had sent may be gone.
    is_reset: bool,
}

async fn exchange(port: u16, text: &[u8]) -> Answers {
    let mut socket = TcpStream::connect(("127.0.0.1", port)).await.expect("the server listens");
    let (mut from, mut to) = socket.split();
    // A server may refuse and close before it has read everything.
    let write = async {
        let _ = to.write_all(text).await;
        let _ = to.shutdown().await;
    };
    let read = async {
        let mut bytes = Vec::new();
        let is_reset = match from.read_to_end(&mut bytes).await {
            Ok(_) => false,
            Err(error) if error.kind() == ErrorKind::ConnectionReset => true,
            Err(error) => panic!("{error}"),
        };
        Answers { bytes, is_reset }
    };
    tokio::join!(write, read).1
}

/// Every answer is HTTP and none is 5xx. HTTP/2 needs a peer that speaks it; here its frames
/// only must not harm.
fn judge(text: &[u8], answers: &Answers) {
    if text.starts_with(b"PRI") {
        return;
    }
    if let Err(found) = walk(&answers.bytes, answers.is_reset) {
        let [text, answers] = [text, &answers.bytes].map(String::from_utf8_lossy);
        panic!("{found}\n--- request\n{text:?}\n--- answers\n{answers:?}");
    }
}

/// Follows answers one behind the other. Only the request tells whether a body follows a
/// head with a length (HEAD has none), so either is tried.
fn walk(bytes: &[u8], is_cut: bool) -> Result<(), String> {
    if bytes.is_empty() {
        return Ok(());
    }
    let mut slots = [httparse::EMPTY_HEADER; 64];
    let mut response = httparse::Response::new(&mut slots);
    let parsed = response.parse(bytes).map_err(|error| format!("not an answer: {error}"))?;
    let httparse::Status::Complete(head) = parsed else {
        return if is_cut { Ok(()) } else { Err("an answer breaks off in its head".to_owned()) };
    };
    let status = response.code.unwrap_or_default();
    if status >= 500 && !matches!(status, 501 | 505) {
        return Err(format!("status {status}"));
    }
    let header = |name: &str| response.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name));
    let rest = &bytes[head..];
    let behind = if header("transfer-encoding").is_some() {
        chunked_len(rest)
    } else {
        let len = header("content-length").and_then(|header| std::str::from_utf8(header.value).ok()?.parse().ok());
        Some(len.unwrap_or(0)).filter(|len| *len <= rest.len())
    };
    let is_events = header("content-type").is_some_and(|header| header.value.starts_with(b"text/event-stream"));
    let with_body = match behind {
        Some(len) => walk(&rest[len..], is_cut),
        // A live reader that ends its side is gone for the server.
        None if is_cut || is_events => Ok(()),
        None => Err("an answer breaks off in its body".to_owned()),
    };
    with_body.or_else(|found| walk(rest, is_cut).map_err(|_| found))
}

/// Length of a chunked body that is whole; trailers are not sent.
fn chunked_len(bytes: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        let httparse::Status::Complete((head, len)) = httparse::parse_chunk_size(bytes.get(at..)?).ok()? else {
            return None;
        };
        at += head + usize::try_from(len).ok()? + 2;
        if len == 0 {
            return Some(at).filter(|at| *at <= bytes.len());
        }
    }
}
