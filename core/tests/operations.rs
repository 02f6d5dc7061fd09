//! The one-shot operations against a real server.

use std::time::Duration;

use bytes::Bytes;
use durable_streams::{
    AppendOptions, CloseOptions, CreateOptions, ErrorCode, Offset, StreamError,
    testing::{Fault, TestServer},
};

async fn server() -> TestServer {
    TestServer::start().await.expect("starts")
}

fn fault(path: &str) -> Fault {
    Fault { path: path.to_owned(), ..Fault::default() }
}

#[tokio::test]
async fn a_stream_lives_from_create_to_delete() {
    let server = server().await;
    let stream = server.client().stream("/tides");
    assert!(matches!(stream.head().await, Err(StreamError::NotFound)));
    let options = CreateOptions::new().content_type("text/plain; charset=utf-8").ttl(Duration::from_secs(900));
    stream.create_with(options.clone()).await.expect("created");
    stream.create_with(options).await.expect("the same settings are success");
    assert!(matches!(stream.create().await, Err(StreamError::AlreadyExists)));

    let first = stream.append("high").await.expect("stored").next_offset;
    let second = stream.append(vec![b'l', b'o', b'w']).await.expect("stored").next_offset;
    assert!(first < second);
    let head = stream.head().await.expect("exists");
    assert_eq!(head.content_type.as_deref(), Some("text/plain; charset=utf-8"));
    assert_eq!((head.offset, head.closed, head.ttl), (second.clone(), false, Some(Duration::from_secs(900))));

    assert_eq!(stream.close().await.expect("closed").final_offset, second);
    assert_eq!(stream.close().await.expect("closed before").final_offset, second);
    assert!(matches!(stream.append("more").await, Err(StreamError::Closed)));
    let last = CloseOptions::new().data("bye").content_type("text/plain");
    assert!(matches!(stream.close_with(last).await, Err(StreamError::Closed)));
    assert!(stream.head().await.expect("exists").closed);

    stream.delete().await.expect("deleted");
    assert!(matches!(stream.delete().await, Err(StreamError::NotFound)));
    server.stop().await;
}

#[tokio::test]
async fn failures_carry_code_status_facts_and_path() {
    let server = server().await;
    let stream = server.client().stream("tides");
    let failure = stream.detailed().append(Bytes::from_static(b"x"), AppendOptions::new()).await.expect_err("missing");
    assert_eq!((failure.code(), failure.status()), (ErrorCode::NotFound, Some(404)));
    assert!(failure.to_string().contains("/tides"), "{failure}");

    let answer = stream.detailed().create(CreateOptions::new().content_type("text/plain")).await.expect("created");
    assert!(answer.value.is_new && answer.head.status == 201);
    assert!(
        !stream.detailed().create(CreateOptions::new().content_type("text/plain")).await.expect("exists").value.is_new
    );

    let wrong = AppendOptions::new().content_type("image/png");
    assert!(matches!(stream.append_with("x", wrong).await, Err(StreamError::ContentTypeMismatch)));
    stream.append_with("x", AppendOptions::new().seq("09")).await.expect("stored");
    assert!(matches!(stream.append_with("x", AppendOptions::new().seq("09")).await, Err(StreamError::Conflict)));
    stream.append_with("x", AppendOptions::new().seq("10")).await.expect("stored");

    let append = |epoch, seq| {
        let options = AppendOptions::new().producer("gauge", epoch, seq);
        let stream = stream.clone();
        async move { stream.detailed().append(Bytes::from_static(b"x"), options).await }
    };
    assert!(!append(3, 0).await.expect("stored").value.duplicate);
    assert!(append(3, 0).await.expect("stored before").value.duplicate);
    let gap = append(3, 5).await.expect_err("skips");
    assert_eq!(
        (gap.code(), gap.facts().expected_seq, gap.facts().received_seq),
        (ErrorCode::SequenceGap, Some(1), Some(5))
    );
    let stale = append(2, 0).await.expect_err("old epoch");
    assert_eq!((stale.code(), stale.facts().current_epoch), (ErrorCode::StaleEpoch, Some(3)));

    let tail = stream.close().await.expect("closed").final_offset;
    let closed = append(3, 1).await.expect_err("closed");
    assert_eq!((closed.code(), closed.facts().final_offset.as_deref()), (ErrorCode::StreamClosed, Some(tail.as_str())));
    server.stop().await;
}

#[tokio::test]
async fn a_fork_starts_where_it_is_told() {
    let server = server().await;
    let source = server.client().stream("source");
    source.create_with(CreateOptions::new().content_type("text/plain")).await.expect("created");
    let middle = source.append("high").await.expect("stored").next_offset;
    source.append("low").await.expect("stored");
    let fork = server.client().stream("fork");
    fork.create_with(CreateOptions::new().fork_from("source").fork_offset(&middle).fork_sub_offset(1))
        .await
        .expect("forked");
    let head = fork.head().await.expect("exists");
    assert_eq!(head.content_type.as_deref(), Some("text/plain"));
    assert!(head.offset > middle);
    let refused = fork.create_with(CreateOptions::new().fork_from("elsewhere")).await;
    assert!(matches!(refused, Err(StreamError::AlreadyExists)));
    let missing = server.client().stream("third").create_with(CreateOptions::new().fork_from("elsewhere")).await;
    assert!(matches!(missing, Err(StreamError::NotFound)));
    server.stop().await;
}

#[tokio::test]
async fn an_append_survives_server_faults_and_is_stored_once() {
    let server = server().await;
    let stream = server.client().stream("tides");
    stream.create_with(CreateOptions::new().content_type("text/plain")).await.expect("created");
    for status in [500, 502, 503, 429] {
        server.inject_fault(Fault { status: Some(status), count: Some(2), ..fault("/tides") });
        stream.append("high").await.expect("stored after retries");
    }
    let mut reader = stream.read().build().expect("valid settings");
    let chunk = reader.next_chunk().await.expect("read").expect("has data");
    assert_eq!(&chunk.data[..], b"highhighhighhigh");

    server.inject_fault(Fault { status: Some(500), count: Some(20), ..fault("/tides") });
    assert!(matches!(stream.append("high").await, Err(StreamError::ServerError(500))));
    server.clear_injected_faults();
    server.stop().await;
}

#[tokio::test]
async fn a_dropped_connection_is_repeated_for_reads_and_reported_for_appends() {
    let server = server().await;
    let stream = server.client().stream("tides");
    stream.create_with(CreateOptions::new().content_type("text/plain")).await.expect("created");
    server.inject_fault(Fault { drop_connection: true, count: Some(2), ..fault("/tides") });
    stream.head().await.expect("answered after retries");
    server.inject_fault(Fault { drop_connection: true, ..fault("/tides") });
    match stream.append("high").await {
        Err(StreamError::Network(error)) => assert!(error.may_be_applied(), "{error}"),
        other => panic!("{other:?}"),
    }
    server.stop().await;
}

#[tokio::test]
async fn names_with_spaces_and_other_signs_are_one_stream() {
    let server = server().await;
    let client = server.client();
    let stream = client.stream("a b/ü?shard=1 2");
    stream.create().await.expect("created");
    stream.append(b"x").await.expect("stored");
    let same = client.stream("a%20b/%C3%BC");
    assert!(same.head().await.expect("the same path").offset > Offset::Beginning);
    server.stop().await;
}
