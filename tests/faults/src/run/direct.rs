//! The runner's own requests, past the proxy.

use std::{net::SocketAddr, time::Duration};

use bytes::Bytes;
use tokio::{io::AsyncWriteExt, net::TcpStream, time::timeout};

use crate::proxy::http1::{First, Head, Kind, Peer};

/// How long the server may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// An answer.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) head: Head,
    pub(super) body: Bytes,
}

/// Everything a stream has.
#[derive(Debug)]
pub(super) struct Content {
    /// Each answer's body, in order.
    pub(super) bodies: Vec<Bytes>,
    pub(super) is_closed: bool,
}

/// Sends one request on a connection of its own.
pub(super) async fn ask(
    server: SocketAddr,
    method: &str,
    target: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Result<Answer, String> {
    let asking = async {
        let mut peer = Peer::new(TcpStream::connect(server).await?);
        let mut text = format!("{method} {target} HTTP/1.1\r\nhost: {server}\r\nconnection: close\r\n");
        for (name, value) in headers {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        text.push_str(&format!("content-length: {}\r\n\r\n", body.len()));
        let mut request = text.into_bytes();
        request.extend_from_slice(body);
        peer.socket.write_all(&request).await?;
        let head = peer.head(Kind::Answer).await?.ok_or(std::io::ErrorKind::UnexpectedEof)?;
        let framing = head.framing(Some(method))?;
        let raw = peer.body(framing.clone()).await?;
        let body = framing.payload(&raw)?;
        let First::Answer(status) = head.first else { return Err(std::io::ErrorKind::InvalidData.into()) };
        Ok(Answer { status, head, body })
    };
    let answered = timeout(PATIENCE, asking).await.map_err(|_| format!("{method} {target}: no answer"))?;
    answered.map_err(|error: std::io::Error| format!("{method} {target}: {error}"))
}

/// Reads a stream to its tail; `None` when there is none.
pub(super) async fn content(server: SocketAddr, path: &str) -> Result<Option<Content>, String> {
    let mut content = Content { bodies: Vec::new(), is_closed: false };
    let mut offset = "-1".to_owned();
    loop {
        let answer = ask(server, "GET", &format!("{path}?offset={offset}"), &[], &[]).await?;
        match answer.status {
            200 => {}
            404 | 410 => return Ok(None),
            status => return Err(format!("the server answers {status} to a plain read of {path}")),
        }
        content.bodies.push(answer.body);
        content.is_closed = answer.head.get("stream-closed").is_some_and(|value| value.eq_ignore_ascii_case("true"));
        if content.is_closed || answer.head.get("stream-up-to-date").is_some() {
            return Ok(Some(content));
        }
        let next = answer.head.get("stream-next-offset").unwrap_or_default();
        if next.is_empty() || next == offset {
            return Err(format!("the server does not say how to go on behind {offset:?} of {path}"));
        }
        offset = next.to_owned();
    }
}
