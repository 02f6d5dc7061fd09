//! How a producer ends and starts over.

use std::sync::Weak;

use super::*;
use crate::producer::Shared;

/// Lets the driver run until it is gone.
async fn gone(shared: Weak<Shared>) {
    while shared.strong_count() > 0 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn close_follows_the_last_acknowledgement_and_is_sent_once() {
    let script = Scripted::new().reply(stored("0_1")).reply(closed());
    let producer = json(&script);
    producer.append("1");
    let first = producer.close_with("2").await.expect("closed");
    assert_eq!(first.final_offset.as_str(), "end");
    let again = producer.close_with("3").await.expect("the stored result");
    assert_eq!(again.final_offset, first.final_offset);
    assert_eq!(bodies(&script), ["[1]", "[2]"]);
    let last = &script.requests()[1];
    assert_eq!(
        (&last.headers()["Stream-Closed"], &last.headers()["Producer-Seq"]),
        (&"true".parse().expect("ok"), &"1".parse().expect("ok"))
    );
    assert!(matches!(producer.append("4").await, Err(ProducerError::Closed)));
}

#[tokio::test(start_paused = true)]
async fn a_settled_producer_knows_what_the_server_said_last() {
    let script = Scripted::new().reply(stored("0_1")).reply(ScriptedReply::status(404));
    let producer = text(&script);
    producer.settled().await;
    assert_eq!(producer.last_acknowledgement(), None);
    producer.append("1");
    assert_eq!((producer.pending_messages(), producer.pending_bytes()), (1, 1));
    producer.settled().await;
    producer.append("2");
    // A message that is given up is settled too.
    producer.settled().await;
    assert_eq!(producer.pending_messages(), 0);
    let last = producer.last_acknowledgement().expect("one batch was stored");
    assert_eq!((last.offset.expect("told").as_str(), last.epoch, last.seq), ("0_1", 0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_bad_last_message_leaves_the_stream_open() {
    let script = Scripted::new().reply(closed());
    let producer = json(&script);
    assert!(matches!(producer.close_with("{").await, Err(ProducerError::InvalidMessage(_))));
    producer.close().await.expect("closed");
    assert_eq!(bodies(&script), [""]);
}

#[tokio::test(start_paused = true)]
async fn close_reports_a_loss_first_and_leaves_the_stream_open() {
    let script = Scripted::new().reply(closed());
    let producer = json(&script);
    producer.append("no json");
    producer.close().await.expect_err("a message was lost");
    assert_eq!(script.requests().len(), 0);
    producer.close().await.expect("the caller knows");
}

#[tokio::test(start_paused = true)]
async fn an_unanswered_close_is_repeated_by_the_next_close() {
    let script = Scripted::new();
    for _ in 0..10 {
        script.push(ScriptedReply::failure(TransportFailureKind::Timeout));
    }
    let producer = text(&script);
    producer.close_with("bye").await.expect_err("no answer");
    script.push(ScriptedReply::status(204).header("Stream-Closed", "true").header("Stream-Next-Offset", "end"));
    assert_eq!(producer.close_with("other").await.expect("closed").final_offset.as_str(), "end");
    assert!(bodies(&script).iter().all(|body| body == "bye"));
    assert_eq!(script.requests().len(), 11);
}

#[tokio::test(start_paused = true)]
async fn a_close_without_an_offset_asks_for_it() {
    let head = ScriptedReply::status(200).header("Stream-Next-Offset", "end").header("Content-Type", "text/plain");
    let script = Scripted::new().reply(ScriptedReply::status(204).header("Stream-Closed", "true")).reply(head);
    assert_eq!(text(&script).close().await.expect("closed").final_offset.as_str(), "end");
}

#[tokio::test(start_paused = true)]
async fn detach_delivers_and_leaves_the_stream_open() {
    let script = Scripted::new().reply(stored("0_1"));
    let producer = text(&script);
    producer.append("a");
    producer.detach().await.expect("delivered");
    producer.detach().await.expect("again");
    assert!(matches!(producer.append("b").await, Err(ProducerError::Closed)));
    assert!(matches!(producer.close().await, Err(ProducerError::Closed)));
    assert_eq!(bodies(&script), ["a"]);
    assert!(!script.requests()[0].headers().contains_key("Stream-Closed"));
}

#[tokio::test(start_paused = true)]
async fn the_driver_ends_with_the_last_clone_and_sends_nothing_more() {
    let script = Scripted::new();
    let producer = text(&script);
    let clone = producer.clone();
    let shared = Arc::downgrade(&producer.0.0);
    let receipt = clone.append("a").into_owned();
    drop(producer);
    drop(clone);
    assert_eq!(receipt.acknowledged_detailed().await.expect_err("lost").code(), ErrorCode::Cancelled);
    gone(shared).await;
    assert!(script.requests().is_empty());
}

#[tokio::test(start_paused = true)]
async fn the_driver_ends_after_close_and_detach() {
    for closes in [true, false] {
        let script = Scripted::new().reply(closed());
        let producer = text(&script);
        let shared = Arc::downgrade(&producer.0.0);
        if closes {
            producer.close().await.expect("closed");
        } else {
            producer.detach().await.expect("detached");
        }
        while shared.strong_count() > 1 {
            tokio::task::yield_now().await;
        }
        assert!(matches!(producer.append("a").await, Err(ProducerError::Closed)));
    }
}

#[test]
fn a_producer_whose_runtime_ended_says_so() {
    let script = Scripted::new().reply(ScriptedReply::hang());
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let producer = runtime.block_on(async {
        let producer = text(&script);
        producer.append("a");
        producer
    });
    drop(runtime);
    let elsewhere = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let failure = elsewhere.block_on(producer.detailed().flush()).expect_err("lost");
    assert_eq!(failure.code(), ErrorCode::Cancelled);
}

#[tokio::test(start_paused = true)]
async fn restart_flushes_and_starts_over_in_the_next_epoch() {
    let script = Scripted::new().reply(stored("0_1")).reply(stored("0_2"));
    let producer = text(&script);
    producer.append("a");
    producer.restart().await.expect("restarts");
    assert_eq!((producer.epoch(), producer.next_seq()), (1, 0));
    producer.append("b");
    producer.flush().await.expect("stored");
    assert!(sent(&script).iter().map(|(_, epoch, seq, _)| (epoch.as_str(), seq.as_str())).eq([("0", "0"), ("1", "0")]));
}

#[test]
fn producers_receipts_and_their_futures_travel_between_threads() {
    const fn travels<T: Send>(_: &T) {}
    const fn is_shared<T: Clone + Send + Sync + 'static>() {}
    is_shared::<Producer>();
    let _check = |producer: Producer| {
        travels(&producer.append("a"));
        travels(&producer.append("a").into_future());
        travels(&producer.append("a").acknowledged());
        travels(&producer.append("a").into_owned().acknowledged_detailed());
        travels(&producer.flush());
        travels(&producer.close_with("a"));
        travels(&producer.detach());
        travels(&producer.restart());
    };
}
