//! Idempotent producers: one is kept per path, id and epoch, so that its numbers go on.

use std::time::Duration;

use bytes::Bytes;
use durable_streams::{Producer, ProducerBuilder};
use serde_json::json;

use crate::{
    command::Command,
    oneshot::set,
    outcome::{Outcome, Problem, success},
    session::{ProducerKey, Session},
};

/// Longer than any batch takes to fill: only the flush sends it.
const LONG_LINGER: Duration = Duration::from_secs(60);

pub(crate) async fn append(session: &mut Session, command: &Command) -> Outcome {
    let producer = kept(session, command)?;
    let receipt = producer.append(command.text());
    producer.detailed().flush().await?;
    let acknowledged = receipt.acknowledged_detailed().await?;
    let mut result = success("idempotent-append");
    result["status"] = 200.into();
    set(&mut result, "offset", acknowledged.offset.as_ref().map(|offset| offset.as_str()));
    result["duplicate"] = acknowledged.duplicate.into();
    result["producerEpoch"] = acknowledged.epoch.into();
    result["producerSeq"] = acknowledged.seq.into();
    Ok(result)
}

pub(crate) async fn append_batch(session: &mut Session, command: &Command) -> Outcome {
    let builder = match command.max_in_flight {
        Some(most) if most > 1 => {
            builder(session, command)?.max_in_flight(most).max_batch_items(1).linger(Duration::ZERO)
        }
        _ => builder(session, command)?.max_in_flight(1).linger(LONG_LINGER),
    };
    let producer = builder.build()?;
    let receipts: Vec<_> = command.items.iter().map(|item| producer.append(item)).collect();
    let flushed = producer.detailed().flush().await;
    let mut last = None;
    for receipt in receipts {
        if let Ok(acknowledged) = receipt.acknowledged_detailed().await {
            last = Some(acknowledged);
        }
    }
    // Detaching reports what the flush has reported.
    let _ = producer.detailed().detach().await;
    flushed?;
    let mut result = success("idempotent-append-batch");
    result["status"] = 200.into();
    if let Some(last) = last {
        result["producerEpoch"] = last.epoch.into();
        result["producerSeq"] = last.seq.into();
        result["duplicate"] = last.duplicate.into();
    }
    Ok(result)
}

pub(crate) async fn close(session: &mut Session, command: &Command) -> Outcome {
    let producer = kept(session, command)?;
    let last = command.data.as_ref().map(|data| Bytes::from(data.clone()));
    let closed = producer.detailed().close_stream(last).await?;
    Ok(json!({"type": "idempotent-close", "success": true, "status": 200,
        "finalOffset": closed.final_offset.as_str()}))
}

pub(crate) async fn detach(session: &mut Session, command: &Command) -> Outcome {
    if let Some(producer) = session.producers.remove(&key(command)) {
        producer.detailed().detach().await?;
    }
    Ok(json!({"type": "idempotent-detach", "success": true, "status": 200}))
}

/// Starts the producer's next epoch; it stays under the epoch it was named with.
pub(crate) async fn restart(session: &mut Session, command: &Command) -> Outcome {
    let producer = kept(session, command)?;
    producer.detailed().restart().await?;
    Ok(json!({"type": "idempotent-restart", "success": true, "status": 200, "producerEpoch": producer.epoch()}))
}

fn kept(session: &mut Session, command: &Command) -> Result<Producer, Problem> {
    let key = key(command);
    if let Some(producer) = session.producers.get(&key) {
        return Ok(producer.clone());
    }
    let producer = builder(session, command)?.max_in_flight(1).linger(Duration::ZERO).build()?;
    session.producers.insert(key, producer.clone());
    Ok(producer)
}

fn builder(session: &Session, command: &Command) -> Result<ProducerBuilder, Problem> {
    let stream = session.stream(command)?;
    let mut builder = stream.producer(command.producer_id()).epoch(command.epoch).auto_claim(command.auto_claim);
    for (name, value) in &command.headers {
        builder = builder.header(name, value);
    }
    Ok(builder)
}

fn key(command: &Command) -> ProducerKey {
    (command.path.clone(), command.producer_id().to_owned(), command.epoch)
}
