//! Readers over server-sent events: delivery latency and idle memory.

use std::{
    io,
    net::SocketAddr,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tokio::{io::AsyncReadExt, net::TcpStream, task::JoinSet};

use crate::{http::Connection, memory::resident, stats::percentile};

/// A message is `@`, the microseconds since the start in 16 digits, `@`, filled to this length.
const MESSAGE_BYTES: usize = 100;

/// Measures the time from sending an append to its arrival at each reader.
/// Errors: a message lost, doubled or out of order.
pub(crate) async fn fanout(
    server: SocketAddr,
    readers: usize,
    rate: u32,
    appends: u32,
) -> Result<Value, Box<dyn std::error::Error>> {
    let path = new_stream(server, "fanout").await?;
    let start = Instant::now();
    let mut waiting = JoinSet::new();
    for _ in 0..readers {
        let (socket, body) = open_reader(server, &path).await?;
        waiting.spawn(collect(socket, body, start, appends as usize));
    }
    let mut writer = Connection::open(server).await?;
    let mut pace = tokio::time::interval(Duration::from_secs(1) / rate);
    for _ in 0..appends {
        pace.tick().await;
        let mut message = format!("@{:016}@", start.elapsed().as_micros()).into_bytes();
        message.resize(MESSAGE_BYTES, b'.');
        let status = writer.send("POST", &path, &message).await?;
        if !(200..300).contains(&status) {
            return Err(format!("POST {path} answered {status}").into());
        }
    }
    let mut latencies = Vec::with_capacity(readers * appends as usize);
    let all = async {
        while let Some(reader) = waiting.join_next().await {
            latencies.extend(reader??);
        }
        Ok::<_, Box<dyn std::error::Error>>(())
    };
    tokio::time::timeout(Duration::from_secs(30), all)
        .await
        .map_err(|_| "messages were lost: a reader still waits")??;
    latencies.sort_unstable();
    Ok(json!({
        "readers": readers,
        "appends": appends,
        "deliveries": latencies.len(),
        "p50_us": percentile(&latencies, 0.5),
        "p99_us": percentile(&latencies, 0.99),
        "max_us": percentile(&latencies, 1.0),
    }))
}

/// Measures the server's memory with and without idle readers.
pub(crate) async fn idle(
    server: SocketAddr,
    pid: Option<u32>,
    readers: usize,
) -> Result<Value, Box<dyn std::error::Error>> {
    let path = new_stream(server, "idle").await?;
    let before = resident(pid);
    let mut open = Vec::with_capacity(readers);
    for _ in 0..readers {
        open.push(open_reader(server, &path).await?);
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    let after = resident(pid);
    let per_reader = before.zip(after).map(|(before, after)| after.saturating_sub(before) / readers.max(1) as u64);
    Ok(json!({
        "readers": open.len(),
        "resident_before_bytes": before,
        "resident_after_bytes": after,
        "bytes_per_reader": per_reader,
    }))
}

/// Creates an empty stream of its own for this run.
async fn new_stream(server: SocketAddr, name: &str) -> io::Result<String> {
    let path = format!("/v1/stream/{name}-{}", std::process::id());
    match Connection::open(server).await?.send("PUT", &path, b"").await? {
        201 => Ok(path),
        other => Err(io::Error::other(format!("PUT {path} answered {other}"))),
    }
}

/// Opens a reader at the tail and waits for its first control event.
async fn open_reader(server: SocketAddr, path: &str) -> io::Result<(TcpStream, Vec<u8>)> {
    let (mut socket, mut body) = Connection::open(server).await?.stream(&format!("{path}?offset=-1&live=sse")).await?;
    while !body.windows(8).any(|window| window == b"upToDate") {
        if socket.read_buf(&mut body).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok((socket, Vec::new()))
}

/// Reads until the expected number of messages came; returns their latencies in microseconds.
async fn collect(mut socket: TcpStream, mut body: Vec<u8>, start: Instant, expected: usize) -> io::Result<Vec<u64>> {
    let mut latencies = Vec::with_capacity(expected);
    let mut scanner = Scanner::default();
    let mut last = None;
    while latencies.len() < expected {
        body.clear();
        if socket.read_buf(&mut body).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let now = start.elapsed().as_micros() as u64;
        for byte in &body {
            let Some(sent) = scanner.push(*byte) else { continue };
            if last.is_some_and(|last| sent <= last) {
                return Err(io::Error::other("a message came twice or out of order"));
            }
            last = Some(sent);
            latencies.push(now.saturating_sub(sent));
        }
    }
    Ok(latencies)
}

/// Finds `@digits@` in bytes that arrive in any cut.
#[derive(Default)]
struct Scanner {
    inside: bool,
    number: u64,
}

impl Scanner {
    fn push(&mut self, byte: u8) -> Option<u64> {
        match byte {
            b'@' if self.inside => {
                self.inside = false;
                Some(std::mem::take(&mut self.number))
            }
            b'@' => {
                self.inside = true;
                None
            }
            b'0'..=b'9' if self.inside => {
                self.number = self.number * 10 + u64::from(byte - b'0');
                None
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Scanner;

    #[test]
    fn scanner_finds_numbers_across_cuts() {
        let mut scanner = Scanner::default();
        let text = b"data:@0000000000000042@....\ndata:1 @7@";
        let found: Vec<u64> = text.iter().filter_map(|byte| scanner.push(*byte)).collect();
        assert_eq!(found, [42, 7]);
    }
}
