//! Producers: the Rust client's idempotent producer on each of a task's streams, paced.

use std::{sync::Arc, time::Duration};

use durable_streams::Client;
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use crate::{
    ledger::Ledger,
    load::{is_json, stream_name},
    message::message,
};

/// Writes to some streams in turn until told to stop, then waits until all is stored.
pub(crate) async fn run(
    ledger: Arc<Ledger>,
    client: Client,
    index: usize,
    streams: Vec<usize>,
    every: Duration,
    first_at: Instant,
    message_bytes: usize,
) -> Result<(), String> {
    let failed = |error: &dyn std::fmt::Display| format!("producer {index}: {error}");
    let mut producers = Vec::with_capacity(streams.len());
    for stream in streams {
        let handle = client.stream(&stream_name(stream));
        let producer = handle.producer(format!("soak-{index}")).content_type(content_type(stream)).build();
        producers.push((stream, producer.map_err(|error| failed(&error))?));
    }
    let mut pace = interval_at(first_at, every);
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    for (stream, producer) in producers.iter().cycle() {
        pace.tick().await;
        if ledger.is_written() {
            break;
        }
        let number = ledger.next_number(*stream);
        producer.append(message(number, message_bytes, is_json(*stream))).await.map_err(|error| failed(&error))?;
    }
    for (_, producer) in &producers {
        producer.flush().await.map_err(|error| failed(&error))?;
    }
    Ok(())
}

/// Type of a stream.
pub(crate) const fn content_type(stream: usize) -> &'static str {
    if is_json(stream) { "application/json" } else { "text/plain" }
}
