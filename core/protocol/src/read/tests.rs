//! The rules of the read loop, one test per fact, in virtual time.

#![expect(clippy::wildcard_enum_match_arm, reason = "a test names the one case it expects")]

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use super::*;
use crate::{
    content_type::Framing,
    response::{ReplyHead, TransportFailureKind},
    retry::RetryPolicy,
};

mod pieces;

const JSON: (&str, &str) = ("content-type", "application/json");
const TEXT: (&str, &str) = ("content-type", "text/plain");
const EVENTS: (&str, &str) = ("content-type", "text/event-stream");
const UP_TO_DATE: (&str, &str) = ("stream-up-to-date", "true");
const CLOSED: (&str, &str) = ("stream-closed", "true");

fn next(token: &'static str) -> (&'static str, &'static str) {
    ("stream-next-offset", token)
}

/// Drives a machine by hand.
struct Rig {
    machine: ReadMachine,
    now: Time,
}

impl Rig {
    fn new(options: ReadOptions) -> Self {
        Self { machine: ReadMachine::new(options, 42), now: Duration::from_secs(1000) }
    }

    fn reading(live: LiveMode) -> Self {
        Self::new(ReadOptions::new(Offset::Beginning, live))
    }

    /// A read that has one exchange at a time.
    fn from(offset: &str, live: LiveMode) -> Self {
        Self::new(ReadOptions { prefetch: false, ..ReadOptions::new(Offset::new(offset), live) })
    }

    /// A catch-up from `0` that asks ahead.
    fn prefetching() -> Self {
        Self::new(ReadOptions::new("0".into(), LiveMode::Off))
    }

    /// A live read that has caught up to offset `1` of a stream of this type.
    fn caught_up(live: LiveMode, content_type: (&str, &str)) -> Self {
        let mut rig = Self::from("0", live);
        assert_eq!(rig.sends(), "offset=0");
        let body = if content_type == JSON { "[0]" } else { "zero" };
        rig.answers(200, &[content_type, next("1"), UP_TO_DATE], body);
        assert_eq!(rig.batch().next_offset.as_str(), "1");
        rig
    }

    fn poll(&mut self) -> Step {
        self.machine.poll(self.now)
    }

    fn plan(&mut self) -> RequestPlan {
        match self.poll() {
            Step::Send(plan) => *plan,
            other => panic!("expected a request, got {other:?}"),
        }
    }

    fn sends(&mut self) -> String {
        query_of(&self.plan())
    }

    /// The next request, after a wait if there is one.
    fn sends_or_waits(&mut self) -> String {
        self.sends_after_waiting().1
    }

    /// How long the machine waits, and the request it then sends.
    fn sends_after_waiting(&mut self) -> (Duration, String) {
        match self.poll() {
            Step::Send(plan) => (Duration::ZERO, query_of(&plan)),
            Step::WaitUntil(until) => {
                let wait = until - self.now;
                self.now = until;
                (wait, self.sends())
            }
            other => panic!("expected a request, got {other:?}"),
        }
    }

    fn awaits(&mut self) {
        assert!(matches!(self.poll(), Step::AwaitReply));
    }

    fn head(&mut self, status: u16, headers: &[(&str, &str)]) {
        self.awaits();
        let headers = headers.iter().map(|(name, value)| {
            (name.parse::<HeaderName>().expect("a name"), HeaderValue::from_str(value).expect("a value"))
        });
        let head = ReplyHead {
            status: StatusCode::from_u16(status).expect("a status"),
            headers: HeaderMap::from_iter(headers),
        };
        self.machine.handle_reply_head(self.now, &head);
    }

    fn piece(&mut self, text: &str) {
        self.bytes(text.as_bytes());
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.machine.handle_body_chunk(self.now, Bytes::copy_from_slice(bytes));
    }

    fn end(&mut self) {
        self.machine.handle_body_end(self.now);
    }

    fn answers(&mut self, status: u16, headers: &[(&str, &str)], body: &str) {
        self.head(status, headers);
        if status == 200 || status >= 400 {
            self.piece(body);
            self.end();
        }
    }

    fn fails(&mut self, kind: TransportFailureKind) {
        self.awaits();
        self.machine.handle_failure(self.now, failure(kind));
    }

    fn event(&mut self) -> ReadEvent {
        match self.poll() {
            Step::Emit(event) => event,
            other => panic!("expected an event, got {other:?}"),
        }
    }

    fn batch(&mut self) -> Batch {
        match self.event() {
            ReadEvent::Batch(batch) => batch,
            other => panic!("expected a batch, got {other:?}"),
        }
    }

    /// Data, next offset, up to date, closed.
    fn takes(&mut self) -> (String, String, bool, bool) {
        let batch = self.batch();
        let data = String::from_utf8_lossy(&batch.data).into_owned();
        (data, batch.next_offset.to_string(), batch.up_to_date, batch.stream_closed)
    }

    fn failed_with(&mut self) -> ErrorCode {
        match self.event() {
            ReadEvent::Failed(failure) => failure.cause.code(),
            other => panic!("expected a failure, got {other:?}"),
        }
    }

    fn has_ended(&mut self) -> bool {
        matches!(self.poll(), Step::End)
    }
}

fn query_of(plan: &RequestPlan) -> String {
    plan.query.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join("&")
}

fn failure(kind: TransportFailureKind) -> TransportFailure {
    TransportFailure::new(kind, "test")
}

fn taken(data: &str, next_offset: &str, up_to_date: bool, closed: bool) -> (String, String, bool, bool) {
    (data.to_owned(), next_offset.to_owned(), up_to_date, closed)
}

fn control(offset: &str, rest: &str) -> String {
    format!("event: control\ndata:{{\"streamNextOffset\":\"{offset}\"{rest}}}\n\n")
}

fn data(payload: &str) -> String {
    format!("event: data\ndata:{payload}\n\n")
}

// --- catch-up ---

#[test]
fn catch_up_follows_partial_answers_and_ends_up_to_date() {
    let mut rig = Rig::from("-1", LiveMode::Off);
    assert_eq!(rig.sends(), "offset=-1");
    rig.answers(200, &[TEXT, next("05")], "hello");
    assert_eq!(rig.takes(), taken("hello", "05", false, false));
    assert_eq!(rig.sends(), "offset=05");
    rig.answers(200, &[TEXT, next("11"), UP_TO_DATE], " world");
    assert_eq!(rig.takes(), taken(" world", "11", true, false));
    assert!(rig.has_ended());
}

#[test]
fn up_to_date_with_any_value_counts_as_set() {
    let mut rig = Rig::reading(LiveMode::Off);
    rig.sends();
    rig.answers(200, &[TEXT, next("5"), ("stream-up-to-date", "false")], "hello");
    assert!(rig.batch().up_to_date);
    assert!(rig.has_ended());
}

#[test]
fn a_closed_stream_ends_the_read_after_its_data() {
    let mut rig = Rig::reading(LiveMode::LongPoll);
    rig.sends();
    rig.answers(200, &[TEXT, next("5"), ("stream-closed", "TRUE")], "bye");
    assert_eq!(rig.takes(), taken("bye", "5", true, true));
    assert!(rig.has_ended());
    assert!(rig.has_ended());
}

#[test]
fn a_catch_up_that_goes_nowhere_is_an_error_not_a_loop() {
    let mut rig = Rig::from("5", LiveMode::Off);
    rig.sends();
    rig.answers(200, &[TEXT, next("5")], "");
    assert_eq!(rig.failed_with(), ErrorCode::ParseError);
}

#[test]
fn reading_now_without_live_tells_the_tail_and_ends() {
    let mut rig = Rig::from("now", LiveMode::Off);
    assert_eq!(rig.sends(), "offset=now");
    rig.answers(200, &[JSON, next("9"), UP_TO_DATE], "[]");
    let batch = rig.batch();
    assert!(batch.is_empty && batch.is_json);
    assert_eq!(batch.next_offset.as_str(), "9");
    assert!(rig.has_ended());
}

#[test]
fn an_empty_json_batch_moves_the_offset_only() {
    let mut rig = Rig::from("5", LiveMode::Off);
    rig.sends();
    rig.answers(200, &[JSON, next("6")], "[]");
    let batch = rig.batch();
    assert!(batch.is_empty);
    assert_eq!(rig.sends(), "offset=6");
}

#[test]
fn not_modified_keeps_the_offset_and_counts_as_up_to_date() {
    let options = ReadOptions { etag: Some("\"a:5:9\"".into()), ..ReadOptions::new("5".into(), LiveMode::LongPoll) };
    let mut rig = Rig::new(options);
    let plan = rig.plan();
    assert_eq!(plan.headers.get("if-none-match"), Some(&HeaderValue::from_static("\"a:5:9\"")));
    rig.answers(304, &[next("9"), UP_TO_DATE], "");
    assert_eq!(rig.takes(), taken("", "5", true, false));
    let plan = rig.plan();
    assert_eq!(query_of(&plan), "live=long-poll&offset=5");
    assert!(!plan.headers.contains_key("if-none-match"));
}

#[test]
fn truncated_json_is_a_parse_error_and_the_next_call_reads_again() {
    let mut rig = Rig::from("5", LiveMode::Off);
    for body in ["[{\"a\":1},{\"b\"", "", "[1]]"] {
        rig.now += Duration::from_secs(60);
        assert_eq!(rig.sends(), "offset=5");
        rig.answers(200, &[JSON, next("9"), UP_TO_DATE], body);
        assert_eq!(rig.failed_with(), ErrorCode::ParseError, "{body}");
        assert_eq!(rig.machine.offset().as_str(), "5");
    }
    rig.now += Duration::from_secs(60);
    rig.sends();
    rig.answers(200, &[JSON, next("9"), UP_TO_DATE], "[1]");
    assert_eq!(rig.takes(), taken("[1]", "9", true, false));
}

#[test]
fn the_same_body_is_no_error_on_a_byte_stream() {
    let mut rig = Rig::from("5", LiveMode::Off);
    rig.sends();
    rig.answers(200, &[("content-type", "application/ndjson"), next("9"), UP_TO_DATE], "[1");
    assert_eq!(rig.takes(), taken("[1", "9", true, false));
}

#[test]
fn a_missing_next_offset_is_a_parse_error() {
    for header in [("x", "y"), next(""), next("now")] {
        let mut rig = Rig::reading(LiveMode::Off);
        rig.sends();
        rig.answers(200, &[TEXT, header, UP_TO_DATE], "data");
        assert_eq!(rig.failed_with(), ErrorCode::ParseError, "{header:?}");
    }
}

#[test]
fn an_offset_that_goes_backwards_is_asked_again_past_caches_then_its_own_error() {
    let mut rig = Rig::from("5", LiveMode::Off);
    rig.sends();
    rig.answers(200, &[TEXT, next("4"), UP_TO_DATE], "stale");
    let plan = rig.plan();
    assert!(query_of(&plan).starts_with("cache-buster=") && query_of(&plan).ends_with("&offset=5"));
    assert_eq!(plan.headers.get("cache-control"), Some(&HeaderValue::from_static("no-cache")));
    rig.answers(200, &[TEXT, next("-1"), UP_TO_DATE], "stale");
    assert_eq!(rig.failed_with(), ErrorCode::OffsetWentBackwards);
    assert_eq!(rig.machine.offset().as_str(), "5");
}

// --- one answer ahead ---

#[test]
fn the_next_part_is_asked_for_while_the_current_one_is_coming() {
    let mut rig = Rig::prefetching();
    rig.sends();
    rig.head(200, &[TEXT, next("5")]);
    let Step::SendAhead(plan) = rig.poll() else { panic!("expected a second request") };
    assert_eq!(query_of(&plan), "offset=5");
    rig.awaits();
    rig.piece("hello");
    rig.end();
    assert_eq!(rig.takes(), taken("hello", "5", false, false));
    rig.answers(200, &[TEXT, next("9"), UP_TO_DATE], "last");
    assert_eq!(rig.takes(), taken("last", "9", true, false));
    assert!(rig.has_ended());
}

#[test]
fn the_request_ahead_leaves_when_the_rest_takes_no_longer_than_an_answer() {
    let mut rig = Rig::prefetching();
    rig.sends();
    rig.now += Duration::from_millis(10);
    rig.head(200, &[TEXT, next("5"), ("content-length", "1000")]);
    // 100 bytes in 10 ms; an answer takes 10 ms to begin, so 200 bytes are worth the wait.
    for _ in 0..7 {
        rig.awaits();
        rig.now += Duration::from_millis(10);
        rig.piece(&"x".repeat(100));
    }
    rig.awaits();
    rig.now += Duration::from_millis(10);
    rig.piece(&"x".repeat(100));
    assert!(matches!(rig.poll(), Step::SendAhead(_)));
    rig.awaits();
}

#[test]
fn the_next_part_is_asked_for_before_the_caller_gets_the_current_one() {
    let mut rig = Rig::prefetching();
    rig.sends();
    rig.head(200, &[TEXT, next("5"), ("content-length", "5")]);
    rig.awaits();
    rig.piece("hello");
    rig.end();
    let Step::SendAhead(plan) = rig.poll() else { panic!("expected a second request") };
    assert_eq!(query_of(&plan), "offset=5");
    assert_eq!(rig.takes(), taken("hello", "5", false, false));
    rig.answers(200, &[TEXT, next("9"), UP_TO_DATE], "last");
    assert_eq!(rig.takes(), taken("last", "9", true, false));
}

#[test]
fn a_failed_part_voids_the_request_ahead() {
    let mut rig = Rig::prefetching();
    rig.sends();
    rig.head(200, &[TEXT, next("5")]);
    assert!(matches!(rig.poll(), Step::SendAhead(_)));
    rig.fails(TransportFailureKind::Broken);
    assert_eq!(rig.sends_after_waiting().1, "offset=0");
}

#[test]
fn nothing_is_asked_ahead_of_the_last_part_or_when_live() {
    let mut rig = Rig::prefetching();
    rig.sends();
    rig.head(200, &[TEXT, next("5"), UP_TO_DATE]);
    rig.awaits();
    let mut rig = Rig::new(ReadOptions::new("0".into(), LiveMode::LongPoll));
    rig.sends();
    rig.head(200, &[TEXT, next("5")]);
    rig.awaits();
}

// --- long-poll ---

#[test]
fn a_live_read_catches_up_without_live_and_then_waits() {
    let mut rig = Rig::from("0", LiveMode::LongPoll);
    assert_eq!(rig.sends(), "offset=0");
    rig.answers(200, &[TEXT, next("1"), ("stream-cursor", "77")], "a");
    rig.batch();
    assert_eq!(rig.sends(), "offset=1");
    rig.answers(200, &[TEXT, next("2"), UP_TO_DATE], "b");
    rig.batch();
    let plan = rig.plan();
    assert_eq!(query_of(&plan), "cursor=77&live=long-poll&offset=2");
    assert_eq!(plan.timeout, crate::request::TimeoutClass::LongPoll);
}

#[test]
fn now_goes_straight_to_the_live_request() {
    assert_eq!(Rig::from("now", LiveMode::LongPoll).sends(), "live=long-poll&offset=now");
    assert_eq!(Rig::from("now", LiveMode::Sse).sends(), "live=sse&offset=now");
    assert_eq!(Rig::from("now", LiveMode::Auto).sends(), "live=long-poll&offset=now");
}

#[test]
fn now_is_settled_first_when_the_caller_wants_an_answer_at_once() {
    let options = ReadOptions { settle_now: true, ..ReadOptions::new(Offset::Now, LiveMode::Auto) };
    let mut rig = Rig::new(options);
    assert_eq!(rig.sends(), "offset=now");
    rig.answers(200, &[TEXT, next("3"), UP_TO_DATE], "");
    rig.batch();
    assert_eq!(rig.sends(), "live=sse&offset=3");
    let mut elsewhere = Rig::new(ReadOptions { settle_now: true, ..ReadOptions::new("5".into(), LiveMode::Sse) });
    assert_eq!(elsewhere.sends(), "offset=5");
}

#[test]
fn no_content_updates_offset_and_cursor_and_is_no_end() {
    let mut rig = Rig::from("now", LiveMode::LongPoll);
    rig.sends();
    rig.now += Duration::from_secs(30);
    rig.answers(204, &[next("7"), UP_TO_DATE, ("stream-cursor", "12")], "");
    let batch = rig.batch();
    assert_eq!((batch.status, batch.is_empty, batch.next_offset.as_str()), (204, true, "7"));
    assert_eq!(rig.sends(), "cursor=12&live=long-poll&offset=7");
    rig.now += Duration::from_secs(30);
    rig.answers(204, &[next("7"), UP_TO_DATE], "");
    rig.batch();
    // An absent cursor keeps the old one.
    assert_eq!(rig.sends(), "cursor=12&live=long-poll&offset=7");
}

#[test]
fn no_content_on_a_closed_stream_ends_the_read() {
    let mut rig = Rig::caught_up(LiveMode::LongPoll, TEXT);
    rig.sends();
    rig.answers(204, &[next("1"), UP_TO_DATE, CLOSED], "");
    assert_eq!(rig.takes(), taken("", "1", true, true));
    assert!(rig.has_ended());
}

#[test]
fn an_answer_that_is_not_up_to_date_goes_back_to_catch_up() {
    let mut rig = Rig::caught_up(LiveMode::LongPoll, TEXT);
    assert_eq!(rig.sends(), "live=long-poll&offset=1");
    rig.answers(200, &[TEXT, next("2"), ("stream-cursor", "5")], "b");
    rig.batch();
    assert_eq!(rig.sends(), "offset=2");
}

#[test]
fn a_client_side_timeout_of_a_wait_is_no_failure() {
    let mut rig = Rig::caught_up(LiveMode::LongPoll, TEXT);
    for _ in 0..50 {
        assert_eq!(rig.sends(), "live=long-poll&offset=1");
        rig.now += Duration::from_secs(65);
        rig.fails(TransportFailureKind::Timeout);
    }
}

#[test]
fn a_wait_at_now_that_timed_out_settles_the_tail_first() {
    let mut rig = Rig::from("now", LiveMode::LongPoll);
    rig.sends();
    rig.now += Duration::from_secs(65);
    rig.fails(TransportFailureKind::Timeout);
    assert_eq!(rig.sends(), "offset=now");
    rig.answers(200, &[TEXT, next("3"), UP_TO_DATE], "");
    rig.batch();
    assert_eq!(rig.sends(), "live=long-poll&offset=3");
}

#[test]
fn waits_that_return_at_once_are_slowed_down() {
    let mut rig = Rig::caught_up(LiveMode::LongPoll, TEXT);
    let mut pauses = 0;
    for _ in 0..20 {
        if let Step::WaitUntil(until) = rig.machine.poll(rig.now) {
            pauses += 1;
            rig.now = until;
        } else {
            // The poll above sent the request.
            rig.answers(204, &[next("1"), UP_TO_DATE], "");
            rig.batch();
        }
    }
    assert!(pauses >= 5, "{pauses}");
}

#[test]
fn data_that_leaves_the_offset_is_not_delivered_twice() {
    let mut rig = Rig::caught_up(LiveMode::LongPoll, TEXT);
    rig.sends();
    rig.answers(200, &[TEXT, next("1"), UP_TO_DATE], "again");
    let plan = rig.plan();
    assert!(plan.headers.contains_key("cache-control"));
    rig.answers(200, &[TEXT, next("1"), UP_TO_DATE], "again");
    assert_eq!(rig.failed_with(), ErrorCode::ParseError);
}

// --- SSE ---

#[test]
fn sse_data_is_handed_out_with_the_control_event_after_it() {
    let mut rig = Rig::caught_up(LiveMode::Sse, TEXT);
    let plan = rig.plan();
    assert_eq!(query_of(&plan), "live=sse&offset=1");
    assert_eq!(plan.timeout, crate::request::TimeoutClass::Streaming);
    rig.head(200, &[EVENTS]);
    rig.piece(&control("1", r#","streamCursor":"8","upToDate":true"#));
    assert_eq!(rig.takes(), taken("", "1", true, false));
    rig.piece(&data("a"));
    rig.awaits();
    rig.piece(&control("2", r#","streamCursor":"9","upToDate":true"#));
    assert_eq!(rig.takes(), taken("a", "2", true, false));
    rig.awaits();
    rig.end();
    assert_eq!(rig.sends(), "cursor=9&live=sse&offset=2");
}

#[test]
fn unconfirmed_sse_data_is_dropped_with_its_connection_and_read_again() {
    let mut rig = Rig::caught_up(LiveMode::Sse, TEXT);
    for broken in [false, true] {
        assert!(rig.sends_or_waits().ends_with("live=sse&offset=1"));
        rig.head(200, &[EVENTS]);
        rig.piece(&data("a"));
        if broken {
            rig.fails(TransportFailureKind::Broken);
        } else {
            rig.end();
        }
    }
    assert!(rig.sends_or_waits().ends_with("live=sse&offset=1"));
    rig.head(200, &[EVENTS]);
    rig.piece(&(data("a") + &control("2", "")));
    assert_eq!(rig.takes(), taken("a", "2", false, false));
    rig.awaits();
}

#[test]
fn the_closing_control_event_ends_the_read() {
    let mut rig = Rig::caught_up(LiveMode::Sse, JSON);
    rig.sends();
    rig.head(200, &[EVENTS]);
    rig.piece(&(data("[1]") + &data("[2]") + &control("2", r#","streamClosed":true"#)));
    assert_eq!(rig.takes(), taken("[1,2]", "2", true, true));
    assert!(rig.has_ended());
}

#[test]
fn a_malformed_control_event_is_a_parse_error_and_the_next_call_reconnects() {
    for text in ["event: control\ndata: {invalid json here\n\n", "event: control\ndata: \n\n"] {
        let mut rig = Rig::caught_up(LiveMode::Sse, TEXT);
        rig.sends();
        rig.head(200, &[EVENTS]);
        rig.piece(&(data("a") + text));
        assert_eq!(rig.failed_with(), ErrorCode::ParseError);
        assert_eq!(rig.sends(), "live=sse&offset=1");
    }
}

#[test]
fn units_before_a_malformed_event_are_delivered_first() {
    let mut rig = Rig::caught_up(LiveMode::Sse, TEXT);
    rig.sends();
    rig.head(200, &[EVENTS]);
    rig.piece(&(data("a") + &control("2", "") + "event: control\n\n"));
    assert_eq!(rig.takes(), taken("a", "2", false, false));
    assert_eq!(rig.failed_with(), ErrorCode::ParseError);
}

#[test]
fn base64_follows_the_header_of_each_answer() {
    let mut rig = Rig::from("now", LiveMode::Sse);
    rig.sends();
    rig.head(200, &[EVENTS, ("stream-sse-data-encoding", "Base64")]);
    rig.piece(&(data("AAEC") + &control("2", r#","upToDate":true"#)));
    assert_eq!(rig.batch().data, vec![0, 1, 2]);
    rig.end();
    assert_eq!(rig.sends(), "live=sse&offset=2");
    rig.head(200, &[EVENTS]);
    rig.piece(&(data("AAEC") + &control("3", r#","upToDate":true"#)));
    assert_eq!(rig.batch().data, "AAEC");
}

#[test]
fn a_healthy_connection_is_followed_by_the_next_at_once() {
    let mut rig = Rig::caught_up(LiveMode::Sse, TEXT);
    for kind in [None, Some(TransportFailureKind::Broken), Some(TransportFailureKind::Timeout)] {
        rig.sends();
        rig.head(200, &[EVENTS]);
        rig.now += Duration::from_secs(60);
        match kind {
            None => rig.end(),
            Some(kind) => rig.fails(kind),
        }
    }
    assert_eq!(rig.sends(), "live=sse&offset=1");
}

#[test]
fn three_short_connections_without_progress_fall_back_to_long_poll_for_good() {
    let mut rig = Rig::caught_up(LiveMode::Sse, TEXT);
    for _ in 0..3 {
        assert_eq!(rig.sends_or_waits(), "live=sse&offset=1");
        rig.head(200, &[EVENTS]);
        rig.piece(&control("1", r#","upToDate":true"#));
        rig.batch();
        rig.end();
    }
    assert!(matches!(rig.event(), ReadEvent::Notice(Notice::SseGivenUp { .. })));
    assert_eq!(rig.sends(), "live=long-poll&offset=1");
    rig.answers(200, &[TEXT, next("2"), UP_TO_DATE], "b");
    rig.batch();
    assert_eq!(rig.sends(), "live=long-poll&offset=2");
}

#[test]
fn short_connections_that_deliver_are_healthy() {
    let mut rig = Rig::caught_up(LiveMode::Sse, TEXT);
    for offset in ["2", "3", "4", "5", "6"] {
        assert!(rig.sends().starts_with("live=sse"));
        rig.head(200, &[EVENTS]);
        rig.piece(&(data("x") + &control(offset, r#","upToDate":true"#)));
        rig.batch();
        rig.end();
    }
}

#[test]
fn an_answer_that_is_no_event_stream_falls_back_to_long_poll() {
    for (status, headers) in [(200, vec![TEXT, next("1")]), (405, vec![]), (406, vec![]), (501, vec![])] {
        let mut rig = Rig::caught_up(LiveMode::Sse, TEXT);
        rig.sends();
        rig.head(status, &headers);
        assert!(matches!(rig.event(), ReadEvent::Notice(_)), "{status}");
        assert_eq!(rig.sends(), "live=long-poll&offset=1");
    }
}

#[test]
fn auto_chooses_by_content_type() {
    for (content_type, live) in [
        (TEXT, "sse"),
        (JSON, "sse"),
        (("content-type", "application/octet-stream"), "long-poll"),
        (("content-type", "application/ndjson"), "long-poll"),
    ] {
        assert_eq!(Rig::caught_up(LiveMode::Auto, content_type).sends(), format!("live={live}&offset=1"));
    }
    let options = ReadOptions { framing: Some(Framing::Json), ..ReadOptions::new(Offset::Now, LiveMode::Auto) };
    assert_eq!(Rig::new(options).sends(), "live=sse&offset=now");
}

#[test]
fn an_sse_offset_that_goes_backwards_is_an_error() {
    let mut rig = Rig::caught_up(LiveMode::Sse, TEXT);
    for _ in 0..2 {
        assert!(rig.sends_or_waits().ends_with("live=sse&offset=1"));
        rig.head(200, &[EVENTS]);
        rig.piece(&(data("x") + &control("0", "")));
    }
    assert_eq!(rig.failed_with(), ErrorCode::OffsetWentBackwards);
}

// --- failures ---

#[test]
fn transient_failures_of_a_catch_up_are_repeated_a_bounded_number_of_times() {
    for attempt in [
        |rig: &mut Rig| rig.answers(500, &[], "oops"),
        |rig: &mut Rig| rig.answers(503, &[], ""),
        |rig: &mut Rig| rig.fails(TransportFailureKind::Connect),
        |rig: &mut Rig| rig.fails(TransportFailureKind::Timeout),
    ] {
        let mut rig = Rig::from("5", LiveMode::LongPoll);
        rig.sends();
        for _ in 0..RetryPolicy::DEFAULT.max_retries {
            attempt(&mut rig);
            assert_eq!(rig.sends_after_waiting().1, "offset=5");
        }
        attempt(&mut rig);
        assert!(matches!(rig.event(), ReadEvent::Failed(_)));
    }
}

#[test]
fn final_refusals_are_reported_at_once_with_the_servers_words() {
    for (status, code) in [
        (400, ErrorCode::InvalidOffset),
        (401, ErrorCode::Unauthorized),
        (403, ErrorCode::Forbidden),
        (404, ErrorCode::NotFound),
        (410, ErrorCode::Gone),
    ] {
        let mut rig = Rig::from("5", LiveMode::LongPoll);
        rig.sends();
        rig.answers(status, &[], "because");
        let ReadEvent::Failed(failure) = rig.event() else { panic!("expected a failure") };
        let FailureCause::Refused { refusal, server_text, .. } = failure.cause else { panic!("expected a refusal") };
        assert_eq!((refusal.code, refusal.facts.status, failure.attempts), (code, Some(status), 1));
        assert_eq!(server_text, "because");
    }
}

#[test]
fn a_refusal_is_known_by_its_head_when_its_body_breaks_or_never_ends() {
    let mut rig = Rig::reading(LiveMode::Off);
    rig.sends();
    rig.head(404, &[]);
    rig.fails(TransportFailureKind::Broken);
    assert_eq!(rig.failed_with(), ErrorCode::NotFound);
    let mut rig = Rig::reading(LiveMode::Off);
    rig.sends();
    rig.head(404, &[]);
    rig.piece(&"x".repeat(700));
    rig.piece(&"x".repeat(700));
    assert_eq!(rig.failed_with(), ErrorCode::NotFound);
}

#[test]
fn retry_after_is_the_least_wait() {
    for status in [429, 503] {
        let mut rig = Rig::from("5", LiveMode::Off);
        rig.sends();
        rig.answers(status, &[("retry-after", "7")], "");
        let Step::WaitUntil(until) = rig.poll() else { panic!("expected a wait") };
        assert!(until >= rig.now + Duration::from_secs(7));
    }
}

#[test]
fn a_live_read_that_succeeded_once_is_repeated_without_limit() {
    let mut rig = Rig::caught_up(LiveMode::LongPoll, TEXT);
    rig.sends();
    for _ in 0..30 {
        rig.answers(500, &[], "");
        assert_eq!(rig.sends_after_waiting().1, "live=long-poll&offset=1");
    }
}

#[test]
fn the_retry_budget_is_not_refilled_by_answers_without_progress() {
    let mut rig = Rig::from("5", LiveMode::Off);
    rig.sends();
    for _ in 0..RetryPolicy::DEFAULT.max_retries {
        // The server answers, and hangs up in the middle of the body.
        rig.head(200, &[TEXT, next("9")]);
        rig.fails(TransportFailureKind::Broken);
        rig.sends_after_waiting();
    }
    rig.head(200, &[TEXT, next("9")]);
    rig.fails(TransportFailureKind::Broken);
    assert_eq!(rig.failed_with(), ErrorCode::NetworkError);
}

#[test]
fn progress_refills_the_retry_budget() {
    let mut rig = Rig::from("0", LiveMode::Off);
    rig.sends();
    for offset in ["1", "2", "3", "4", "5", "6"] {
        rig.fails(TransportFailureKind::Broken);
        rig.sends_after_waiting();
        rig.head(200, &[TEXT, next(offset)]);
        rig.piece("x");
        rig.end();
        rig.batch();
        rig.sends();
    }
}

#[test]
fn a_caller_that_ignores_failures_does_not_hammer_the_server() {
    let mut rig = Rig::from("5", LiveMode::Off);
    rig.sends();
    let mut waited = Duration::ZERO;
    for round in 0..12 {
        rig.answers(404, &[], "");
        assert_eq!(rig.failed_with(), ErrorCode::NotFound);
        if round == 0 {
            rig.sends();
        } else {
            waited += rig.sends_after_waiting().0;
        }
    }
    assert!(waited > Duration::from_secs(5), "{waited:?}");
}

#[test]
fn cancel_ends_the_read_in_every_state() {
    let states: [fn(&mut Rig); 5] = [
        |_| {},
        |rig| drop(rig.sends()),
        |rig| {
            rig.sends();
            rig.head(200, &[TEXT, next("9")]);
        },
        |rig| {
            rig.sends();
            rig.answers(200, &[TEXT, next("9")], "x");
        },
        |rig| {
            rig.sends();
            rig.fails(TransportFailureKind::Broken);
        },
    ];
    for reach in states {
        let mut rig = Rig::from("5", LiveMode::LongPoll);
        reach(&mut rig);
        rig.machine.cancel();
        assert!(rig.has_ended());
    }
}

#[test]
fn the_same_inputs_give_the_same_waits() {
    let waits = || {
        let mut rig = Rig::caught_up(LiveMode::LongPoll, TEXT);
        rig.sends();
        (0..10)
            .map(|_| {
                rig.answers(500, &[], "");
                rig.sends_after_waiting().0
            })
            .collect::<Vec<_>>()
    };
    assert_eq!(waits(), waits());
}
