//! Our server beside the official Rust server, both durable: acknowledged after fsync.

use std::{net::SocketAddr, path::PathBuf};

use serde_json::Value;

use super::{
    Options, bench_folder,
    table::{Better, Row, Table},
    usage::Usage,
};
use crate::{
    cargo::{self, Profile},
    process::{Outcome, capture, command, root},
    server::Server,
    tools,
};

const CONNECTIONS: &str = "64";

/// A measurement of one server: gives a value per row, in the order of [`Measure::rows`].
struct Measure {
    rows: &'static [(&'static str, &'static str, Better, Option<f64>)],
    run: fn(&Bench, &Server) -> Outcome<Vec<f64>>,
    /// Whether the server must be new: memory of earlier load would count too.
    alone: bool,
}

const MEASURES: [Measure; 7] = [
    Measure {
        rows: &[
            ("append 100 B, 64 connections, 1 stream", "appends/s", Better::Higher, Some(1.2)),
            ("append 100 B, 1 stream: the server's processor time per append", "us", Better::Lower, None),
            ("append 100 B, 1 stream: its context switches per append", "switches", Better::Lower, None),
        ],
        run: |bench, server| bench.append(server, 1),
        alone: false,
    },
    Measure {
        rows: &[
            ("append 100 B, 64 connections, 1,000 streams", "appends/s", Better::Higher, Some(1.2)),
            ("append 100 B, 1,000 streams: the server's processor time per append", "us", Better::Lower, None),
            ("append 100 B, 1,000 streams: its context switches per append", "switches", Better::Lower, None),
        ],
        run: |bench, server| bench.append(server, 1000),
        alone: false,
    },
    Measure {
        rows: &[("catch-up read 1 KiB, 64 connections", "reads/s", Better::Higher, Some(1.3))],
        run: |bench, server| bench.read(server, 1024),
        alone: false,
    },
    Measure {
        rows: &[("catch-up read 1 MiB, 64 connections", "reads/s", Better::Higher, Some(1.0))],
        run: |bench, server| bench.read(server, 1024 * 1024),
        alone: false,
    },
    Measure {
        rows: &[
            ("1,000 SSE readers of one stream: delivery p99", "us", Better::Lower, Some(1.0)),
            ("1,000 SSE readers of one stream: delivery p50", "us", Better::Lower, None),
        ],
        run: |bench, server| bench.load(server, &["fanout"], &["p99_us", "p50_us"]),
        alone: false,
    },
    Measure {
        rows: &[("resident memory per idle SSE reader (5,000)", "bytes", Better::Lower, None)],
        run: |bench, server| bench.load(server, &["idle"], &["bytes_per_reader"]),
        alone: true,
    },
    Measure {
        rows: &[
            ("streams with one message before the server refuses (100,000 asked)", "streams", Better::Higher, None),
            ("resident memory per idle stream", "bytes", Better::Lower, None),
            ("creates, 64 connections", "creates/s", Better::Higher, None),
        ],
        run: |bench, server| bench.load(server, &["streams"], &["streams", "bytes_per_stream", "creates_per_second"]),
        alone: true,
    },
];

/// Measures everything, ours and the peer in turn.
pub(super) fn run(options: &Options) -> Outcome<Table> {
    tools::wrk()?;
    let bench = Bench { seconds: options.seconds, load: cargo::build("load", "load", Profile::Release)? };
    let mut table = Table::default();
    for measure in MEASURES {
        let mut rows: Vec<Row> = measure
            .rows
            .iter()
            .map(|(name, unit, better, required)| Row::new(name, unit, *better, *required))
            .collect();
        if !rows.iter().any(|row| options.wants(row.name)) {
            continue;
        }
        let mut kept = None;
        // Memory of idle things varies little, and 100,000 streams take their time.
        for round in 0..if measure.alone { 1 } else { options.rounds } {
            if measure.alone || kept.is_none() {
                kept = Some((Side::start("ours")?, Side::start("peer")?));
            }
            let Some((ours, peer)) = &kept else { continue };
            for (row, value) in rows.iter_mut().zip((measure.run)(&bench, &ours.server)?) {
                row.ours.push(value);
            }
            for (row, value) in rows.iter_mut().zip((measure.run)(&bench, &peer.server)?) {
                row.peer.push(value);
                println!("round {} {}: ours {:?}, peer {:?}", round + 1, row.name, row.ours.last(), row.peer.last());
            }
        }
        table.0.extend(rows);
    }
    Ok(table)
}

/// A server with a data folder of its own, both gone when dropped.
struct Side {
    server: Server,
    _data: tempfile::TempDir,
}

impl Side {
    fn start(which: &str) -> Outcome<Self> {
        let data = bench_folder()?;
        let server = match which {
            "peer" => Server::peer(data.path(), &[])?,
            _ => Server::ours(
                Profile::Release,
                &["--storage", "file", "--data-dir", &data.path().display().to_string()],
            )?,
        };
        Ok(Self { server, _data: data })
    }
}

struct Bench {
    seconds: u32,
    load: PathBuf,
}

impl Bench {
    fn append(&self, server: &Server, streams: usize) -> Outcome<Vec<f64>> {
        for stream in 0..streams {
            put(server.address(), &format!("/v1/stream/append-{stream}"), &[])?;
        }
        let before = Usage::of(server.pid());
        let (rate, requests) = self.wrk(server, "append.lua", "", streams)?;
        let [cpu_us, switches] = Usage::of(server.pid()).since(&before, requests);
        Ok(vec![rate, cpu_us, switches])
    }

    fn read(&self, server: &Server, bytes: usize) -> Outcome<Vec<f64>> {
        let path = format!("/v1/stream/read-{bytes}");
        put(server.address(), &path, &vec![b'r'; bytes])?;
        Ok(vec![self.wrk(server, "read.lua", &format!("{path}?offset=-1"), 1)?.0])
    }

    /// Returns requests per second, and how many there were.
    /// Errors: any request failed, since errors are cheap to serve.
    fn wrk(&self, server: &Server, script: &str, path: &str, streams: usize) -> Outcome<(f64, f64)> {
        let mut wrk = command("wrk");
        wrk.args(["--threads", "2", "--connections", CONNECTIONS, "--duration", &format!("{}s", self.seconds)]);
        wrk.arg("--script").arg(root().join("tests/bench/wrk").join(script));
        wrk.arg(format!("{}{path}", server.url())).env("STREAMS", streams.to_string());
        let text = capture(&mut wrk)?;
        let result = text.lines().find_map(|line| line.strip_prefix("RESULT ")).ok_or("wrk printed no result")?;
        let result: Value = serde_json::from_str(result).map_err(|error| format!("wrk's result: {error}"))?;
        if result["failed"] != 0 {
            return Err(format!("{} of {} requests failed", result["failed"], result["requests"]).into());
        }
        let requests = result["requests"].as_f64().unwrap_or(0.0);
        Ok((requests / result["seconds"].as_f64().unwrap_or(1.0), requests))
    }

    /// Runs our own loader and picks fields of its result.
    fn load(&self, server: &Server, arguments: &[&str], fields: &[&str]) -> Outcome<Vec<f64>> {
        let mut load = command(&self.load);
        load.arg("--server").arg(server.address().to_string()).arg("--pid").arg(server.pid().to_string());
        let text = capture(load.args(arguments))?;
        let result: Value = serde_json::from_str(&text).map_err(|error| format!("the loader's result: {error}"))?;
        Ok(fields.iter().map(|field| result[*field].as_f64().unwrap_or(f64::NAN)).collect())
    }
}

/// Creates a stream with a first message; one that exists stays as it is.
fn put(server: SocketAddr, path: &str, body: &[u8]) -> Outcome<()> {
    use std::io::{Read, Write};
    let exchange = || {
        let mut socket = std::net::TcpStream::connect(server)?;
        let length = body.len();
        let head = format!(
            "PUT {path} HTTP/1.1\r\nHost: {server}\r\nContent-Type: application/octet-stream\r\n\
             Content-Length: {length}\r\nConnection: close\r\n\r\n"
        );
        socket.write_all(&[head.as_bytes(), body].concat())?;
        let mut answer = [0; 12];
        socket.read_exact(&mut answer)?;
        Ok::<_, std::io::Error>(String::from_utf8_lossy(&answer[9..]).into_owned())
    };
    match exchange() {
        Ok(status) if status == "201" || status == "200" => Ok(()),
        Ok(status) => Err(format!("PUT {path} answered {status}").into()),
        Err(error) => Err(format!("PUT {path}: {error}").into()),
    }
}
