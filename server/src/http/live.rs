//! Live reads on plain HTTP/1.1 connections, without the general HTTP machine.
//!
//! A waiting reader is mostly memory: the general machine keeps two buffers of 8 KiB
//! and more per connection. Requests that can only be live reads are answered here
//! instead, on the bare socket; whatever looks in any way unusual is not, and the
//! connection goes back to the general machine for the next request.

use std::{
    future::poll_fn,
    io::{self, IoSlice},
    sync::Arc,
    task::Poll,
    time::{Duration, SystemTime},
};

use bytes::{Buf, Bytes};
use http::{HeaderValue, Method, Request, StatusCode, Uri, header, request::Parts};
use tokio::{net::TcpStream, time::timeout};

use super::{
    answer::Answer,
    body::Body,
    connection::{Connection, Phase, Shared, Transition, transition},
    service::Service,
    sse::SseBody,
};

/// Longest head taken here. Units: bytes.
pub(super) const MAX_HEAD: usize = 8 * 1024;
const MAX_HEADERS: usize = 64;
/// How long a client may leave an answer unread.
const STALL: Duration = Duration::from_secs(90);
/// How long a connection waits for its next request.
const IDLE: Duration = Duration::from_secs(180);

/// Whether the bytes are one whole request head that can only be a live read without a
/// body.
pub(super) fn is_live_request(bytes: &[u8]) -> bool {
    bytes.starts_with(b"GET /") && is_one_head(bytes) && names_live(bytes) && parse(bytes).is_some()
}

/// Whether the bytes are exactly one request head.
pub(super) fn is_one_head(bytes: &[u8]) -> bool {
    bytes.len() <= MAX_HEAD && memchr::memmem::find(bytes, b"\r\n\r\n") == bytes.len().checked_sub(4)
}

/// A cheap look at the request line, before it is parsed.
fn names_live(bytes: &[u8]) -> bool {
    let line = memchr::memchr(b'\r', bytes).map_or(bytes, |end| &bytes[..end]);
    memchr::memmem::find(line, b"live=").is_some()
}

/// Parses a head; `None` when anything in it asks for more than a plain GET.
fn parse(bytes: &[u8]) -> Option<Parts> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut head = httparse::Request::new(&mut headers);
    if !head.parse(bytes).ok()?.is_complete() || head.version != Some(1) || head.method != Some("GET") {
        return None;
    }
    let mut request = Request::new(());
    *request.method_mut() = Method::GET;
    *request.uri_mut() = Uri::try_from(head.path?).ok()?;
    for field in head.headers {
        let name = http::HeaderName::from_bytes(field.name.as_bytes()).ok()?;
        if [header::CONTENT_LENGTH, header::TRANSFER_ENCODING, header::UPGRADE, header::EXPECT].contains(&name) {
            return None;
        }
        request.headers_mut().append(name, HeaderValue::from_bytes(field.value).ok()?);
    }
    Some(request.into_parts().0)
}

/// Answers live reads on a connection, from the one whose head is given.
pub(super) async fn serve(socket: TcpStream, mut head: Bytes, mut shared: Shared) {
    loop {
        let claimed = parse(&head).and_then(|request| {
            let service = shared.site.only_streams()?;
            service.claims_live(&request).then(|| (request, service.clone()))
        });
        let Some((request, service)) = claimed else {
            return transition(shared, Transition::General { socket, unread: head, may_take_live: false });
        };
        // It holds on to the whole buffer it was read into.
        drop(std::mem::take(&mut head));
        let asks_to_close = request
            .headers
            .get_all(header::CONNECTION)
            .iter()
            .any(|value| value.as_bytes().to_ascii_lowercase().windows(5).any(|word| word == b"close"));
        shared.connection.note_request();
        let Some(answer) = answer(&socket, &service, &shared.connection, request).await else { return };
        let is_last = asks_to_close || *shared.stop.borrow() != Phase::Running;
        if send(&socket, answer, is_last).await.is_err() || is_last {
            return;
        }
        let Some(next) = next_bytes(&socket, &mut shared).await else { return };
        if !is_live_request(&next) {
            return transition(shared, Transition::General { socket, unread: next, may_take_live: true });
        }
        head = next;
    }
}

/// The answer, or `None` when the client hung up before there was one.
async fn answer(
    socket: &TcpStream,
    service: &Arc<Service>,
    connection: &Arc<Connection>,
    request: Parts,
) -> Option<Answer> {
    // Boxed, so that a connection that streams does not carry the room for it.
    let answering = Box::pin(service.answer_live(connection, request));
    tokio::select! {
        biased;
        answer = answering => Some(answer),
        () = hung_up(socket) => None,
    }
}

async fn send(socket: &TcpStream, answer: Answer, is_last: bool) -> io::Result<()> {
    let (parts, body) = answer.into_parts();
    let mut head = Vec::with_capacity(1024);
    head.extend_from_slice(b"HTTP/1.1 ");
    head.extend_from_slice(parts.status.as_str().as_bytes());
    head.push(b' ');
    head.extend_from_slice(parts.status.canonical_reason().unwrap_or("Status").as_bytes());
    head.extend_from_slice(b"\r\n");
    for (name, value) in &parts.headers {
        put_field(&mut head, name.as_str(), value.as_bytes());
    }
    put_field(&mut head, "date", httpdate::fmt_http_date(SystemTime::now()).as_bytes());
    if is_last {
        put_field(&mut head, "connection", b"close");
    }
    match body {
        Body::Sse(events) => {
            put_field(&mut head, "transfer-encoding", b"chunked");
            head.extend_from_slice(b"\r\n");
            stream(socket, head, events).await
        }
        body @ (Body::Empty | Body::Full(_) | Body::Parts(_) | Body::Other(_)) => {
            // Live reads answer from memory; nothing else can come here.
            let (pieces, len) = body.into_pieces().map_err(|_| io::ErrorKind::Unsupported)?;
            if !matches!(parts.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED) {
                put_field(&mut head, "content-length", len.to_string().as_bytes());
            }
            head.extend_from_slice(b"\r\n");
            let mut bufs: Vec<Bytes> = Vec::with_capacity(pieces.len() + 1);
            bufs.push(head.into());
            bufs.extend(pieces);
            write_all(socket, &mut bufs).await
        }
    }
}

fn put_field(head: &mut Vec<u8>, name: &str, value: &[u8]) {
    head.extend_from_slice(name.as_bytes());
    head.extend_from_slice(b": ");
    head.extend_from_slice(value);
    head.extend_from_slice(b"\r\n");
}

/// Sends events as chunks until they end or the client hangs up.
async fn stream(socket: &TcpStream, head: Vec<u8>, mut events: SseBody) -> io::Result<()> {
    // The first events usually are there: they travel with the head.
    let first = poll_fn(|cx| Poll::Ready(events.poll_event(cx))).await;
    let mut bufs = vec![Bytes::from(head)];
    let mut is_over = put_chunk(&mut bufs, first);
    write_all(socket, &mut bufs).await?;
    let mut hung_up = std::pin::pin!(hung_up(socket));
    while !is_over {
        let event = tokio::select! {
            biased;
            event = poll_fn(|cx| events.poll_event(cx)) => event,
            () = hung_up.as_mut() => return Err(io::ErrorKind::ConnectionReset.into()),
        };
        is_over = put_chunk(&mut bufs, Poll::Ready(event));
        write_all(socket, &mut bufs).await?;
    }
    Ok(())
}

/// Frames an event as a chunk; `true` when it was the end.
fn put_chunk(bufs: &mut Vec<Bytes>, event: Poll<Option<Bytes>>) -> bool {
    match event {
        Poll::Pending => false,
        Poll::Ready(Some(frame)) => {
            bufs.push(format!("{:x}\r\n", frame.len()).into());
            bufs.push(frame);
            bufs.push(Bytes::from_static(b"\r\n"));
            false
        }
        Poll::Ready(None) => {
            bufs.push(Bytes::from_static(b"0\r\n\r\n"));
            true
        }
    }
}

/// Writes all buffers and forgets them, but not for a client that does not read.
async fn write_all(socket: &TcpStream, bufs: &mut Vec<Bytes>) -> io::Result<()> {
    let mut at = 0;
    while at < bufs.len() {
        let slices: Vec<IoSlice<'_>> = bufs[at..].iter().map(|buf| IoSlice::new(buf)).collect();
        match socket.try_write_vectored(&slices) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(mut written) => {
                while at < bufs.len() && written >= bufs[at].len() {
                    written -= bufs[at].len();
                    at += 1;
                }
                if at < bufs.len() {
                    bufs[at].advance(written);
                }
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                timeout(STALL, socket.writable()).await.map_err(|_| io::ErrorKind::TimedOut)??;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    bufs.clear();
    Ok(())
}

/// Resolves when the client ends the connection; never, once it has sent more instead.
async fn hung_up(socket: &TcpStream) {
    if matches!(socket.peek(&mut [0]).await, Ok(1..)) {
        std::future::pending::<()>().await;
    }
}

/// What the client sends next; `None` when it or the server has enough.
async fn next_bytes(socket: &TcpStream, shared: &mut Shared) -> Option<Bytes> {
    let mut buf = Vec::new();
    loop {
        tokio::select! {
            ready = timeout(IDLE, socket.readable()) => ready.ok()?.ok()?,
            _ = shared.stop.wait_for(|phase| *phase != Phase::Running) => return None,
        }
        // Only now, so that a waiting connection has no buffer.
        buf.reserve(MAX_HEAD);
        match socket.try_read_buf(&mut buf) {
            Ok(0) => return None,
            Ok(_) => return Some(buf.into()),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => buf = Vec::new(),
            Err(_) => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_plain_live_reads_are_taken() {
        assert!(is_live_request(b"GET /v1/stream/a?offset=-1&live=sse HTTP/1.1\r\nHost: x\r\n\r\n"));
        assert!(is_live_request(b"GET /a?live=long-poll&offset=now HTTP/1.1\r\n\r\n"));
        for other in [
            &b"GET /a?offset=-1 HTTP/1.1\r\n\r\n"[..],
            b"POST /a?live=sse HTTP/1.1\r\n\r\n",
            b"GET /a?live=sse HTTP/1.0\r\n\r\n",
            b"GET /a?live=sse HTTP/1.1\r\nHost: x\r\n",
            b"GET /a?live=sse HTTP/1.1\r\n\r\nGET /",
            b"GET /a?live=sse HTTP/1.1\r\ncontent-LENGTH: 5\r\n\r\n",
            b"GET /a?live=sse HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n",
            b"GET /a?live=sse HTTP/1.1\r\nUpgrade: h2c\r\n\r\n",
            b"GET /a?live=sse HTTP/1.1\r\nbad header\r\n\r\n",
            b"GET http://x/a?live=sse HTTP/1.1\r\n\r\n",
            b"GET /a HTTP/1.1\r\nX: live=sse\r\n\r\n",
            b"",
        ] {
            assert!(!is_live_request(other), "{}", String::from_utf8_lossy(other));
        }
    }
}
