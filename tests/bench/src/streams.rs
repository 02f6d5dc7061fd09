//! Many streams, each created with one message.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::{http::Connection, memory::resident};

/// Creates streams over several connections and tells how fast, and what they cost.
/// Stops early when the server refuses one (a server that keeps descriptors per stream does).
pub(crate) async fn create(
    server: SocketAddr,
    pid: Option<u32>,
    count: usize,
    connections: usize,
) -> Result<Value, Box<dyn std::error::Error>> {
    let before = resident(pid);
    let started = Instant::now();
    let workers: Vec<_> =
        (0..connections).map(|worker| tokio::spawn(create_every_nth(server, worker, connections, count))).collect();
    let (mut created, mut refused) = (0, None);
    for worker in workers {
        let (count, refusal) = worker.await??;
        created += count;
        refused = refused.or(refusal);
    }
    let elapsed = started.elapsed();
    // Both servers write behind; what they settle at counts, not the peak of the load.
    tokio::time::sleep(Duration::from_secs(5)).await;
    let after = resident(pid);
    let per_stream = before.zip(after).map(|(before, after)| after.saturating_sub(before) / created.max(1));
    Ok(json!({
        "streams": created,
        "refused_with": refused,
        "creates_per_second": created as f64 / elapsed.as_secs_f64(),
        "resident_before_bytes": before,
        "resident_after_bytes": after,
        "bytes_per_stream": per_stream,
    }))
}

/// Returns how many streams were created, and the status that ended it early.
async fn create_every_nth(
    server: SocketAddr,
    first: usize,
    step: usize,
    count: usize,
) -> std::io::Result<(u64, Option<u16>)> {
    let mut connection = Connection::open(server).await?;
    let mut created = 0;
    for number in (first..count).step_by(step) {
        match connection.send("PUT", &format!("/v1/stream/many/{number}"), &[b'm'; 100]).await? {
            201 => created += 1,
            refusal => return Ok((created, Some(refusal))),
        }
    }
    Ok((created, None))
}
