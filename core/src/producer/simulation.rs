//! Whole producers over a simulated network in virtual time: requests and answers take
//! random times, get lost, meet an overloaded server. A plain model of the server keeps
//! the log (protocol.md §19).

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use durable_streams_protocol::{
    headers,
    produce::decide::{Decision, ProducerClaim, ProducerState, decide},
};
use http::{HeaderMap, HeaderName, StatusCode};
use parking_lot::Mutex;
use tokio::time::sleep;

use crate::{
    Client, ErrorCode,
    transport::{BoxFuture, Reply, ReplyBody, ReplyHead, Transport, TransportFailure, TransportFailureKind},
};

#[derive(Clone)]
struct Network(Arc<Mutex<World>>);

struct World {
    random: u64,
    /// Out of 100 requests, so many meet each kind of trouble.
    trouble: u64,
    accepted: Option<ProducerState>,
    closed_by: Option<ProducerState>,
    log: Vec<serde_json::Value>,
    requests: u64,
}

impl World {
    fn random(&mut self, below: u64) -> u64 {
        self.random = self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.random >> 33) % below
    }

    fn is_troubled(&mut self) -> bool {
        self.random(100) < self.trouble
    }

    fn take(&mut self, map: &HeaderMap, body: &[u8]) -> ReplyHead {
        let claim = ProducerClaim::from_headers(map).expect("well-formed").expect("a producer's request");
        let closes = headers::is_true(map, &headers::STREAM_CLOSED);
        if let Some(closing) = self.closed_by {
            return head(if closing == claim.state { 204 } else { 409 }, &self.tail(true));
        }
        match decide(self.accepted, claim.state) {
            Decision::Append(state) => {
                self.accepted = Some(state);
                if !body.is_empty() {
                    self.log.extend(serde_json::from_slice::<Vec<serde_json::Value>>(body).expect("an array"));
                }
                self.closed_by = closes.then_some(state);
                head(if body.is_empty() { 204 } else { 200 }, &self.tail(closes))
            }
            Decision::Duplicate(_) => head(204, &[]),
            Decision::StaleEpoch { current } => head(403, &[(headers::PRODUCER_EPOCH, current.to_string())]),
            Decision::EpochMustStartAtZero => head(400, &[]),
            Decision::Gap { expected, received } => {
                let fields = [(headers::PRODUCER_EXPECTED_SEQ, expected), (headers::PRODUCER_RECEIVED_SEQ, received)];
                head(409, &fields.map(|(name, value)| (name, value.to_string())))
            }
        }
    }

    fn tail(&self, closed: bool) -> Vec<(HeaderName, String)> {
        let mut fields = vec![(headers::STREAM_NEXT_OFFSET, format!("{:016}", self.log.len()))];
        fields.extend(closed.then(|| (headers::STREAM_CLOSED, "true".to_owned())));
        fields
    }
}

fn head(status: u16, fields: &[(HeaderName, String)]) -> ReplyHead {
    let mut map = HeaderMap::new();
    for (name, value) in fields {
        map.insert(name, value.parse().expect("a header value"));
    }
    ReplyHead { status: StatusCode::from_u16(status).expect("a status"), headers: map }
}

struct Empty;

impl ReplyBody for Empty {
    fn chunk(&mut self) -> BoxFuture<'_, Result<Option<Bytes>, TransportFailure>> {
        Box::pin(std::future::ready(Ok(None)))
    }
}

impl Transport for Network {
    fn send(&self, request: http::Request<Bytes>) -> BoxFuture<'_, Result<Reply, TransportFailure>> {
        let world = Arc::clone(&self.0);
        Box::pin(async move {
            let broken = || TransportFailure::new(TransportFailureKind::Broken, "simulated");
            let (way, back, lost, overloaded, answer_lost, straggles) = {
                let mut world = world.lock();
                world.requests += 1;
                (
                    world.random(40),
                    world.random(40),
                    world.is_troubled(),
                    world.is_troubled(),
                    world.is_troubled(),
                    world.is_troubled(),
                )
            };
            if straggles {
                // The client hears that the connection broke; the request arrives all the same,
                // much later.
                let late = Arc::clone(&world);
                tokio::spawn(async move {
                    sleep(Duration::from_millis(300 + way)).await;
                    late.lock().take(request.headers(), request.body());
                });
                sleep(Duration::from_millis(way)).await;
                return Err(broken());
            }
            sleep(Duration::from_millis(way)).await;
            if lost {
                return Err(broken());
            }
            let head = if overloaded {
                head(503, &[(http::header::RETRY_AFTER, "1".to_owned())])
            } else {
                world.lock().take(request.headers(), request.body())
            };
            sleep(Duration::from_millis(back)).await;
            if answer_lost { Err(broken()) } else { Ok(Reply { head, body: Box::new(Empty) }) }
        })
    }
}

fn network(seed: u64, trouble: u64) -> Network {
    Network(Arc::new(Mutex::new(World {
        random: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x5851_f42d,
        trouble,
        accepted: None,
        closed_by: None,
        log: Vec::new(),
        requests: 0,
    })))
}

fn builder(network: &Network) -> super::ProducerBuilder {
    let client = Client::builder().base_url("http://h").transport(network.clone()).build().expect("valid");
    client.stream("s").producer("p").content_type("application/json")
}

#[tokio::test(start_paused = true)]
async fn whatever_the_network_does_the_log_holds_every_message_once_and_in_order() {
    for seed in 0..150 {
        let network = network(seed, seed % 20);
        let builder = builder(&network)
            .max_batch_items(1 + seed % 7)
            .max_in_flight(1 + usize::try_from(seed % 6).expect("small"))
            .epoch(seed % 2)
            .auto_claim(seed % 3 == 0)
            .max_queued_messages(1 + seed % 50)
            .retry(crate::RetryPolicy { max_retries: 1000, ..crate::RetryPolicy::DEFAULT });
        let producer = builder.build().expect("builds");
        let writers: Vec<_> = (0..3_u64)
            .map(|writer| {
                let producer = producer.clone();
                let network = network.clone();
                tokio::spawn(async move {
                    for number in 0..30_u64 {
                        producer.append_json(&[writer, number]).await.expect("accepted");
                        let pause = network.0.lock().random(30);
                        if pause > 20 {
                            sleep(Duration::from_millis(pause)).await;
                        }
                        if pause == 0 {
                            producer.flush().await.expect("stored");
                            assert!(network.0.lock().log.contains(&serde_json::json!([writer, number])), "seed {seed}");
                        }
                    }
                })
            })
            .collect();
        for writer in writers {
            writer.await.expect("a writer");
        }
        if seed % 4 == 0 {
            producer.restart().await.expect("restarts");
        }
        producer.close_with("\"bye\"").await.expect("closed");
        let world = network.0.lock();
        assert_eq!(world.log.len(), 91, "seed {seed}");
        assert_eq!(world.log.last(), Some(&serde_json::json!("bye")), "seed {seed}");
        let mut next = [0_u64; 3];
        for message in &world.log[..90] {
            let [writer, number]: [u64; 2] = serde_json::from_value(message.clone()).expect("a pair");
            let slot = &mut next[usize::try_from(writer).expect("small")];
            assert_eq!(number, *slot, "seed {seed}");
            *slot += 1;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn receipts_tell_the_truth_when_retries_run_out() {
    for seed in 0..150 {
        let network = network(seed, 30);
        let builder = builder(&network).max_batch_items(2).retry(crate::RetryPolicy::NEVER);
        let producer = builder.build().expect("builds");
        let receipts: Vec<_> = (0..40_u64).map(|number| producer.append_json(&number)).collect();
        let mut stored = Vec::new();
        for (number, receipt) in (0..40_u64).zip(receipts) {
            match receipt.acknowledged_detailed().await {
                Ok(_) => stored.push(number),
                Err(failure) => assert_ne!(failure.code(), ErrorCode::SequenceGap, "seed {seed}"),
            }
        }
        producer.detach().await.ok();
        let world = network.0.lock();
        // Acknowledged messages are a prefix, the log is one, too, and it is at least as long.
        assert_eq!(stored, (0..stored.len() as u64).collect::<Vec<_>>(), "seed {seed}");
        let log: Vec<_> = world.log.iter().filter_map(serde_json::Value::as_u64).collect();
        assert_eq!(log, (0..log.len() as u64).collect::<Vec<_>>(), "seed {seed}");
        assert!(log.len() >= stored.len(), "seed {seed}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_narrowing_window_keeps_requests_for_nothing_rare() {
    let network = network(7, 0);
    let producer = builder(&network).max_batch_items(1).build().expect("builds");
    for number in 0..2_000 {
        producer.append_json(&number).await.expect("accepted");
    }
    producer.flush().await.expect("stored");
    let world = network.0.lock();
    assert_eq!(world.log.len(), 2_000);
    assert!(world.requests < 2_600, "{} requests for 2,000 batches", world.requests);
}
