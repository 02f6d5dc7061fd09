//! Just enough HTTP/1.1 to read live answers on a kept connection, and to tell an answer
//! that ended from one that broke off.

use std::{io, net::SocketAddr};

use bytes::{Buf, Bytes, BytesMut};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// A connection that carries one request at a time.
pub(crate) struct Wire {
    socket: TcpStream,
    input: BytesMut,
    body: Body,
}

/// What a reader needs of an answer's head.
pub(crate) struct Head {
    pub(crate) status: u16,
    pub(crate) next_offset: Option<String>,
    pub(crate) cursor: Option<String>,
}

/// What is left of the answer's body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Body {
    Length(u64),
    /// Bytes left in the chunk.
    Chunk(u64),
    /// The line end behind a chunk, then a size.
    BetweenChunks,
    /// A size.
    FirstChunk,
    Ended,
}

impl Wire {
    pub(crate) async fn open(server: SocketAddr) -> io::Result<Self> {
        let socket = TcpStream::connect(server).await?;
        socket.set_nodelay(true)?;
        Ok(Self { socket, input: BytesMut::new(), body: Body::Ended })
    }

    /// Sends a GET.
    pub(crate) async fn ask(&mut self, target: &str) -> io::Result<()> {
        let request = format!("GET {target} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n");
        self.socket.write_all(request.as_bytes()).await
    }

    /// Waits for the head of the answer.
    pub(crate) async fn head(&mut self) -> io::Result<Head> {
        loop {
            if let Some((head, len, body)) = parse(&self.input)? {
                self.input.advance(len);
                self.body = body;
                return Ok(head);
            }
            self.fill().await?;
        }
    }

    /// The next piece of the body; `None` when it ended as it should.
    pub(crate) async fn piece(&mut self) -> io::Result<Option<Bytes>> {
        loop {
            match self.body {
                Body::Ended | Body::Length(0) => {
                    self.body = Body::Ended;
                    return Ok(None);
                }
                Body::Length(left) | Body::Chunk(left) if !self.input.is_empty() => {
                    let len = self.input.len().min(usize::try_from(left).unwrap_or(usize::MAX));
                    let after = left - len as u64;
                    self.body = match self.body {
                        Body::Length(_) => Body::Length(after),
                        _ if after == 0 => Body::BetweenChunks,
                        Body::Chunk(_) | Body::BetweenChunks | Body::FirstChunk | Body::Ended => Body::Chunk(after),
                    };
                    return Ok(Some(self.input.split_to(len).freeze()));
                }
                Body::BetweenChunks if self.input.len() >= 2 => {
                    self.input.advance(2);
                    self.body = Body::FirstChunk;
                }
                Body::FirstChunk => match httparse::parse_chunk_size(&self.input) {
                    Ok(httparse::Status::Complete((line, 0))) if self.input.len() >= line + 2 => {
                        self.input.advance(line + 2);
                        self.body = Body::Ended;
                    }
                    Ok(httparse::Status::Complete((line, len))) if len > 0 => {
                        self.input.advance(line);
                        self.body = Body::Chunk(len);
                    }
                    Ok(_) => self.fill().await?,
                    Err(_) => return Err(io::Error::other("a chunk has no size")),
                },
                Body::Length(_) | Body::Chunk(_) | Body::BetweenChunks => self.fill().await?,
            }
        }
    }

    async fn fill(&mut self) -> io::Result<()> {
        // Live answers are short; a large buffer per reader would be the harness's memory.
        self.input.reserve(1024);
        match self.socket.read_buf(&mut self.input).await? {
            0 => Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the connection ended in the middle of an answer")),
            _ => Ok(()),
        }
    }
}

/// The head of an answer, its length and what follows; `None` when it is not whole.
fn parse(input: &[u8]) -> io::Result<Option<(Head, usize, Body)>> {
    use durable_streams_protocol::headers::{STREAM_CURSOR, STREAM_NEXT_OFFSET};
    let mut slots = [httparse::EMPTY_HEADER; 40];
    let mut answer = httparse::Response::new(&mut slots);
    let httparse::Status::Complete(len) = answer.parse(input).map_err(io::Error::other)? else { return Ok(None) };
    let text = |name: &str| {
        let header = answer.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name))?;
        String::from_utf8(header.value.to_vec()).ok()
    };
    let status = answer.code.unwrap_or_default();
    let length = text("content-length").and_then(|length| length.parse().ok());
    let body = match length {
        _ if matches!(status, 204 | 304) => Body::Ended,
        Some(length) => Body::Length(length),
        None if text("transfer-encoding").is_some() => Body::FirstChunk,
        None => return Err(io::Error::other("an answer without a length")),
    };
    let head = Head { status, next_offset: text(STREAM_NEXT_OFFSET.as_str()), cursor: text(STREAM_CURSOR.as_str()) };
    Ok(Some((head, len, body)))
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };

    use super::Wire;

    /// What a reader gets of an answer that a server sends in pieces of so many bytes.
    async fn received(answer: &str, cut: usize) -> std::io::Result<Vec<u8>> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let answer = answer.to_owned();
        tokio::spawn(async move {
            let Ok((mut socket, _)) = listener.accept().await else { return };
            // Closing with unread input would reset the connection.
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") && socket.read_buf(&mut request).await.is_ok_and(|len| len > 0) {}
            for piece in answer.as_bytes().chunks(cut) {
                let _ = socket.write_all(piece).await;
                let _ = socket.flush().await;
            }
        });
        let mut wire = Wire::open(address).await?;
        wire.ask("/").await?;
        assert_eq!(wire.head().await?.status, 200);
        let mut body = Vec::new();
        while let Some(piece) = wire.piece().await? {
            body.extend_from_slice(&piece);
        }
        Ok(body)
    }

    #[tokio::test]
    async fn bodies_are_followed_to_their_end_in_any_cuts() {
        let chunked = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\nA\r\n0123456789\r\n0\r\n\r\n";
        let sized = "HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nabc";
        for cut in [1, 2, 7, 1000] {
            assert_eq!(received(chunked, cut).await.expect("whole"), b"abc0123456789");
            assert_eq!(received(sized, cut).await.expect("whole"), b"abc");
        }
    }

    #[tokio::test]
    async fn a_body_that_breaks_off_is_an_error() {
        for answer in [
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nab",
            "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nabc",
        ] {
            assert!(received(answer, 1000).await.is_err(), "{answer}");
        }
    }
}
