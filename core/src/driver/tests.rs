//! The loops against a scripted network in virtual time.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, header::AUTHORIZATION};
use tokio::time::Instant;

use crate::{
    AppendOptions, Client, ClientBuilder, CloseOptions, CreateOptions, DurableStream, ErrorCode, HeadOptions,
    RetryPolicy, StreamError,
    host::{Host, NoRuntime, Time, TokioHost},
    transport::{
        BoxFuture, TransportFailureKind,
        scripted::{Scripted, ScriptedReply},
    },
};

/// Tokio's clock with the same entropy at every call.
struct SteadyHost {
    tokio: TokioHost,
    entropy: u64,
}

impl Host for SteadyHost {
    fn now(&self) -> Time {
        self.tokio.now()
    }

    fn wall_clock(&self) -> SystemTime {
        // Wed, 21 Oct 2026 07:28:00 GMT
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_792_567_680)
    }

    fn sleep(&self, span: Duration) -> BoxFuture<'static, ()> {
        self.tokio.sleep(span)
    }

    fn spawn(&self, task: BoxFuture<'static, ()>) -> Result<(), NoRuntime> {
        self.tokio.spawn(task)
    }

    fn entropy(&self) -> u64 {
        self.entropy
    }
}

/// A builder on the script; jitter draws half of every bound.
fn builder(script: &Scripted) -> ClientBuilder {
    Client::builder()
        .base_url("http://h/v1/stream")
        .transport(script.clone())
        .host(SteadyHost { tokio: TokioHost::new(), entropy: 1 << 63 })
}

fn stream(script: &Scripted) -> DurableStream {
    let mut stream = builder(script).build().expect("valid settings").stream("tides");
    stream.set_content_type("text/plain");
    stream
}

fn appended() -> ScriptedReply {
    ScriptedReply::status(204).header("Stream-Next-Offset", "0_9")
}

fn metadata() -> ScriptedReply {
    ScriptedReply::status(200).header("Stream-Next-Offset", "0_9").header("Content-Type", "application/json")
}

#[tokio::test(start_paused = true)]
async fn a_plain_append_survives_transient_answers_with_growing_delays() {
    let script = Scripted::new()
        .reply(ScriptedReply::status(500))
        .reply(ScriptedReply::status(429))
        .reply(ScriptedReply::status(408))
        .reply(appended());
    let start = Instant::now();
    let response = stream(&script).append(b"high").await.expect("stored at last");
    assert_eq!(response.next_offset.as_str(), "0_9");
    // Half of 100, 200 and 400 ms.
    assert_eq!(start.elapsed(), Duration::from_millis(350));
    let bodies: Vec<_> = script.requests().into_iter().map(http::Request::into_body).collect();
    assert_eq!(bodies, vec![Bytes::from_static(b"high"); 4]);
}

#[tokio::test(start_paused = true)]
async fn retries_end_with_the_last_answer() {
    let script = Scripted::new();
    (0..20).for_each(|_| script.push(ScriptedReply::status(500)));
    let failure = stream(&script).detailed().head(HeadOptions::new()).await.expect_err("never succeeds");
    assert_eq!((failure.code(), failure.status(), failure.attempts()), (ErrorCode::UnexpectedStatus, Some(500), 4));
    assert_eq!(script.remaining(), 16);
}

#[tokio::test(start_paused = true)]
async fn a_plain_append_is_not_repeated_after_a_broken_connection() {
    let script = Scripted::new().reply(ScriptedReply::failure(TransportFailureKind::Broken)).reply(appended());
    let failure = stream(&script)
        .detailed()
        .append(Bytes::from_static(b"high"), AppendOptions::new())
        .await
        .expect_err("unknown outcome");
    assert_eq!((failure.code(), failure.may_be_applied()), (ErrorCode::NetworkError, true));
    assert_eq!(script.remaining(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_plain_append_is_repeated_after_a_broken_connection_when_the_caller_opts_in() {
    let script = Scripted::new().reply(ScriptedReply::failure(TransportFailureKind::Broken)).reply(appended());
    let policy = RetryPolicy { repeat_unconfirmed_appends: true, ..RetryPolicy::DEFAULT };
    let client = builder(&script).retry(policy).build().expect("valid settings");
    let options = AppendOptions::new().content_type("text/plain");
    client.stream("tides").append_with_options(b"high", options).await.expect("stored");
    assert_eq!(script.requests().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_plain_append_is_repeated_when_nothing_was_sent() {
    let script = Scripted::new().reply(ScriptedReply::failure(TransportFailureKind::Connect)).reply(appended());
    stream(&script).append(b"high").await.expect("stored");
}

#[tokio::test(start_paused = true)]
async fn an_append_with_producer_headers_is_repeated_after_anything() {
    let script = Scripted::new()
        .reply(ScriptedReply::failure(TransportFailureKind::Broken))
        .reply(ScriptedReply::failure(TransportFailureKind::Timeout))
        .reply(appended());
    let options = AppendOptions::new().producer("gauge-12", 3, 7);
    let answer = stream(&script).detailed().append(Bytes::from_static(b"high"), options).await.expect("stored");
    assert!(answer.value.duplicate);
    for request in script.requests() {
        assert_eq!(request.headers()["producer-id"], "gauge-12");
        assert_eq!((&request.headers()["producer-epoch"], &request.headers()["producer-seq"]), (&3.into(), &7.into()));
    }
}

#[tokio::test(start_paused = true)]
async fn a_final_answer_is_not_repeated() {
    for status in [400, 401, 403, 404, 405, 409, 410, 413, 501, 505] {
        let script = Scripted::new().reply(ScriptedReply::status(status)).reply(appended());
        stream(&script).append(b"high").await.expect_err("final");
        assert_eq!(script.remaining(), 1, "{status}");
    }
}

#[tokio::test(start_paused = true)]
async fn retry_after_is_a_floor_in_seconds_and_by_date() {
    for value in ["7", "Wed, 21 Oct 2026 07:28:07 GMT"] {
        let script = Scripted::new().reply(ScriptedReply::status(503).header("Retry-After", value)).reply(appended());
        let start = Instant::now();
        stream(&script).append(b"high").await.expect("stored");
        assert_eq!(start.elapsed(), Duration::from_secs(7), "{value}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_delete_that_finds_nothing_is_success_only_as_a_retry() {
    let script = Scripted::new()
        .reply(ScriptedReply::failure(TransportFailureKind::Broken))
        .reply(ScriptedReply::status(404))
        .reply(ScriptedReply::status(404));
    let stream = stream(&script);
    stream.delete().await.expect("the first attempt may have done it");
    assert!(matches!(stream.delete().await, Err(StreamError::NotFound)));
}

#[tokio::test(start_paused = true)]
async fn a_failed_retry_remembers_that_an_earlier_attempt_may_be_applied() {
    let script =
        Scripted::new().reply(ScriptedReply::failure(TransportFailureKind::Timeout)).reply(ScriptedReply::status(404));
    let failure = stream(&script).detailed().close(CloseOptions::new()).await.expect_err("gone in between");
    assert_eq!((failure.code(), failure.may_be_applied(), failure.attempts()), (ErrorCode::NotFound, true, 2));
}

#[tokio::test(start_paused = true)]
async fn an_unanswered_request_times_out_and_says_where() {
    let script = Scripted::new().reply(ScriptedReply::hang());
    let start = Instant::now();
    let failure = stream(&script)
        .detailed()
        .append(Bytes::from_static(b"high"), AppendOptions::new())
        .await
        .expect_err("no answer");
    assert_eq!((failure.code(), failure.may_be_applied()), (ErrorCode::Timeout, true));
    assert_eq!(start.elapsed(), Duration::from_secs(30));
    assert!(failure.to_string().contains("http://h/v1/stream/tides"), "{failure}");
}

#[tokio::test(start_paused = true)]
async fn a_stalled_error_body_does_not_hide_the_answer() {
    let reply = ScriptedReply::status(404).body("no such").stalled();
    let script = Scripted::new().reply(reply);
    let start = Instant::now();
    let failure = stream(&script).detailed().delete(crate::DeleteOptions::new()).await.expect_err("missing");
    assert!(start.elapsed() <= Duration::from_secs(2));
    assert_eq!((failure.code(), failure.server_text()), (ErrorCode::NotFound, Some("no such")));
}

#[tokio::test(start_paused = true)]
async fn dynamic_headers_and_params_are_fresh_for_every_attempt() {
    let script = Scripted::new().reply(ScriptedReply::status(503)).reply(ScriptedReply::status(503)).reply(metadata());
    let (headers, params) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
    let client = builder(&script)
        .header("x-attempt", "static")
        .header("x-fixed", "kept")
        .header_provider(move || {
            let count = headers.fetch_add(1, Ordering::Relaxed);
            HeaderMap::from_iter([("x-attempt".parse().expect("a name"), HeaderValue::from(count))])
        })
        .param_provider_async(move || {
            let count = params.fetch_add(1, Ordering::Relaxed);
            async move { Ok(vec![("token".to_owned(), format!("t {count}"))]) }
        })
        .build()
        .expect("valid settings");
    client.stream("tides").head().await.expect("answered at last");
    for (index, request) in script.requests().iter().enumerate() {
        assert_eq!(request.headers()["x-attempt"], index.to_string());
        assert_eq!(request.headers()["x-fixed"], "kept");
        assert_eq!(request.uri().query(), Some(&*format!("token=t%20{index}")));
    }
}

#[tokio::test(start_paused = true)]
async fn headers_rank_static_dynamic_call_protocol() {
    let script = Scripted::new().reply(appended());
    let client = builder(&script)
        .header("x-a", "static")
        .header("x-b", "static")
        .header("content-type", "image/png")
        .header_provider(|| {
            let value = |value| HeaderValue::from_static(value);
            HeaderMap::from_iter([
                (http::HeaderName::from_static("x-b"), value("dynamic")),
                (http::HeaderName::from_static("x-c"), value("dynamic")),
            ])
        })
        .build()
        .expect("valid settings");
    let options = AppendOptions::new().content_type("text/plain").header("x-c", "call");
    client.stream("tides").append_with_options(b"high", options).await.expect("stored");
    let request = &script.requests()[0];
    let sent = |name: &str| request.headers()[name].to_str().expect("text").to_owned();
    assert_eq!(["x-a", "x-b", "x-c", "content-type"].map(sent), ["static", "dynamic", "call", "text/plain"]);
}

#[tokio::test(start_paused = true)]
async fn a_401_renews_credentials_once() {
    let script = Scripted::new().reply(ScriptedReply::status(401)).reply(metadata());
    let asked = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&asked);
    let client = builder(&script)
        .header_provider_async(move || {
            let token = count.fetch_add(1, Ordering::Relaxed);
            async move { Ok(HeaderMap::from_iter([(AUTHORIZATION, HeaderValue::from(token))])) }
        })
        .build()
        .expect("valid settings");
    client.stream("tides").head().await.expect("renewed");
    let tokens: Vec<_> = script.requests().iter().map(|request| request.headers()[AUTHORIZATION].clone()).collect();
    assert_eq!(tokens, ["0", "1"]);

    script.push(ScriptedReply::status(401));
    script.push(ScriptedReply::status(401));
    script.push(metadata());
    assert!(matches!(client.stream("tides").head().await, Err(StreamError::Unauthorized)));
    assert_eq!((script.remaining(), asked.load(Ordering::Relaxed)), (1, 4));
}

#[tokio::test(start_paused = true)]
async fn a_failing_provider_fails_the_request_unsent() {
    let script = Scripted::new().reply(metadata());
    let client = builder(&script)
        .header_provider_async(|| async { Err("the vault is sealed".into()) })
        .build()
        .expect("valid settings");
    let failure = client.stream("tides").detailed().head(HeadOptions::new()).await.expect_err("no credentials");
    assert_eq!((failure.code(), failure.may_be_applied()), (ErrorCode::InvalidArgument, false));
    assert!(failure.detail().contains("the vault is sealed"), "{failure}");
    assert_eq!(script.requests().len(), 0);
}

#[tokio::test(start_paused = true)]
async fn protocol_parameters_cannot_be_overridden() {
    let script = Scripted::new().reply(metadata());
    for name in ["offset", "live", "cursor"] {
        let refused = builder(&script).default_param(name, "1").build().expect_err("reserved");
        assert!(matches!(&refused, StreamError::InvalidArgument(text) if text.contains(name)), "{refused}");
        let client = builder(&script).param_provider(move || vec![(name.to_owned(), "1".to_owned())]).build();
        let refused = client.expect("not asked yet").stream("tides").head().await.expect_err("reserved");
        assert!(matches!(&refused, StreamError::InvalidArgument(text) if text.contains(name)), "{refused}");
    }
    assert_eq!(script.requests().len(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_redirect_within_the_origin_keeps_method_body_and_credentials() {
    let script = Scripted::new()
        .reply(ScriptedReply::status(308).header("Location", "/elsewhere/tides?shard=2"))
        .reply(appended());
    let client = builder(&script).header("Authorization", "Bearer t").build().expect("valid settings");
    let options = AppendOptions::new().content_type("text/plain");
    client.stream("tides").append_with_options(b"high", options).await.expect("stored");
    let request = &script.requests()[1];
    assert_eq!((request.method(), request.body()), (&Method::POST, &Bytes::from_static(b"high")));
    assert_eq!(request.uri(), "http://h/elsewhere/tides?shard=2");
    assert_eq!(request.headers()[AUTHORIZATION], "Bearer t");
}

#[tokio::test(start_paused = true)]
async fn a_redirect_to_another_origin_drops_everything_the_user_set() {
    for location in ["http://other/tides", "https://h/tides", "http://h:81/tides", "//other/tides"] {
        let script = Scripted::new().reply(ScriptedReply::status(307).header("Location", location)).reply(appended());
        let client = builder(&script)
            .header("Authorization", "Bearer t")
            .header("X-Api-Key", "k")
            .header_provider(|| HeaderMap::from_iter([(http::header::COOKIE, HeaderValue::from_static("c=1"))]))
            .build()
            .expect("valid settings");
        let options = AppendOptions::new().content_type("text/plain").seq("5").header("X-Token", "t");
        client.stream("tides").append_with_options(b"high", options).await.expect("stored");
        let request = &script.requests()[1];
        let names: Vec<_> = request.headers().keys().map(http::HeaderName::as_str).collect();
        assert_eq!(names.len(), 2, "{names:?}");
        assert_eq!(
            (&request.headers()["stream-seq"], &request.headers()["content-type"]),
            (&"5".parse().expect("a value"), &"text/plain".parse().expect("a value"))
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_redirected_write_is_never_turned_into_a_read() {
    for status in [301, 302, 303] {
        let script = Scripted::new().reply(ScriptedReply::status(status).header("Location", "/x")).reply(appended());
        let failure = stream(&script)
            .detailed()
            .append(Bytes::from_static(b"high"), AppendOptions::new())
            .await
            .expect_err("not followed");
        assert_eq!((failure.code(), failure.status()), (ErrorCode::UnexpectedStatus, Some(status)));
        assert_eq!(script.remaining(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn redirects_end() {
    let script = Scripted::new();
    (0..50).for_each(|_| script.push(ScriptedReply::status(302).header("Location", "/v1/stream/tides")));
    stream(&script).head().await.expect_err("a circle");
    assert_eq!(script.requests().len(), 11);
}

#[tokio::test(start_paused = true)]
async fn an_unknown_content_type_is_asked_for_once() {
    let script = Scripted::new().reply(metadata()).reply(appended()).reply(appended());
    let stream = builder(&script).build().expect("valid settings").stream("tides");
    stream.append(b"[1]").await.expect("stored");
    stream.clone().append(b"[2]").await.expect("stored");
    let methods: Vec<_> = script.requests().iter().map(|request| request.method().clone()).collect();
    assert_eq!(methods, [Method::HEAD, Method::POST, Method::POST]);
    assert_eq!(script.requests()[2].headers()["content-type"], "application/json");
}

#[tokio::test(start_paused = true)]
async fn many_writers_ask_for_the_content_type_once() {
    let script = Scripted::new().reply(metadata()).reply(appended()).reply(appended()).reply(appended());
    let stream = builder(&script).build().expect("valid settings").stream("tides");
    let (first, second, third) = tokio::join!(stream.append(b"[1]"), stream.append(b"[2]"), stream.append(b"[3]"));
    assert!(first.is_ok() && second.is_ok() && third.is_ok());
    assert_eq!(script.requests().iter().filter(|request| request.method() == Method::HEAD).count(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_handle_remembers_the_type_it_created_with_until_it_deletes() {
    let script = Scripted::new()
        .reply(ScriptedReply::status(201).header("Content-Type", "application/json"))
        .reply(appended())
        .reply(ScriptedReply::status(204));
    let stream = builder(&script).build().expect("valid settings").stream("tides");
    stream.create_with(CreateOptions::new().content_type("application/json")).await.expect("created");
    assert_eq!(stream.content_type(), Some("application/json"));
    stream.append(b"[1]").await.expect("stored");
    assert_eq!(script.requests()[1].headers()["content-type"], "application/json");
    stream.delete().await.expect("deleted");
    assert_eq!(stream.content_type(), None);
}

#[tokio::test(start_paused = true)]
async fn forks_name_their_source_by_its_path() {
    let named = |source: &'static str| async move {
        let script = Scripted::new().reply(ScriptedReply::status(201));
        let options = CreateOptions::new().fork_from(source).fork_offset("0_4").fork_sub_offset(2);
        builder(&script).build().expect("valid settings").stream("tides").create_with(options).await.expect("forked");
        let headers = script.requests()[0].headers().clone();
        assert_eq!(
            (&headers["stream-fork-offset"], &headers["stream-fork-sub-offset"]),
            (&"0_4".parse().expect("a value"), &2.into())
        );
        assert!(!headers.contains_key("content-type"));
        headers["stream-forked-from"].to_str().expect("text").to_owned()
    };
    for source in ["waves", "/waves", "/v1/stream/waves", "http://h/v1/stream/waves"] {
        assert_eq!(named(source).await, "/v1/stream/waves");
    }
}

#[tokio::test(start_paused = true)]
async fn arguments_are_refused_before_anything_is_sent() {
    let script = Scripted::new();
    let stream = stream(&script);
    let refused = [
        ("ttl", CreateOptions::new().ttl(Duration::from_secs(1)).expires_at("2030-01-01T00:00:00Z")),
        ("expires_at", CreateOptions::new().expires_at("tomorrow")),
        ("fork_offset", CreateOptions::new().fork_offset("0_1")),
        ("fork_sub_offset", CreateOptions::new().fork_sub_offset(0)),
        ("fork_from", CreateOptions::new().fork_from("http://other/v1/stream/waves")),
        ("content_type", CreateOptions::new().content_type("text/plain\n")),
    ];
    for (argument, options) in refused {
        match stream.create_with(options).await {
            Err(StreamError::InvalidArgument(text)) => assert!(text.contains(argument), "{argument}: {text}"),
            other => panic!("{argument}: {other:?}"),
        }
    }
    assert!(matches!(stream.append(b"").await, Err(StreamError::EmptyAppend)));
    let options = CreateOptions::new().header("bad name", "x");
    assert!(matches!(stream.create_with(options).await, Err(StreamError::InvalidHeader(_))));
    assert_eq!(script.requests().len(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_fraction_of_a_second_counts_as_a_whole_one() {
    let script = Scripted::new().reply(ScriptedReply::status(201));
    stream(&script).create_with(CreateOptions::new().ttl(Duration::from_millis(1500))).await.expect("created");
    assert_eq!(script.requests()[0].headers()["stream-ttl"], "2");
}

#[test]
fn unusable_settings_fail_the_build_by_name() {
    let script = Scripted::new();
    assert!(matches!(builder(&script).header("bad name", "x").build(), Err(StreamError::InvalidHeader(_))));
    assert!(matches!(builder(&script).header("x", "a\nb").build(), Err(StreamError::InvalidHeader(_))));
    let policies = [
        ("initialDelayMs", RetryPolicy { initial_delay: Duration::ZERO, ..RetryPolicy::DEFAULT }),
        ("maxDelayMs", RetryPolicy { max_delay: Duration::from_millis(1), ..RetryPolicy::DEFAULT }),
        ("multiplier", RetryPolicy { multiplier: 0.5, ..RetryPolicy::DEFAULT }),
    ];
    for (field, policy) in policies {
        match builder(&script).retry(policy).build() {
            Err(StreamError::InvalidArgument(text)) => assert!(text.contains(field), "{text}"),
            other => panic!("{field}: {other:?}"),
        }
    }
    for base in ["localhost:4437", "ftp://h", ""] {
        assert!(matches!(builder(&script).base_url(base).build(), Err(StreamError::InvalidArgument(_))), "{base:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn dropping_the_future_ends_the_wait_between_attempts() {
    let script = Scripted::new().reply(ScriptedReply::status(503).header("Retry-After", "3600")).reply(appended());
    let start = Instant::now();
    let cut = tokio::time::timeout(Duration::from_secs(1), stream(&script).append(b"high")).await;
    cut.expect_err("cancelled while waiting");
    assert_eq!((start.elapsed(), script.remaining()), (Duration::from_secs(1), 1));
}

#[tokio::test(start_paused = true)]
async fn clients_built_from_a_client_share_its_transport() {
    let script = Scripted::new().reply(metadata()).reply(metadata());
    let client = builder(&script).header("x-team", "sea").build().expect("valid settings");
    let derived = client.to_builder().header("x-extra", "1").build().expect("valid settings");
    client.stream("a").head().await.expect("answered");
    derived.stream("b").head().await.expect("answered");
    let requests = script.requests();
    assert!(!requests[0].headers().contains_key("x-extra"));
    assert_eq!(
        (&requests[1].headers()["x-team"], &requests[1].headers()["x-extra"]),
        (&"sea".parse().expect("a value"), &"1".parse().expect("a value"))
    );
}
