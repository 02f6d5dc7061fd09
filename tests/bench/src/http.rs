//! Just enough HTTP/1.1 to send requests on a kept connection.

use std::{io, net::SocketAddr};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// A kept connection that carries one request at a time.
pub(crate) struct Connection {
    socket: TcpStream,
    server: SocketAddr,
    buffer: Vec<u8>,
}

impl Connection {
    /// Opens a connection without Nagle's delay.
    pub(crate) async fn open(server: SocketAddr) -> io::Result<Self> {
        let socket = TcpStream::connect(server).await?;
        socket.set_nodelay(true)?;
        Ok(Self { socket, server, buffer: Vec::with_capacity(4096) })
    }

    /// Sends a text/plain request with a body and returns the answer's status.
    pub(crate) async fn send(&mut self, method: &str, path: &str, body: &[u8]) -> io::Result<u16> {
        let mut request = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n\r\n",
            self.server,
            body.len()
        )
        .into_bytes();
        request.extend_from_slice(body);
        self.socket.write_all(&request).await?;
        let head_end = self.read_head().await?;
        let status = status(&self.buffer)?;
        let length = content_length(&self.buffer[..head_end]);
        while self.buffer.len() < head_end + length {
            self.fill().await?;
        }
        self.buffer.drain(..head_end + length);
        Ok(status)
    }

    /// Sends a GET and returns the socket with what was read behind the answer's head.
    pub(crate) async fn stream(mut self, path: &str) -> io::Result<(TcpStream, Vec<u8>)> {
        let request = format!("GET {path} HTTP/1.1\r\nHost: {}\r\nAccept: text/event-stream\r\n\r\n", self.server);
        self.socket.write_all(request.as_bytes()).await?;
        let head_end = self.read_head().await?;
        match status(&self.buffer)? {
            200 => Ok((self.socket, self.buffer.split_off(head_end))),
            other => Err(io::Error::other(format!("GET {path} answered {other}"))),
        }
    }

    async fn read_head(&mut self) -> io::Result<usize> {
        loop {
            if let Some(end) = self.buffer.windows(4).position(|window| window == b"\r\n\r\n") {
                return Ok(end + 4);
            }
            self.fill().await?;
        }
    }

    async fn fill(&mut self) -> io::Result<()> {
        match self.socket.read_buf(&mut self.buffer).await? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }
}

fn status(head: &[u8]) -> io::Result<u16> {
    head.get(9..12)
        .and_then(|digits| std::str::from_utf8(digits).ok()?.parse().ok())
        .ok_or_else(|| io::Error::other("the answer has no status"))
}

fn content_length(head: &[u8]) -> usize {
    String::from_utf8_lossy(head)
        .lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .and_then(|(_, value)| value.trim().parse().ok())
        .unwrap_or(0)
}
