//! As much of HTTP/1.1 as is needed to know where a message ends. Bytes stay as they are:
//! what a peer wrote is what the other one reads.

use std::io;

use bytes::{Bytes, BytesMut};
use tokio::{io::AsyncReadExt, net::TcpStream};

/// Largest head. Units: bytes.
const MAX_HEAD: usize = 64 * 1024;
const MAX_HEADERS: usize = 128;

/// One side of a connection with what was read from it and not used yet.
#[derive(Debug)]
pub struct Peer {
    /// The socket.
    pub socket: TcpStream,
    /// Read, not used.
    pub buffer: BytesMut,
}

/// Head of a request or an answer.
#[derive(Debug, Clone)]
pub struct Head {
    /// As it came, empty line included.
    pub raw: Bytes,
    /// What the first line says.
    pub first: First,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
}

/// First line of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum First {
    /// Of a request: method and target.
    Request(String, String),
    /// Of an answer: status.
    Answer(u16),
}

/// Which kind of message is expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// From a client.
    Request,
    /// From a server.
    Answer,
}

/// How a body ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Framing {
    /// After so many bytes.
    Length(u64),
    /// With its last chunk.
    Chunked(Chunks),
    /// With the connection.
    UntilClose,
}

/// Where in a chunked body the reader stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Chunks {
    /// In the line of a size.
    Size(u64),
    /// In what may follow a size on its line.
    Extension(u64),
    /// In data, or its CR LF.
    Data(u64),
    /// In a trailer line; how long it is so far.
    Trailer(u64),
    /// Behind the last byte.
    Over,
}

impl Peer {
    /// A connection of which nothing was read.
    pub fn new(socket: TcpStream) -> Self {
        Self { socket, buffer: BytesMut::new() }
    }

    /// The next head; `None` when the peer ended the connection before one began.
    pub async fn head(&mut self, kind: Kind) -> io::Result<Option<Head>> {
        loop {
            if let Some(head) = parse(&mut self.buffer, kind)? {
                return Ok(Some(head));
            }
            if self.buffer.len() > MAX_HEAD {
                return Err(broken("the head is too long"));
            }
            if self.socket.read_buf(&mut self.buffer).await? == 0 {
                return if self.buffer.is_empty() { Ok(None) } else { Err(io::ErrorKind::UnexpectedEof.into()) };
            }
        }
    }

    /// The next raw piece of a body; `None` behind its end.
    pub async fn piece(&mut self, framing: &mut Framing) -> io::Result<Option<Bytes>> {
        if framing.is_over() {
            return Ok(None);
        }
        if self.buffer.is_empty() && self.socket.read_buf(&mut self.buffer).await? == 0 {
            return match framing {
                Framing::UntilClose => Ok(None),
                Framing::Length(_) | Framing::Chunked(_) => Err(io::ErrorKind::UnexpectedEof.into()),
            };
        }
        let len = framing.advance(&self.buffer)?;
        Ok(Some(self.buffer.split_to(len).freeze()))
    }

    /// A whole raw body.
    pub async fn body(&mut self, mut framing: Framing) -> io::Result<Bytes> {
        let mut body = BytesMut::new();
        while let Some(piece) = self.piece(&mut framing).await? {
            body.extend_from_slice(&piece);
        }
        Ok(body.freeze())
    }
}

impl Head {
    /// A header's value.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// How the body ends. `asked` is the method of the request an answer belongs to.
    pub fn framing(&self, asked: Option<&str>) -> io::Result<Framing> {
        let has_none = match self.first {
            First::Request(..) => false,
            First::Answer(status) => asked == Some("HEAD") || matches!(status, 100..=199 | 204 | 304),
        };
        if has_none {
            return Ok(Framing::Length(0));
        }
        if self.get("transfer-encoding").is_some_and(|value| value.to_ascii_lowercase().contains("chunked")) {
            return Ok(Framing::Chunked(Chunks::Size(0)));
        }
        match (self.get("content-length"), &self.first) {
            (Some(length), _) => {
                length.trim().parse().map(Framing::Length).map_err(|_| broken("a length is no number"))
            }
            (None, First::Request(..)) => Ok(Framing::Length(0)),
            (None, First::Answer(_)) => Ok(Framing::UntilClose),
        }
    }

    /// The head again, with another length in place of what said where the body ends.
    pub fn with_length(&self, length: u64) -> Bytes {
        let first = self.raw.split(|byte| *byte == b'\n').next().unwrap_or_default();
        let mut text = String::from_utf8_lossy(first).trim_end().to_owned();
        for (name, value) in &self.headers {
            if name != "content-length" && name != "transfer-encoding" {
                text.push_str(&format!("\r\n{name}: {value}"));
            }
        }
        text.push_str(&format!("\r\ncontent-length: {length}\r\n\r\n"));
        text.into()
    }
}

impl Framing {
    /// Whether the body's last byte is behind.
    pub const fn is_over(&self) -> bool {
        matches!(self, Self::Length(0) | Self::Chunked(Chunks::Over))
    }

    /// How many of these bytes belong to the body; they count as read.
    pub fn advance(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::UntilClose => Ok(bytes.len()),
            Self::Length(rest) => {
                let len = usize::try_from(*rest).unwrap_or(usize::MAX).min(bytes.len());
                *rest -= len as u64;
                Ok(len)
            }
            Self::Chunked(chunks) => {
                let mut used = 0;
                while used < bytes.len() && *chunks != Chunks::Over {
                    if let Chunks::Data(rest) = chunks
                        && *rest > 1
                    {
                        let len = usize::try_from(*rest - 1).unwrap_or(usize::MAX).min(bytes.len() - used);
                        *rest -= len as u64;
                        used += len;
                        continue;
                    }
                    chunks.step(bytes[used])?;
                    used += 1;
                }
                Ok(used)
            }
        }
    }

    /// The payload of a whole raw body.
    pub fn payload(&self, raw: &Bytes) -> io::Result<Bytes> {
        if !matches!(self, Self::Chunked(_)) {
            return Ok(raw.clone());
        }
        let mut payload = BytesMut::new();
        let mut rest = &raw[..];
        loop {
            let (start, size) = match httparse::parse_chunk_size(rest) {
                Ok(httparse::Status::Complete((start, size))) => (start, usize::try_from(size).unwrap_or(usize::MAX)),
                Ok(httparse::Status::Partial) | Err(_) => return Err(broken("a chunk has no size")),
            };
            if size == 0 {
                return Ok(payload.freeze());
            }
            let end = start.checked_add(size).filter(|end| end + 2 <= rest.len());
            let end = end.ok_or_else(|| broken("a chunk is cut"))?;
            payload.extend_from_slice(&rest[start..end]);
            rest = &rest[end + 2..];
        }
    }
}

impl Chunks {
    fn step(&mut self, byte: u8) -> io::Result<()> {
        *self = match (&*self, byte) {
            (Self::Size(size) | Self::Extension(size), b'\n') => match size {
                0 => Self::Trailer(0),
                // The CR LF behind the data counts as data.
                size => Self::Data(size + 2),
            },
            (Self::Size(size), b'\r' | b';' | b' ' | b'\t') | (Self::Extension(size), _) => Self::Extension(*size),
            (Self::Size(size), byte) => {
                let digit = char::from(byte).to_digit(16).ok_or_else(|| broken("a chunk's size is no number"))?;
                Self::Size(size.checked_mul(16).ok_or_else(|| broken("a chunk is too long"))? + u64::from(digit))
            }
            (Self::Data(1), _) => Self::Size(0),
            (Self::Data(rest), _) => Self::Data(rest - 1),
            (Self::Trailer(0), b'\n') => Self::Over,
            (Self::Trailer(_), b'\n') => Self::Trailer(0),
            (Self::Trailer(length), b'\r') => Self::Trailer(*length),
            (Self::Trailer(length), _) => Self::Trailer(length + 1),
            (Self::Over, _) => Self::Over,
        };
        Ok(())
    }
}

fn parse(buffer: &mut BytesMut, kind: Kind) -> io::Result<Option<Head>> {
    let mut slots = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let invalid = |error: httparse::Error| broken(&error.to_string());
    let (len, first, slots) = match kind {
        Kind::Request => {
            let mut request = httparse::Request::new(&mut slots);
            let httparse::Status::Complete(len) = request.parse(buffer).map_err(invalid)? else { return Ok(None) };
            let text = |part: Option<&str>| part.unwrap_or_default().to_owned();
            (len, First::Request(text(request.method), text(request.path)), &*request.headers)
        }
        Kind::Answer => {
            let mut answer = httparse::Response::new(&mut slots);
            let httparse::Status::Complete(len) = answer.parse(buffer).map_err(invalid)? else { return Ok(None) };
            (len, First::Answer(answer.code.unwrap_or_default()), &*answer.headers)
        }
    };
    let header = |header: &httparse::Header<'_>| {
        (header.name.to_ascii_lowercase(), String::from_utf8_lossy(header.value).into_owned())
    };
    let headers = slots.iter().map(header).collect();
    Ok(Some(Head { raw: buffer.split_to(len).freeze(), first, headers }))
}

/// An error of this shape of HTTP.
pub(crate) fn broken(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chunked_body_ends_where_it_ends_however_it_is_cut() {
        let body = b"4\r\nab\r\n\r\nA;x=y\r\n0123456789\r\n0\r\nt: 1\r\n\r\nGET /";
        let end = body.len() - 5;
        for cut in 1..body.len() {
            let mut framing = Framing::Chunked(Chunks::Size(0));
            let mut used = 0;
            for piece in body.chunks(cut) {
                let taken = framing.advance(piece).expect("well formed");
                used += taken;
                if taken < piece.len() {
                    break;
                }
            }
            assert_eq!((used, framing.is_over()), (end, true), "pieces of {cut}");
        }
        let raw = Bytes::from_static(&body[..end]);
        let payload = Framing::Chunked(Chunks::Size(0)).payload(&raw).expect("well formed");
        assert_eq!(payload, &b"ab\r\n0123456789"[..]);
    }

    #[test]
    fn a_head_can_be_given_another_length() {
        let mut buffer = BytesMut::from(&b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX-A: b\r\n\r\nrest"[..]);
        let head = parse(&mut buffer, Kind::Answer).expect("well formed").expect("complete");
        assert_eq!(head.with_length(7), &b"HTTP/1.1 200 OK\r\nx-a: b\r\ncontent-length: 7\r\n\r\n"[..]);
        assert_eq!(buffer, &b"rest"[..]);
    }
}
