//! The producer against a scripted network in virtual time.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::Method;
use parking_lot::Mutex;
use tokio::time::Instant;

use super::{Producer, ProducerBuilder};
use crate::{
    Client, ErrorCode, ProducerError,
    transport::{
        TransportFailureKind,
        scripted::{Scripted, ScriptedReply},
    },
};

mod life;

fn builder(script: &Scripted, content_type: Option<&str>) -> ProducerBuilder {
    let client = Client::builder().base_url("http://h/v1/stream").transport(script.clone()).build().expect("valid");
    let mut stream = client.stream("tides");
    if let Some(content_type) = content_type {
        stream.set_content_type(content_type);
    }
    stream.producer("gauge")
}

fn json(script: &Scripted) -> Producer {
    builder(script, Some("application/json")).build().expect("builds")
}

fn text(script: &Scripted) -> Producer {
    builder(script, Some("text/plain")).build().expect("builds")
}

fn stored(offset: &str) -> ScriptedReply {
    ScriptedReply::status(200).header("Stream-Next-Offset", offset)
}

fn closed() -> ScriptedReply {
    stored("end").header("Stream-Closed", "true")
}

fn stale(epoch: &str) -> ScriptedReply {
    ScriptedReply::status(403).header("Producer-Epoch", epoch)
}

/// Method, epoch, seq and body of every request.
fn sent(script: &Scripted) -> Vec<(Method, String, String, Bytes)> {
    let field = |request: &http::Request<Bytes>, name: &str| {
        request.headers().get(name).map_or(String::new(), |value| value.to_str().expect("text").to_owned())
    };
    let requests = script.requests();
    requests
        .iter()
        .map(|request| {
            let (epoch, seq) = (field(request, "Producer-Epoch"), field(request, "Producer-Seq"));
            (request.method().clone(), epoch, seq, request.body().clone())
        })
        .collect()
}

fn bodies(script: &Scripted) -> Vec<Bytes> {
    script.requests().iter().map(|request| request.body().clone()).collect()
}

fn errors(builder: ProducerBuilder) -> (ProducerBuilder, Arc<Mutex<Vec<ProducerError>>>) {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let errors = Arc::clone(&seen);
    (builder.on_error(move |error| errors.lock().push(error)), seen)
}

#[tokio::test(start_paused = true)]
async fn json_messages_become_one_array_and_arrays_stay_one_message() {
    let script = Scripted::new().reply(stored("0_9"));
    let producer = json(&script);
    producer.append(b"{\"cm\":112}");
    producer.append("[1,2]");
    producer.append_json(&118);
    producer.append_json_text(b"[119]");
    producer.flush().await.expect("stored");
    let requests = script.requests();
    assert_eq!(bodies(&script), ["[{\"cm\":112},[1,2],118,[119]]"]);
    assert_eq!(requests[0].headers()["Producer-Id"], "gauge");
    assert_eq!(requests[0].headers()["Content-Type"], "application/json");
    assert_eq!(sent(&script)[0].1, "0");
    assert_eq!(sent(&script)[0].2, "0");
    assert_eq!(producer.next_seq(), 1);
    assert_eq!(producer.acknowledged_offset().as_ref().map(crate::Offset::as_str), Some("0_9"));
}

#[tokio::test(start_paused = true)]
async fn byte_messages_are_concatenated() {
    let script = Scripted::new().reply(stored("0_9"));
    let producer = text(&script);
    producer.append("high ");
    producer.append("low");
    producer.flush().await.expect("stored");
    assert_eq!(bodies(&script), ["high low"]);
}

#[tokio::test(start_paused = true)]
async fn a_bad_item_is_refused_alone_and_cannot_become_two_messages() {
    let script = Scripted::new().reply(stored("0_9"));
    let (builder, seen) = errors(builder(&script, Some("application/json")));
    let producer = builder.build().expect("builds");
    producer.append("1");
    let refused = producer.append("1,2").await.expect_err("two values");
    assert!(matches!(&refused, ProducerError::InvalidMessage(text) if text.contains("at byte 1")), "{refused}");
    producer.append("2");
    producer.append("]").acknowledged().await.expect_err("no value");
    assert_eq!(producer.flush().await.map_err(|error| error.to_string()), Ok(()));
    assert_eq!(bodies(&script), ["[1,2]"]);
    assert!(seen.lock().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_refusal_nobody_looked_at_reaches_the_callback_and_the_next_flush() {
    let script = Scripted::new().reply(stored("0_9"));
    let (builder, seen) = errors(builder(&script, Some("application/json")));
    let producer = builder.build().expect("builds");
    producer.append("1");
    producer.append("{\"cm\":");
    assert!(matches!(producer.flush().await, Err(ProducerError::InvalidMessage(_))));
    assert_eq!(bodies(&script), ["[1]"]);
    assert!(matches!(seen.lock()[..], [ProducerError::InvalidMessage(_)]));
    producer.flush().await.expect("reported once");
}

#[tokio::test(start_paused = true)]
async fn an_empty_message_is_refused() {
    let producer = text(&Scripted::new());
    assert!(matches!(producer.append("").await, Err(ProducerError::InvalidMessage(_))));
}

#[tokio::test(start_paused = true)]
async fn a_small_batch_leaves_after_the_linger_time() {
    let script = Scripted::new().reply(stored("0_9"));
    let producer = text(&script);
    let begun = Instant::now();
    let first = producer.append("a");
    tokio::time::sleep(Duration::from_millis(2)).await;
    producer.append("b");
    let receipt = first.acknowledged().await.expect("stored");
    assert_eq!(begun.elapsed(), Duration::from_millis(5));
    assert_eq!((receipt.offset.as_ref().map(crate::Offset::as_str), receipt.duplicate), (Some("0_9"), false));
    assert_eq!((receipt.epoch, receipt.seq), (0, 0));
    assert_eq!(bodies(&script), ["ab"]);
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_fills_the_queue_leaves_at_once() {
    let script = Scripted::new().reply(stored("0_9"));
    let producer = builder(&script, Some("text/plain")).max_queued_messages(2).build().expect("builds");
    let begun = Instant::now();
    for message in ["a", "b", "c"] {
        producer.append(message).await.expect("finds room");
    }
    assert_eq!(begun.elapsed(), Duration::ZERO);
    assert_eq!(bodies(&script), ["abc"]);
}

#[tokio::test(start_paused = true)]
async fn batches_are_sealed_by_items_and_by_bytes() {
    let script = Scripted::new();
    for _ in 0..5 {
        script.push(stored("0_9"));
    }
    let builder = builder(&script, Some("application/json")).max_batch_items(2).max_batch_bytes(11);
    let producer = builder.build().expect("builds");
    for item in ["1", "2", "333", "44444", "\"larger than a batch\"", "6", "7"] {
        producer.append(item);
    }
    producer.flush().await.expect("stored");
    assert_eq!(bodies(&script), ["[1,2]", "[333,44444]", "[\"larger than a batch\"]", "[6,7]"]);
    assert!(sent(&script).iter().map(|(_, _, seq, _)| seq.as_str()).eq(["0", "1", "2", "3"]));
}

#[tokio::test(start_paused = true)]
async fn an_unknown_content_type_costs_one_head_before_the_first_batch() {
    let head =
        ScriptedReply::status(200).header("Stream-Next-Offset", "0_0").header("Content-Type", "application/json");
    let script = Scripted::new().reply(head).reply(stored("0_9")).reply(stored("0_9"));
    let producer = builder(&script, None).build().expect("builds");
    producer.append("1").await.expect("accepted");
    producer.append("no json").acknowledged().await.expect_err("refused once the type is known");
    producer.flush().await.expect("stored");
    producer.append("2");
    producer.flush().await.expect("stored");
    let methods: Vec<_> = sent(&script).into_iter().map(|(method, ..)| method).collect();
    assert_eq!(methods, [Method::HEAD, Method::POST, Method::POST]);
    assert_eq!(bodies(&script)[1..], ["[1]", "[2]"]);
}

#[tokio::test(start_paused = true)]
async fn messages_staged_before_a_discovery_find_their_receipts() {
    let head =
        ScriptedReply::status(200).header("Stream-Next-Offset", "0_0").header("Content-Type", "application/json");
    let script = Scripted::new().reply(head).reply(stored("0_1")).reply(stored("0_2"));
    let (builder, seen) = errors(builder(&script, None).max_batch_items(2));
    let producer = builder.build().expect("builds");
    let receipts = ["1", "not json", "2", "3"].map(|item| producer.append(item));
    let mut offsets = Vec::new();
    for receipt in receipts {
        offsets.push(receipt.acknowledged().await.ok().and_then(|receipt| receipt.offset));
    }
    let offset = |text: &str| Some(crate::Offset::new(text));
    assert_eq!(offsets, [offset("0_1"), None, offset("0_1"), offset("0_2")]);
    assert_eq!(seen.lock().len(), 1);
    assert!(matches!(producer.flush().await, Err(ProducerError::InvalidMessage(_))));
}

#[tokio::test(start_paused = true)]
async fn append_json_on_an_unknown_type_asks_nobody() {
    let script = Scripted::new().reply(stored("0_9"));
    let producer = builder(&script, None).build().expect("builds");
    producer.append_json(&[1, 2]);
    producer.flush().await.expect("stored");
    assert_eq!(bodies(&script), ["[[1,2]]"]);
}

#[tokio::test(start_paused = true)]
async fn a_missing_stream_fails_everything_with_not_found() {
    let script = Scripted::new().reply(ScriptedReply::status(404));
    let producer = builder(&script, None).build().expect("builds");
    let receipt = producer.append("1");
    let failure = producer.detailed().flush().await.expect_err("no stream");
    assert_eq!(failure.code(), ErrorCode::NotFound);
    assert_eq!(receipt.acknowledged_detailed().await.expect_err("lost").code(), ErrorCode::NotFound);
}

#[tokio::test(start_paused = true)]
async fn retries_carry_the_same_tuple_and_body() {
    let script = Scripted::new()
        .reply(ScriptedReply::status(503).header("Retry-After", "7"))
        .reply(ScriptedReply::failure(TransportFailureKind::Broken))
        .reply(ScriptedReply::status(204));
    let producer = text(&script);
    let begun = Instant::now();
    let receipt = producer.append("a");
    producer.flush().await.expect("stored");
    assert!(begun.elapsed() >= Duration::from_secs(7));
    let sent = sent(&script);
    assert!(sent.iter().all(|request| *request == sent[0]));
    assert_eq!(sent.len(), 3);
    assert!(receipt.acknowledged().await.expect("stored").duplicate);
}

#[tokio::test(start_paused = true)]
async fn after_ten_tries_the_batch_and_everything_later_fail() {
    let script = Scripted::new();
    for _ in 0..20 {
        script.push(ScriptedReply::status(500).body("disk on fire"));
    }
    let (builder, seen) = errors(builder(&script, Some("text/plain")));
    let producer = builder.build().expect("builds");
    producer.append("a");
    let failure = producer.detailed().flush().await.expect_err("failed");
    assert_eq!((failure.code(), failure.attempts()), (ErrorCode::UnexpectedStatus, 10));
    assert_eq!(failure.server_text(), Some("disk on fire"));
    assert!(failure.to_string().contains("/v1/stream/tides"), "{failure}");
    assert_eq!(script.requests().len(), 10);
    let later = producer.append("b").await.expect_err("failed before");
    assert!(matches!(later, ProducerError::Stream { message } if message.contains("500")));
    producer.flush().await.expect("reported once");
    producer.append("c");
    producer.flush().await.expect_err("a dropped receipt is a loss");
    assert_eq!(seen.lock().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn flushes_that_overlap_report_the_same_failure() {
    let script = Scripted::new().reply(ScriptedReply::status(413));
    let producer = text(&script);
    producer.append("a");
    let (left, right) = tokio::join!(producer.flush(), producer.flush());
    assert!(left.is_err() && right.is_err());
    producer.flush().await.expect("reported");
}

#[tokio::test(start_paused = true)]
async fn a_stale_epoch_is_told_with_both_epochs_and_restart_goes_above() {
    let script = Scripted::new().reply(stale("4")).reply(stored("0_9"));
    let producer = text(&script);
    producer.append("a");
    let error = producer.flush().await.expect_err("fenced");
    assert!(matches!(error, ProducerError::StaleEpoch { server_epoch: 4, our_epoch: 0 }), "{error:?}");
    producer.restart().await.expect("revived");
    assert_eq!(producer.epoch(), 5);
    producer.append("b");
    producer.flush().await.expect("stored");
    let last = sent(&script).pop().expect("a request");
    assert_eq!((last.1.as_str(), last.2.as_str(), &last.3[..]), ("5", "0", &b"b"[..]));
}

#[tokio::test(start_paused = true)]
async fn auto_claim_takes_the_next_epoch_and_sends_everything_in_order() {
    let script = Scripted::new().reply(stale("4")).reply(stored("0_1")).reply(stored("0_2"));
    let builder = builder(&script, Some("application/json")).auto_claim(true).max_batch_items(1);
    let producer = builder.build().expect("builds");
    producer.append("1");
    producer.append("2");
    producer.flush().await.expect("stored");
    let claimed: Vec<_> =
        sent(&script)[1..].iter().map(|(_, epoch, seq, body)| (epoch.clone(), seq.clone(), body.clone())).collect();
    let tuple = |seq: &str, body: &'static str| ("5".to_owned(), seq.to_owned(), Bytes::from(body));
    assert_eq!(claimed, [tuple("0", "[1]"), tuple("1", "[2]")]);
}

#[tokio::test(start_paused = true)]
async fn awaited_appends_wait_for_room_and_unawaited_ones_end_at_the_hard_limit() {
    let script = Scripted::new().reply(ScriptedReply::hang());
    let (builder, seen) = errors(builder(&script, Some("text/plain")).max_queued_bytes(10).linger(Duration::ZERO));
    let producer = builder.build().expect("builds");
    producer.append("0123456789").await.expect("fits");
    assert!(matches!(producer.try_append("a"), Err(ProducerError::QueueFull(_))));
    let waiting = producer.append("over the limit").into_future();
    let waited = tokio::time::timeout(Duration::from_secs(1), waiting).await;
    assert!(waited.is_err(), "there is no room");
    producer.append("beyond four times the limit");
    assert!(matches!(producer.append("x").await, Err(ProducerError::QueueFull(_))));
    assert!(seen.lock().is_empty());
    producer.append("x");
    assert!(matches!(seen.lock()[..], [ProducerError::QueueFull(_)]));
}

#[tokio::test(start_paused = true)]
async fn room_comes_back_with_acknowledgements() {
    let script = Scripted::new();
    for _ in 0..100 {
        script.push(stored("0_9"));
    }
    let producer = builder(&script, Some("text/plain")).max_queued_bytes(10).build().expect("builds");
    for _ in 0..50 {
        producer.append("0123456789").await.expect("accepted");
    }
    producer.flush().await.expect("stored");
    assert_eq!(bodies(&script).concat().len(), 500);
}

#[tokio::test(start_paused = true)]
async fn a_loop_of_appends_lets_the_driver_run() {
    let script = Scripted::new();
    for _ in 0..100_000 {
        script.push(stored("0_9"));
    }
    let producer = builder(&script, Some("text/plain")).max_batch_items(1).build().expect("builds");
    while script.requests().is_empty() {
        producer.append("a").await.expect("accepted");
    }
}

#[test]
fn without_a_runtime_nothing_is_built() {
    let error = builder(&Scripted::new(), None).build().expect_err("no runtime");
    assert!(matches!(error, ProducerError::Config(text) if text.contains("Tokio runtime")));
}

#[tokio::test]
async fn each_refused_setting_is_named() {
    let script = Scripted::new();
    let base = || builder(&script, None);
    let refused = |builder: ProducerBuilder, field: &str| {
        let error = builder.build().expect_err(field);
        assert!(matches!(&error, ProducerError::Config(text) if text.contains(field)), "{field}: {error}");
    };
    refused(base().producer_id(""), "producerId");
    refused(base().producer_id("a\nb"), "producerId");
    refused(base().epoch(1 << 53), "epoch");
    refused(base().max_batch_bytes(0), "maxBatchBytes");
    refused(base().max_batch_items(0), "maxBatchItems");
    refused(base().max_in_flight(0), "maxInFlight");
    refused(
        base().numbers(super::BatchNumbers { linger_ms: Some(-1.0), ..super::BatchNumbers::default() }),
        "lingerMs",
    );
    refused(base().content_type("json"), "content_type");
    refused(base().header("bad name", "x"), "bad name");
    refused(Producer::builder().producer_id("a"), "url");
}
