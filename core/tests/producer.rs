//! Producing over real sockets: client and server of this repository together.

use std::{collections::BTreeMap, time::Duration};

use durable_streams::{
    AppendOptions, Client, CreateOptions, DurableStream, ErrorCode, Offset, Producer, ProducerError,
};
use durable_streams_server::{
    http::Fault,
    server::{RunningServer, Server},
};

async fn start() -> (RunningServer, Client) {
    let server = Server::builder().test_control(true).start().await.expect("starts");
    let client = Client::builder().base_url(server.streams_url()).build().expect("valid");
    (server, client)
}

async fn created(client: &Client, name: &str, content_type: &str) -> DurableStream {
    let stream = client.stream(name);
    stream.create_with_options(CreateOptions::new().content_type(content_type)).await.expect("creates");
    stream
}

/// All messages of a JSON stream.
async fn messages(stream: &DurableStream) -> Vec<serde_json::Value> {
    let mut chunks = stream.read().build().expect("valid");
    let mut all = Vec::new();
    while let Some(chunk) = chunks.next_chunk().await.expect("reads") {
        let values: Vec<serde_json::Value> = serde_json::from_slice(&chunk.data).expect("an array");
        all.extend(values);
    }
    all
}

/// Faults on every kind of trouble a network has, for requests that write.
fn trouble(server: &RunningServer, path: &str) {
    let fault = |change: fn(&mut Fault)| {
        let mut fault = Fault { path: path.to_owned(), method: Some("POST".to_owned()), ..Fault::default() };
        change(&mut fault);
        server.inject_fault(fault);
    };
    fault(|fault| (fault.drop_connection, fault.count) = (true, Some(3)));
    fault(|fault| (fault.status, fault.count) = (Some(503), Some(3)));
    fault(|fault| (fault.delay_ms, fault.jitter_ms, fault.count) = (Some(1), 30, Some(1000)));
}

#[tokio::test(flavor = "multi_thread")]
async fn many_threads_lose_double_and_reorder_nothing() {
    const THREADS: u64 = 8;
    const EACH: u64 = 2_000;
    let (_server, client) = start().await;
    let stream = created(&client, "threads", "application/json").await;
    let producer = stream.producer("crowd").max_batch_bytes(4096).build().expect("builds");
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let producer = &producer;
            scope.spawn(move || {
                for number in 0..EACH {
                    producer.append(format!("[{thread},{number}]"));
                }
            });
        }
    });
    producer.flush().await.expect("stored");
    let mut next = BTreeMap::new();
    let all = messages(&stream).await;
    assert_eq!(all.len() as u64, THREADS * EACH);
    for message in all {
        let (thread, number) = (message[0].as_u64().expect("a thread"), message[1].as_u64().expect("a number"));
        let expected: &mut u64 = next.entry(thread).or_default();
        assert_eq!(number, *expected, "thread {thread}");
        *expected += 1;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_network_loses_doubles_and_reorders_nothing() {
    let (server, client) = start().await;
    let stream = created(&client, "trouble", "application/json").await;
    let path = url_path(&stream);
    trouble(&server, &path);
    let producer = stream.producer("patient").max_batch_items(7).build().expect("builds");
    for number in 0..2_000 {
        producer.append_json(&number).await.expect("accepted");
    }
    producer.flush().await.expect("stored");
    let expected: Vec<serde_json::Value> = (0..2_000).map(Into::into).collect();
    assert_eq!(messages(&stream).await, expected);
}

fn url_path(stream: &DurableStream) -> String {
    let url = stream.url();
    let after_scheme = url.find("://").map_or(0, |at| at + 3);
    let path = url[after_scheme..].find('/').expect("a path");
    url[after_scheme + path..].to_owned()
}

#[tokio::test]
async fn every_message_has_its_own_receipt() {
    let (_server, client) = start().await;
    let stream = created(&client, "receipts", "text/plain").await;
    let producer = stream.producer("p").build().expect("builds");
    let first = producer.append("one").acknowledged().await.expect("stored");
    let second = producer.append("two").acknowledged().await.expect("stored");
    assert!(first.offset < second.offset);
    assert_eq!((first.seq, second.seq), (0, 1));
    assert_eq!(stream.head().await.expect("exists").next_offset, second.offset.expect("told"));
}

#[tokio::test]
async fn a_fresh_instance_with_the_same_epoch_sees_its_data_swallowed_as_duplicates() {
    let (_server, client) = start().await;
    let stream = created(&client, "twins", "text/plain").await;
    for (data, duplicate) in [("first", false), ("second", true)] {
        let producer = stream.producer("twin").build().expect("builds");
        let receipt = producer.append(data).acknowledged().await.expect("answered");
        assert_eq!(receipt.duplicate, duplicate);
    }
    let mut chunks = stream.read().build().expect("valid");
    assert_eq!(chunks.next_chunk().await.expect("reads").expect("data").data, "first");
}

#[tokio::test]
async fn a_zombie_is_fenced_and_auto_claim_takes_over() {
    let (_server, client) = start().await;
    let stream = created(&client, "fenced", "application/json").await;
    let old = stream.producer("writer").epoch(3).build().expect("builds");
    old.append("1");
    old.flush().await.expect("stored");
    let new = stream.producer("writer").auto_claim(true).build().expect("builds");
    new.append("2");
    new.flush().await.expect("claimed");
    assert_eq!(new.epoch(), 4);
    old.append("3");
    let error = old.flush().await.expect_err("fenced");
    assert!(matches!(error, ProducerError::StaleEpoch { server_epoch: 4, our_epoch: 3 }), "{error:?}");
    assert_eq!(messages(&stream).await, [1, 2]);
}

#[tokio::test]
async fn closing_ends_the_stream_for_everyone_and_repeats_locally() {
    let (_server, client) = start().await;
    let stream = created(&client, "ended", "application/json").await;
    let producer = stream.producer("p").build().expect("builds");
    for number in 0..100 {
        producer.append_json(&number);
    }
    let closed = producer.close_with("\"bye\"").await.expect("closed");
    let head = stream.head().await.expect("exists");
    assert!(head.closed);
    assert_eq!(head.next_offset, closed.final_offset);
    assert_eq!(producer.close().await.expect("again").final_offset, closed.final_offset);
    assert_eq!(messages(&stream).await.len(), 101);
    let late = stream.producer("late").build().expect("builds");
    late.append("1");
    let failure = late.detailed().flush().await.expect_err("closed");
    assert_eq!(failure.code(), ErrorCode::StreamClosed);
    assert_eq!(failure.facts().final_offset.as_deref(), Some(closed.final_offset.as_str()));
}

#[tokio::test]
async fn a_close_whose_answer_is_lost_still_closes_once() {
    let (server, client) = start().await;
    let stream = created(&client, "lost", "text/plain").await;
    let producer = stream.producer("p").build().expect("builds");
    producer.append("data ");
    producer.flush().await.expect("stored");
    server.inject_fault(Fault { path: url_path(&stream), drop_connection: true, ..Fault::default() });
    producer.close_with("bye").await.expect("closed");
    let mut chunks = stream.read().build().expect("valid");
    assert_eq!(chunks.next_chunk().await.expect("reads").expect("data").data, "data bye");
}

#[tokio::test]
async fn a_deleted_and_recreated_stream_is_told_as_a_gap() {
    let (_server, client) = start().await;
    let stream = created(&client, "again", "text/plain").await;
    let producer = stream.producer("p").build().expect("builds");
    producer.append("a");
    producer.flush().await.expect("stored");
    stream.delete().await.expect("deleted");
    let stream = created(&client, "again", "text/plain").await;
    producer.append("b");
    let error = producer.flush().await.expect_err("the server has no state");
    assert!(matches!(error, ProducerError::SequenceGap { expected: 0, received: 1 }), "{error:?}");
    producer.restart().await.expect("revived");
    producer.append("c");
    producer.flush().await.expect("stored");
    let mut chunks = stream.read().build().expect("valid");
    assert_eq!(chunks.next_chunk().await.expect("reads").expect("data").data, "c");
}

#[tokio::test]
async fn a_producer_by_url_learns_the_content_type() {
    let (_server, client) = start().await;
    let stream = created(&client, "by-url", "application/json").await;
    let producer = Producer::builder().url(stream.url()).producer_id("p").auto_claim(true).build().expect("builds");
    producer.append(b"{\"orderId\":\"123\"}").await.expect("accepted");
    producer.append(b"{\"orderId\":\"456\"}").await.expect("accepted");
    producer.flush().await.expect("stored");
    assert_eq!(messages(&stream).await.len(), 2);
    producer.close().await.expect("closed");
}

#[tokio::test]
async fn plain_appends_and_producers_share_a_stream() {
    let (_server, client) = start().await;
    let stream = created(&client, "shared", "application/json").await;
    let producer = stream.producer("p").linger(Duration::from_secs(3600)).build().expect("builds");
    producer.append("1");
    producer.flush().await.expect("stored");
    stream.append_with_options("2", AppendOptions::new()).await.expect("stored");
    producer.append("3");
    producer.detach().await.expect("stored");
    assert_eq!(messages(&stream).await, [1, 2, 3]);
    let mut chunks = stream.read().offset(Offset::Beginning).build().expect("valid");
    assert!(chunks.next_chunk().await.expect("reads").is_some());
}
