//! The shared layer against a real server on loopback, the way a synchronous host uses it.

#![cfg(feature = "server")]
#![allow(missing_docs, reason = "a test")]

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicUsize, Ordering},
    mpsc,
};
use std::{io::Read as _, net::TcpListener, time::Duration};

use durable_streams_bindings::{
    BoxFuture, Bytes, CancelHandle, ErrorCode, ErrorInfo, LiveMode,
    call::{self, Outcome},
    client::{ClientConfig, Dynamic, Resolved},
    error::HostError,
    message::Message,
    producer::{Producer, ProducerConfig},
    reader::{ReadConfig, Reader},
    server::{FaultConfig, ServerConfig, TestServer},
    stream::{AppendConfig, Batching, CreateConfig, Stream},
};

fn run<T>(operation: impl Future<Output = Outcome<T>>) -> Outcome<T> {
    call::wait(&CancelHandle::new(), operation, || Ok(()))
}

fn server() -> TestServer {
    run(TestServer::start(ServerConfig { long_poll_timeout_ms: Some(500), ..ServerConfig::default() })).expect("starts")
}

fn json_stream(server: &TestServer, name: &str) -> Stream {
    let url = format!("{}/{name}", server.url());
    let stream = Stream::new(&ClientConfig::default(), &url, None).expect("a handle");
    let json = CreateConfig { content_type: Some("application/json".to_owned()), ..CreateConfig::default() };
    assert!(run(stream.create(json)).expect("created").is_new);
    stream
}

fn text(text: &str) -> Message {
    Message::Text(Bytes::copy_from_slice(text.as_bytes()))
}

fn read_all(stream: &Stream) -> String {
    let reader = Reader::open(stream, ReadConfig::default()).expect("opens");
    let mut all = Vec::new();
    while let Some(batch) = run(reader.next()).expect("a batch") {
        all.extend_from_slice(&batch.data);
    }
    String::from_utf8(all).expect("text")
}

#[test]
fn an_array_given_as_text_comes_back_as_one_message() {
    let server = server();
    let stream = json_stream(&server, "one");
    run(stream.append(text("[1,2]"), AppendConfig::default())).expect("stored");
    let error = run(stream.append(text("{"), AppendConfig::default())).expect_err("refused");
    assert_eq!(error.code(), ErrorCode::InvalidArgument);
    run(stream.append(Message::Body(Bytes::from_static(b"[3,4]")), AppendConfig::default())).expect("stored");
    assert_eq!(read_all(&stream), "[[1,2],3,4]");
}

#[test]
fn appends_queued_behind_one_under_way_share_a_request_in_order() {
    let server = server();
    let stream = json_stream(&server, "shared").with_batching(Batching::Shared);
    let receipts: Vec<_> =
        (0..50).map(|n| stream.enqueue(text(&n.to_string()), AppendConfig::default()).expect("queued")).collect();
    let mut offsets = Vec::new();
    for receipt in receipts {
        let stored = run(async { receipt.await.expect("told") }).expect("stored");
        offsets.push(stored.next_offset.expect("an offset"));
    }
    let wanted: Vec<_> = (0..50).map(|n| n.to_string()).collect();
    assert_eq!(read_all(&stream), format!("[{}]", wanted.join(",")));
    assert!(offsets.is_sorted());
    offsets.dedup();
    assert!(offsets.len() < 50, "no request was shared");
}

#[test]
fn a_failed_request_fails_those_behind_it_only_when_they_are_ordered() {
    for (batching, wanted) in [(Batching::Ordered, "[]"), (Batching::Shared, "[2]")] {
        let server = server();
        let stream = json_stream(&server, "ordered").with_batching(batching);
        let fault = FaultConfig {
            path: "/ordered".to_owned(),
            status: Some(400),
            delay_ms: Some(300),
            ..FaultConfig::default()
        };
        run(server.inject_fault(fault)).expect("injected");
        let first = stream.enqueue(text("1"), AppendConfig::default()).expect("queued");
        // The first is under way once the server has its request; until then they may share one.
        let second = run(async {
            tokio::time::sleep(Duration::from_millis(150)).await;
            stream.enqueue(text("2"), AppendConfig::default())
        });
        let told = |receipt: tokio::sync::oneshot::Receiver<_>| run(async { receipt.await.expect("told") });
        assert_eq!(told(first).expect_err("refused").code(), ErrorCode::BadRequest);
        assert_eq!(told(second.expect("queued")).is_err(), batching == Batching::Ordered);
        assert_eq!(read_all(&stream), wanted);
    }
}

#[test]
fn closing_a_reader_settles_a_parked_pull_at_once() {
    let server = server();
    let stream = json_stream(&server, "parked");
    let config = ReadConfig { live: LiveMode::LongPoll, offset: Some("now".to_owned()), ..ReadConfig::default() };
    let reader = Reader::open(&stream, config).expect("opens");
    let batch = run(reader.next()).expect("up to date").expect("a batch");
    assert!(batch.up_to_date);
    let (told, outcome) = mpsc::channel();
    let pulling = reader.clone();
    call::start(
        &CancelHandle::new(),
        async move {
            loop {
                let batch = pulling.next().await?;
                if batch.is_none() {
                    return Ok(());
                }
            }
        },
        move |outcome: Outcome<()>| drop(told.send(outcome)),
    );
    reader.close();
    let code = outcome.recv().expect("told").expect_err("cancelled").code();
    assert!(matches!(code, ErrorCode::Cancelled | ErrorCode::AlreadyClosed), "{code:?}");
    assert_eq!(run(reader.next()).expect_err("closed").code(), ErrorCode::AlreadyClosed);
}

#[test]
fn a_producer_stores_every_message_once_and_says_how_many_wait() {
    let server = server();
    let stream = json_stream(&server, "produced");
    let config = ProducerConfig { producer_id: "p".to_owned(), ..ProducerConfig::default() };
    let producer = Producer::open(&stream, config).expect("opens");
    let (taken, full) = producer.append_all(b"123", &[1, 2, 3]);
    assert_eq!(taken, 3);
    assert!(full.expect("taken").is_none());
    assert_eq!(producer.append(b"{").expect_err("refused").code(), ErrorCode::InvalidArgument);
    run(producer.flush()).expect("the refusal was told, not kept for the flush");
    assert_eq!((producer.pending_messages(), producer.in_flight_batches()), (0, 0));
    let ended = run(producer.close_stream(Some(Bytes::from_static(b"4")))).expect("closed");
    assert_eq!(run(stream.head(&[])).expect("a head").offset, ended.final_offset);
    assert_eq!(read_all(&stream), "[1,2,3,4]");
}

#[test]
fn a_reader_ahead_of_its_caller_moves_the_offset_only_with_what_it_hands_out() {
    let server = server();
    let url = format!("{}/big", server.url());
    let stream = Stream::new(&ClientConfig::default(), &url, Some("application/octet-stream")).expect("a handle");
    run(stream.create(CreateConfig::default())).expect("created");
    let data: Vec<u8> = (0..8_000_000_u32).map(|n| (n % 251) as u8).collect();
    for part in data.chunks(1_000_000) {
        run(stream.append(Message::Text(Bytes::copy_from_slice(part)), AppendConfig::default())).expect("stored");
    }
    let reader = Reader::open(&stream, ReadConfig::default()).expect("opens");
    let first = run(reader.next()).expect("a batch").expect("data");
    let offset = reader.state().offset;
    assert_eq!(offset, first.next_offset.to_query_value());
    drop(reader);
    let rest = ReadConfig { offset: Some(offset), ..ReadConfig::default() };
    let reader = Reader::open(&stream, rest).expect("opens");
    let mut all = first.data.to_vec();
    while let Some(batch) = run(reader.next()).expect("a batch") {
        all.extend_from_slice(&batch.data);
    }
    assert_eq!(all.len(), data.len());
    assert!(all == data, "the data differs");
}

#[test]
fn a_batch_that_did_not_arrive_goes_to_whoever_waits_behind() {
    let server = server();
    let url = format!("{}/carried", server.url());
    let stream = Stream::new(&ClientConfig::default(), &url, Some("application/octet-stream")).expect("a handle");
    run(stream.create(CreateConfig::default())).expect("created");
    for byte in 0..9 {
        let part = Message::Text(Bytes::from(vec![byte; 1_000_000]));
        run(stream.append(part, AppendConfig::default())).expect("stored");
    }
    let reader = Reader::open(&stream, ReadConfig::default()).expect("opens");
    let first = run(reader.carry()).expect("a batch").expect("data");
    let behind = std::thread::spawn({
        let reader = reader.clone();
        move || run(reader.next())
    });
    // Whether it waits already or is about to: it must not overtake.
    drop(first);
    let first = behind.join().expect("ends").expect("a batch").expect("data");
    assert_eq!(first.data.first(), Some(&0));
    let mut all = first.data.to_vec();
    while let Some(carried) = run(reader.carry()).expect("a batch") {
        let offset = reader.state().offset;
        drop(carried);
        let batch = run(reader.next()).expect("a batch").expect("the same");
        assert_eq!(batch.next_offset.to_query_value(), offset);
        all.extend_from_slice(&batch.data);
    }
    assert!(all.chunks(1_000_000).enumerate().all(|(n, part)| part.iter().all(|byte| usize::from(*byte) == n)));
    assert_eq!(all.len(), 9_000_000);
}

struct Counter {
    asked: AtomicUsize,
    fails_with: Mutex<Option<HostError>>,
}

impl Dynamic for Counter {
    fn resolve(&self) -> BoxFuture<'static, Result<Resolved, Box<dyn std::error::Error + Send + Sync>>> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        let failure = self.fails_with.lock().expect("unpoisoned").clone();
        Box::pin(async move {
            match failure {
                Some(error) => Err(error.boxed()),
                None => Ok(Resolved { headers: vec![("x-tag".to_owned(), "1".to_owned())], params: Vec::new() }),
            }
        })
    }
}

#[test]
fn a_dynamic_source_is_asked_once_per_attempt_and_its_error_comes_out_as_it_went_in() {
    let server = server();
    json_stream(&server, "dynamic");
    let source = Arc::new(Counter { asked: AtomicUsize::new(0), fails_with: Mutex::new(None) });
    let config = ClientConfig { dynamic: vec![source.clone()], ..ClientConfig::default() };
    let url = format!("{}/dynamic", server.url());
    let stream = Stream::new(&config, &url, None).expect("a handle");
    run(stream.head(&[])).expect("a head");
    assert_eq!(source.asked.load(Ordering::Relaxed), 1);
    *source.fails_with.lock().expect("unpoisoned") = Some(HostError::new("no token", 7_u32));
    let error = run(stream.head(&[])).expect_err("not sent");
    assert_eq!(error.host_error().and_then(HostError::downcast_ref), Some(&7_u32));
    assert_eq!(source.asked.load(Ordering::Relaxed), 2);
}

#[test]
fn a_setting_that_cannot_be_is_refused_by_name() {
    let config = ClientConfig { timeout_ms: Some(-1.0), ..ClientConfig::default() };
    let error: ErrorInfo = Stream::new(&config, "http://127.0.0.1:1/x", None).expect_err("refused");
    assert!(error.detail().starts_with("timeout"), "{error}");
}

#[test]
fn an_append_that_everybody_took_back_leaves_the_network() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("listens");
    let url = format!("http://{}/silent", listener.local_addr().expect("an address"));
    let stream = Stream::new(&ClientConfig::default(), &url, Some("text/plain")).expect("a handle");
    let stored = stream.with_batching(Batching::Shared).enqueue(text("x"), AppendConfig::default()).expect("queued");
    let (mut connection, _) = listener.accept().expect("it connects");
    connection.set_read_timeout(Some(Duration::from_secs(20))).expect("set");
    let mut seen = [0; 4096];
    assert!(connection.read(&mut seen).expect("a request") > 0);
    drop(stored);
    while connection.read(&mut seen).expect("it hangs up, instead of waiting for an answer") > 0 {}
}

#[test]
fn a_reader_closed_while_a_pull_is_being_dropped_leaves_the_network() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("binds");
    let url = format!("http://{}/silent", listener.local_addr().expect("an address"));
    let stream = Stream::new(&ClientConfig::default(), &url, None).expect("a handle");
    let reader = Reader::open(&stream, ReadConfig::default()).expect("opens");
    let mut pull = Box::pin(reader.next());
    // Polled until the request is out, then neither polled nor dropped.
    let (mut connection, _) = run(async {
        tokio::select! {
            _ = &mut pull => Err(ErrorInfo::internal("nobody answered")),
            accepted = tokio::task::spawn_blocking(move || listener.accept()) => {
                accepted.expect("no panic").map_err(|error| ErrorInfo::internal(error.to_string()))
            }
        }
    })
    .expect("a request");
    reader.close();
    drop(pull);
    connection.set_read_timeout(Some(Duration::from_secs(10))).expect("set");
    // Ends when the client has left.
    connection.read_to_end(&mut Vec::new()).expect("the connection ends");
}
