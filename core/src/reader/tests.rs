//! The reader against a scripted network in virtual time.

use std::time::Duration;

use futures_util::{FutureExt, StreamExt};

use super::*;
use crate::{
    Client,
    transport::{
        TransportFailureKind,
        scripted::{Scripted, ScriptedReply},
    },
};

fn stream(script: &Scripted) -> DurableStream {
    let client = Client::builder().base_url("http://h/v1/stream").transport(script.clone()).build();
    client.expect("valid settings").stream("tides")
}

fn answer(content_type: &str, next_offset: &str, body: &'static str) -> ScriptedReply {
    ScriptedReply::status(200)
        .header("Content-Type", content_type)
        .header("Stream-Next-Offset", next_offset)
        .body(body.as_bytes())
}

fn text(next_offset: &str, body: &'static str) -> ScriptedReply {
    answer("text/plain", next_offset, body)
}

fn json(next_offset: &str, body: &'static str) -> ScriptedReply {
    answer("application/json", next_offset, body)
}

fn events() -> ScriptedReply {
    ScriptedReply::status(200).header("Content-Type", "text/event-stream")
}

trait Flags {
    fn up_to_date(self) -> Self;
    fn closed(self) -> Self;
}

impl Flags for ScriptedReply {
    fn up_to_date(self) -> Self {
        self.header("Stream-Up-To-Date", "true")
    }

    fn closed(self) -> Self {
        self.header("Stream-Closed", "true")
    }
}

fn queries(script: &Scripted) -> Vec<String> {
    script.requests().iter().map(|request| request.uri().query().unwrap_or_default().to_owned()).collect()
}

#[tokio::test(start_paused = true)]
async fn a_catch_up_gives_every_part_and_ends() {
    let script = Scripted::new().reply(text("1", "a")).reply(text("2", "b").up_to_date());
    let mut chunks = stream(&script).read().build().expect("valid");
    let first = chunks.next_chunk().await.expect("reads").expect("has data");
    assert_eq!((&first.data[..], first.offset.as_str(), first.up_to_date), (&b"a"[..], "1", false));
    assert_eq!(chunks.offset().as_str(), "1");
    let second = chunks.next_chunk().await.expect("reads").expect("has data");
    assert_eq!((&second.data[..], second.next_offset.as_str(), second.up_to_date), (&b"b"[..], "2", true));
    assert_eq!(second.status_code, Some(200));
    assert!(chunks.is_up_to_date());
    assert_eq!(chunks.next_chunk().await.expect("reads"), None);
    assert_eq!(chunks.next_chunk().await.expect("reads"), None);
    assert_eq!(queries(&script), ["offset=-1", "offset=1"]);
}

#[tokio::test(start_paused = true)]
async fn the_part_ahead_is_under_way_before_the_first_one_is_taken() {
    let script = Scripted::new().reply(text("1", "a")).reply(text("2", "b")).reply(text("3", "c").up_to_date());
    let mut chunks = stream(&script).read().build().expect("valid");
    chunks.next_chunk().await.expect("reads");
    // The caller works on the first part now; exactly one more is asked for.
    assert_eq!(queries(&script), ["offset=-1", "offset=1"]);
    chunks.next_chunk().await.expect("reads");
    assert_eq!(queries(&script), ["offset=-1", "offset=1", "offset=2"]);
}

#[tokio::test(start_paused = true)]
async fn without_prefetch_a_part_is_fetched_when_the_one_before_was_taken() {
    let script = Scripted::new().reply(text("1", "a")).reply(text("2", "b").up_to_date());
    let mut chunks = stream(&script).read().prefetch(false).build().expect("valid");
    chunks.next_chunk().await.expect("reads");
    assert_eq!(queries(&script), ["offset=-1"]);
}

#[tokio::test(start_paused = true)]
async fn a_failure_of_the_part_ahead_does_not_touch_the_part_in_hand() {
    let script = Scripted::new()
        .reply(text("1", "a"))
        .reply(ScriptedReply::failure(TransportFailureKind::Connect))
        .reply(text("2", "b").up_to_date());
    let mut chunks = stream(&script).read().build().expect("valid");
    assert_eq!(chunks.next_chunk().await.expect("reads").expect("has data").data, "a");
    assert_eq!(chunks.next_chunk().await.expect("reads").expect("has data").data, "b");
    assert_eq!(queries(&script), ["offset=-1", "offset=1", "offset=1"]);
}

#[tokio::test(start_paused = true)]
async fn a_dropped_next_chunk_future_loses_nothing() {
    let script = Scripted::new().reply(text("1", "a").up_to_date()).reply(
        events()
            .body("event: data\nda")
            .body("ta:b\n\nevent: control\ndata:{\"streamNextOffset\":\"2\"}\n\n")
            .stalled(),
    );
    let mut chunks = stream(&script).read().live(LiveMode::Sse).build().expect("valid");
    let mut taken = Vec::new();
    // Every poll happens in a future of its own.
    while taken.len() < 2 {
        if let Some(chunk) = chunks.next_chunk().now_or_never() {
            taken.push(chunk.expect("reads").expect("has data").data);
        }
        tokio::task::yield_now().await;
    }
    assert_eq!(taken, ["a", "b"]);
    assert_eq!(chunks.offset().as_str(), "2");
    assert_eq!(queries(&script), ["offset=-1", "live=sse&offset=1"]);
}

#[tokio::test(start_paused = true)]
async fn answers_without_news_only_move_the_position() {
    let no_content = |offset| ScriptedReply::status(204).header("Stream-Next-Offset", offset).up_to_date();
    let script = Scripted::new()
        .reply(text("1", "a").up_to_date())
        .reply(no_content("1").header("Stream-Cursor", "5"))
        .reply(no_content("1").header("Stream-Cursor", "6"))
        .reply(text("2", "").closed());
    let mut chunks = stream(&script).read().live(LiveMode::LongPoll).build().expect("valid");
    assert_eq!(chunks.next_chunk().await.expect("reads").expect("has data").data, "a");
    let last = chunks.next_chunk().await.expect("reads").expect("tells the end");
    assert_eq!((last.data.len(), last.stream_closed, last.offset.as_str()), (0, true, "2"));
    assert_eq!(chunks.next_chunk().await.expect("reads"), None);
    assert_eq!(queries(&script)[2..], ["cursor=5&live=long-poll&offset=1", "cursor=6&live=long-poll&offset=1"]);
}

#[tokio::test(start_paused = true)]
async fn the_first_news_of_being_up_to_date_is_a_chunk_even_without_data() {
    let script = Scripted::new().reply(json("7", "[]").up_to_date());
    let mut chunks = stream(&script).read().offset("7").build().expect("valid");
    let chunk = chunks.next_chunk().await.expect("reads").expect("tells up to date");
    assert_eq!((&chunk.data[..], chunk.up_to_date), (&b"[]"[..], true));
    assert_eq!(chunks.next_chunk().await.expect("reads"), None);
}

#[tokio::test(start_paused = true)]
async fn the_reader_tells_about_answers_without_data_too() {
    let script = Scripted::new()
        .reply(ScriptedReply::status(204).header("Stream-Next-Offset", "3").up_to_date())
        .reply(text("4", "x").closed());
    let mut reader = stream(&script).read().offset(Offset::Now).live(LiveMode::LongPoll).reader().expect("valid");
    let batch = reader.next_batch().await.expect("reads").expect("an answer");
    assert_eq!((batch.status, batch.is_empty, batch.next_offset.as_str()), (204, true, "3"));
    let batch = reader.next_batch().await.expect("reads").expect("an answer");
    assert_eq!((batch.data.as_ref(), batch.stream_closed), (&b"x"[..], true));
    assert!(reader.is_stream_closed());
    assert_eq!(reader.next_batch().await.expect("reads"), None);
}

#[tokio::test(start_paused = true)]
async fn a_parse_error_leaves_the_position_and_the_next_call_works() {
    let script = Scripted::new().reply(json("2", "[{\"a\":").up_to_date()).reply(json("2", "[{\"a\":1}]").up_to_date());
    let mut chunks = stream(&script).read().offset("1").build().expect("valid");
    let error = chunks.next_chunk().await.expect_err("truncated");
    assert!(matches!(error, StreamError::Parse(_)));
    assert!(error.to_string().contains("/v1/stream/tides"), "{error}");
    assert_eq!(chunks.offset().as_str(), "1");
    let chunk = chunks.next_chunk().await.expect("reads").expect("has data");
    assert_eq!(chunk.data, "[{\"a\":1}]");
}

#[tokio::test(start_paused = true)]
async fn a_failure_knows_url_status_and_the_servers_words() {
    let script =
        Scripted::new().reply(ScriptedReply::status(400).body("no such offset")).reply(ScriptedReply::status(404));
    let mut reader = stream(&script).read().offset("x").reader().expect("valid");
    let failure = reader.next_batch().await.expect_err("refused");
    assert_eq!((failure.code(), failure.status()), (crate::ErrorCode::InvalidOffset, Some(400)));
    assert_eq!((failure.url(), failure.server_text()), (Some("http://h/v1/stream/tides"), Some("no such offset")));
    assert_eq!(reader.next_batch().await.expect_err("refused").code(), crate::ErrorCode::NotFound);
}

#[tokio::test(start_paused = true)]
async fn twenty_server_errors_end_in_an_error_well_within_thirty_seconds() {
    let script = Scripted::new();
    for _ in 0..20 {
        script.push(ScriptedReply::status(500));
    }
    let mut chunks = stream(&script).read().live(LiveMode::Auto).build().expect("valid");
    let start = tokio::time::Instant::now();
    assert!(matches!(chunks.next_chunk().await, Err(StreamError::ServerError(500))));
    assert!(start.elapsed() < Duration::from_secs(10));
}

#[tokio::test(start_paused = true)]
async fn a_silent_sse_answer_is_left_after_ninety_seconds() {
    let script = Scripted::new()
        .reply(text("1", "a").up_to_date())
        .reply(events().stalled())
        .reply(events().body("event: control\ndata:{\"streamNextOffset\":\"1\",\"streamClosed\":true}\n\n"));
    let mut chunks = stream(&script).read().live(LiveMode::Sse).build().expect("valid");
    chunks.next_chunk().await.expect("reads");
    let start = tokio::time::Instant::now();
    assert!(chunks.next_chunk().await.expect("reads").expect("tells the end").stream_closed);
    assert!(start.elapsed() >= Duration::from_secs(90) && start.elapsed() < Duration::from_secs(91));
}

#[tokio::test(start_paused = true)]
async fn a_long_poll_that_stays_unanswered_is_asked_again_after_its_limit() {
    let script =
        Scripted::new().reply(text("1", "a").up_to_date()).reply(ScriptedReply::hang()).reply(text("1", "").closed());
    let mut chunks = stream(&script).read().live(LiveMode::LongPoll).build().expect("valid");
    chunks.next_chunk().await.expect("reads");
    let start = tokio::time::Instant::now();
    assert!(chunks.next_chunk().await.expect("reads").expect("tells the end").stream_closed);
    assert_eq!(start.elapsed().as_secs(), 65);
}

#[tokio::test(start_paused = true)]
async fn a_closed_iterator_says_so_and_its_stream_ends() {
    let script = Scripted::new().reply(text("1", "a"));
    let mut chunks = stream(&script).read().build().expect("valid");
    chunks.next_chunk().await.expect("reads");
    chunks.close();
    chunks.close();
    assert!(matches!(chunks.next_chunk().await, Err(StreamError::IteratorClosed)));
    assert!(chunks.next().await.is_none());
    assert_eq!(chunks.offset().as_str(), "1");
}

#[tokio::test(start_paused = true)]
async fn chunks_are_a_stream() {
    let script = Scripted::new().reply(text("1", "a")).reply(text("2", "b").up_to_date());
    let chunks: Vec<_> =
        stream(&script).read().build().expect("valid").map(|chunk| chunk.expect("reads").data).collect().await;
    assert_eq!(chunks, ["a", "b"]);
}

#[test]
fn bad_settings_are_refused_before_any_request() {
    let script = Scripted::new();
    let read = stream(&script).read();
    assert!(matches!(read.clone().header("a b", "c").build(), Err(StreamError::InvalidHeader(_))));
    for (refused, name) in [
        (read.clone().param("offset", "1").build(), "offset"),
        (read.clone().max_batch_bytes(0).build(), "max_batch_bytes"),
        (read.clone().timeout(Duration::ZERO).build(), "timeout"),
        (read.retry(RetryPolicy { multiplier: 0.5, ..RetryPolicy::DEFAULT }).build(), "multiplier"),
    ] {
        let error = refused.expect_err("refused");
        assert!(error.to_string().contains(name), "{error}");
    }
    assert!(script.requests().is_empty());
}

#[cfg(feature = "json")]
mod typed {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, PartialEq, Deserialize)]
    struct Level {
        cm: i32,
    }

    #[tokio::test(start_paused = true)]
    async fn items_carry_the_offset_that_skips_nothing() {
        let script =
            Scripted::new().reply(json("1", "[{\"cm\":1},{\"cm\":2}]")).reply(json("2", "[ {\"cm\":3} ]").up_to_date());
        let mut levels = stream(&script).read().json::<Level>().expect("valid");
        let mut taken = Vec::new();
        while let Some(item) = levels.next_item().await.expect("reads") {
            taken.push((item.value.cm, item.offset.to_string()));
            assert_eq!(levels.offset(), &item.offset);
        }
        assert_eq!(taken, [(1, "-1".to_owned()), (2, "1".to_owned()), (3, "2".to_owned())]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_message_of_another_type_is_an_error_and_the_next_one_follows() {
        let script = Scripted::new().reply(json("1", "[{\"cm\":1},\"x\",{\"cm\":3}]").up_to_date());
        let levels = stream(&script).read().json::<Level>().expect("valid");
        let taken: Vec<_> =
            levels.map(|item| item.map(|item| item.value.cm).map_err(|error| error.code())).collect().await;
        assert_eq!(taken, [Ok(1), Err(crate::ErrorCode::ParseError), Ok(3)]);
    }

    #[tokio::test(start_paused = true)]
    async fn batches_come_whole_and_empty_ones_tell_the_end() {
        let script = Scripted::new()
            .reply(json("1", "[{\"cm\":1},{\"cm\":2}]"))
            .reply(json("2", "[]"))
            .reply(json("2", "[]").closed());
        let mut levels = stream(&script).read().json::<Level>().expect("valid");
        let batch = levels.next_batch().await.expect("reads").expect("has items");
        assert_eq!((batch.items, batch.offset.as_str()), (vec![Level { cm: 1 }, Level { cm: 2 }], "1"));
        let batch = levels.next_batch().await.expect("reads").expect("tells the end");
        assert_eq!((batch.items.len(), batch.offset.as_str(), batch.stream_closed), (0, "2", true));
        assert!(levels.next_batch().await.expect("reads").is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn json_lines_of_another_content_type_are_read_as_values() {
        let script =
            Scripted::new().reply(answer("application/x-ndjson", "1", "{\"cm\":1}\n{\"cm\":2}\n").up_to_date());
        let levels = stream(&script).read().json::<Level>().expect("valid");
        let taken: Vec<_> = levels.map(|item| item.expect("reads").value.cm).collect().await;
        assert_eq!(taken, [1, 2]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_reader_is_open_with_the_head_of_its_first_answer() {
    let slow = text("2", "b").pause(Duration::from_secs(5)).body("c").up_to_date();
    let script = Scripted::new().reply(ScriptedReply::status(503)).reply(slow);
    let mut reader = stream(&script).read().reader().expect("valid");
    reader.opened().await.expect("the second answer is good");
    assert_eq!(reader.answer().expect("it is there").status, 200);
    assert_eq!(reader.offset(), &Offset::Beginning, "nothing was taken");
    reader.opened().await.expect("it still is");
    let batch = reader.next_batch().await.expect("reads").expect("a batch");
    assert_eq!((&batch.data[..], reader.offset().as_str()), (&b"bc"[..], "2"));
    assert_eq!(script.requests().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_refused_reader_does_not_open() {
    let script = Scripted::new().reply(ScriptedReply::status(404)).reply(text("2", "b").up_to_date());
    let mut reader = stream(&script).read().reader().expect("valid");
    assert_eq!(reader.opened().await.expect_err("refused").code(), crate::ErrorCode::NotFound);
    reader.opened().await.expect("it asks again");
    assert_eq!(reader.next_batch().await.expect("reads").expect("a batch").data, "b");
}

#[tokio::test(start_paused = true)]
async fn a_read_gives_sse_up_as_its_caller_says_and_tells_why() {
    let control = "event: control\ndata:{\"streamNextOffset\":\"1\",\"upToDate\":true}\n\n";
    let short = || events().body(control.as_bytes());
    let script =
        Scripted::new().reply(text("1", "a").up_to_date()).reply(short()).reply(text("2", "b").up_to_date().closed());
    let rule = SseFallback { max_short_connections: 1, ..SseFallback::DEFAULT };
    let read = stream(&script).read().live(LiveMode::Sse).sse_fallback(rule);
    let mut reader = read.reader().expect("valid");
    reader.next_batch().await.expect("reads");
    assert_eq!(reader.sse_given_up(), None);
    while reader.next_batch().await.expect("reads").is_some() {}
    assert!(reader.sse_given_up().is_some());
    assert_eq!(queries(&script), ["offset=-1", "live=sse&offset=1", "live=long-poll&offset=1"]);
}
