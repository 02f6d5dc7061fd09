//! A small HTTP/1.1 client over a bare socket, so that tests see every byte.

use std::time::Duration;

use bytes::BytesMut;
use durable_streams_server::server::{RunningServer, Server, ServerBuilder};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

/// No answer takes longer than this; a test that waits this long has failed.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// A server for one test: short waits, so that timeouts are seen quickly.
pub fn quick() -> ServerBuilder {
    Server::builder().long_poll_timeout(Duration::from_millis(300)).sse_reconnect_interval(Duration::from_secs(30))
}

/// Starts [`quick`].
pub async fn start() -> RunningServer {
    quick().start().await.expect("a server starts")
}

/// A response with its whole body.
#[derive(Debug, Clone)]
pub struct Reply {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Reply {
    /// A header's value; a header may occur once at most.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut found = self.headers.iter().filter(|(candidate, _)| candidate.eq_ignore_ascii_case(name));
        let value = found.next().map(|(_, value)| value.as_str());
        assert!(found.next().is_none(), "{name} occurs twice");
        value
    }

    /// The next offset, which must be there.
    pub fn next_offset(&self) -> String {
        self.header("stream-next-offset").unwrap_or_else(|| panic!("no offset in {self:?}")).to_owned()
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("UTF-8")
    }
}

/// A connection.
pub struct Client {
    socket: TcpStream,
    unread: BytesMut,
}

impl Client {
    pub async fn to(server: &RunningServer) -> Self {
        let socket = TcpStream::connect(("127.0.0.1", server.port())).await.expect("connected");
        Self { socket, unread: BytesMut::new() }
    }

    /// Sends a request; the body's length is announced.
    pub async fn send(&mut self, method: &str, target: &str, headers: &[(&str, &str)], body: &[u8]) {
        let mut text = format!("{method} {target} HTTP/1.1\r\nHost: test.example\r\n");
        if !body.is_empty() {
            text.push_str(&format!("Content-Length: {}\r\n", body.len()));
        }
        for (name, value) in headers {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        text.push_str("\r\n");
        let mut bytes = text.into_bytes();
        bytes.extend_from_slice(body);
        self.write(&bytes).await;
    }

    pub async fn write(&mut self, bytes: &[u8]) {
        // A server that refuses a body may close before it has all of it.
        let _ = timeout(PATIENCE, self.socket.write_all(bytes)).await.expect("the server reads");
    }

    /// Ends the sending side; answers can still be read.
    pub async fn half_close(&mut self) {
        self.socket.shutdown().await.expect("shut down");
    }

    /// Reads status and headers.
    pub async fn head(&mut self) -> Reply {
        loop {
            if let Some(end) = self.unread.windows(4).position(|window| window == b"\r\n\r\n") {
                let head = self.unread.split_to(end + 4);
                let head = std::str::from_utf8(&head[..end]).expect("an ASCII head");
                let mut lines = head.split("\r\n");
                let status = lines.next().and_then(|line| line.split(' ').nth(1)).expect("a status line");
                let headers = lines
                    .map(|line| line.split_once(':').map(|(name, value)| (name.to_owned(), value.trim().to_owned())))
                    .collect::<Option<Vec<_>>>()
                    .expect("header lines");
                return Reply { status: status.parse().expect("a status"), headers, body: Vec::new() };
            }
            assert!(self.fill().await, "the connection ended before a head");
        }
    }

    /// Reads a whole response to a request of this method.
    pub async fn reply_to(&mut self, method: &str) -> Reply {
        let mut reply = self.head().await;
        if method == "HEAD" || matches!(reply.status, 204 | 304) {
            return reply;
        }
        if reply.header("transfer-encoding") == Some("chunked") {
            while let Some(piece) = self.chunk().await {
                reply.body.extend_from_slice(&piece);
            }
        } else {
            let len: usize = reply.header("content-length").and_then(|len| len.parse().ok()).expect("a length");
            while self.unread.len() < len {
                assert!(self.fill().await, "the connection ended within a body");
            }
            reply.body = self.unread.split_to(len).to_vec();
        }
        reply
    }

    /// The next chunk of a chunked body; `None` at its proper end.
    pub async fn chunk(&mut self) -> Option<Vec<u8>> {
        loop {
            if let Some(line) = self.unread.windows(2).position(|window| window == b"\r\n") {
                let size = std::str::from_utf8(&self.unread[..line]).expect("a chunk size");
                let size = usize::from_str_radix(size, 16).expect("a chunk size");
                if self.unread.len() >= line + 2 + size + 2 {
                    let _ = self.unread.split_to(line + 2);
                    let piece = self.unread.split_to(size).to_vec();
                    let _ = self.unread.split_to(2);
                    return (size > 0).then_some(piece);
                }
            }
            assert!(self.fill().await, "the connection ended within a chunked body");
        }
    }

    /// Everything up to the end of the connection, which is made to come.
    pub async fn rest(&mut self) -> String {
        let _ = self.socket.shutdown().await;
        while self.fill().await {}
        String::from_utf8_lossy(&self.unread).into_owned()
    }

    /// Whether the server has closed the connection, waiting for it to say so.
    pub async fn is_closed(&mut self) -> bool {
        !self.fill().await
    }

    /// Reads more; `false` at the end of the connection.
    async fn fill(&mut self) -> bool {
        let read = timeout(PATIENCE, self.socket.read_buf(&mut self.unread)).await.expect("the server answers in time");
        matches!(read, Ok(len) if len > 0)
    }
}

/// One request on its own connection.
pub async fn ask(server: &RunningServer, method: &str, target: &str, headers: &[(&str, &str)], body: &[u8]) -> Reply {
    let mut client = Client::to(server).await;
    client.send(method, target, headers, body).await;
    client.reply_to(method).await
}

pub async fn get(server: &RunningServer, target: &str) -> Reply {
    ask(server, "GET", target, &[], b"").await
}

pub const TEXT: (&str, &str) = ("Content-Type", "text/plain");
pub const JSON: (&str, &str) = ("Content-Type", "application/json");
pub const BYTES: (&str, &str) = ("Content-Type", "application/octet-stream");
pub const CLOSED: (&str, &str) = ("Stream-Closed", "true");

/// The three producer headers.
pub fn producer<'v>(id: &'v str, epoch: &'v str, seq: &'v str) -> [(&'v str, &'v str); 3] {
    [("Producer-Id", id), ("Producer-Epoch", epoch), ("Producer-Seq", seq)]
}

/// Creates a stream with this type and first content; gives its tail.
pub async fn create(server: &RunningServer, path: &str, content_type: (&str, &str), body: &[u8]) -> String {
    let reply = ask(server, "PUT", path, &[content_type], body).await;
    assert_eq!(reply.status, 201, "{reply:?}");
    reply.next_offset()
}

/// Appends; gives the new tail.
pub async fn append(server: &RunningServer, path: &str, content_type: (&str, &str), body: &[u8]) -> String {
    let reply = ask(server, "POST", path, &[content_type], body).await;
    assert_eq!(reply.status, 204, "{reply:?}");
    reply.next_offset()
}

/// An SSE response: its head, then event by event.
pub struct Events {
    client: Client,
    pub head: Reply,
    text: String,
}

impl Events {
    pub async fn of(server: &RunningServer, target: &str) -> Self {
        let mut client = Client::to(server).await;
        client.send("GET", target, &[], b"").await;
        let head = client.head().await;
        assert_eq!(head.status, 200, "{head:?}");
        Self { client, head, text: String::new() }
    }

    /// The next event as sent, blank line included; `None` at the proper end.
    pub async fn next(&mut self) -> Option<String> {
        loop {
            if let Some(end) = self.text.find("\n\n") {
                let rest = self.text.split_off(end + 2);
                return Some(std::mem::replace(&mut self.text, rest));
            }
            self.text.push_str(std::str::from_utf8(&self.client.chunk().await?).expect("UTF-8 events"));
        }
    }

    /// The next event, which must be a control event; gives its fields.
    pub async fn control(&mut self) -> serde_json::Value {
        let event = self.next().await.expect("an event");
        let payload =
            event.strip_prefix("event: control\ndata:").unwrap_or_else(|| panic!("{event:?} is no control event"));
        serde_json::from_str(payload.trim_end()).expect("control JSON")
    }

    /// One network chunk of the response.
    pub async fn frame(&mut self) -> Option<String> {
        assert!(self.text.is_empty());
        self.client.chunk().await.map(|piece| String::from_utf8(piece).expect("UTF-8 events"))
    }
}
