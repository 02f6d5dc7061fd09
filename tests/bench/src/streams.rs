//! Many streams, each created with one message.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::{http::Connection, memory::resident};

/// Creates streams over several connections and tells how fast, and what they cost.
pub(crate) async fn create(
    server: SocketAddr,
    pid: Option<u32>,
    count: usize,
    connections: usize,
) -> Result<Value, Box<dyn std::error::Error>> {
    let before = resident(pid);
    let started = Instant::now();
    let workers: Vec<_> = (0..connections)
        .map(|worker| {
            tokio::spawn(async move {
                let mut connection = Connection::open(server).await?;
                for number in (worker..count).step_by(connections) {
                    let path = format!("/v1/stream/many/{number}");
                    let status = connection.send("PUT", &path, &[b'm'; 100]).await?;
                    if status != 201 {
                        return Err(std::io::Error::other(format!("PUT {path} answered {status}")));
                    }
                }
                Ok(())
            })
        })
        .collect();
    for worker in workers {
        worker.await??;
    }
    let elapsed = started.elapsed();
    // Both servers write behind; what they settle at counts, not the peak of the load.
    tokio::time::sleep(Duration::from_secs(5)).await;
    let after = resident(pid);
    Ok(json!({
        "streams": count,
        "creates_per_second": count as f64 / elapsed.as_secs_f64(),
        "resident_before_bytes": before,
        "resident_after_bytes": after,
    }))
}
