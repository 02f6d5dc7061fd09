//! The table of protocol.md §20, row by row, in virtual time.
#![allow(clippy::wildcard_enum_match_arm, reason = "a test names the one variant it expects")]

use http::{HeaderMap, HeaderName, StatusCode};

use std::ops::Range;

use super::*;
use crate::headers;

mod life;

const START: Time = Time::from_secs(1000);

fn options() -> WindowOptions {
    WindowOptions {
        producer_id: HeaderValue::from_static("writer"),
        epoch: 0,
        auto_claim: false,
        max_in_flight: 5,
        content_type: "text/plain".to_owned(),
        retry: DEFAULT_RETRY,
        seed: 7,
    }
}

fn claiming() -> WindowOptions {
    WindowOptions { auto_claim: true, ..options() }
}

/// A window with `count` batches sealed, named by their numbers.
fn window(options: WindowOptions, count: u64) -> ProducerWindow {
    let mut window = ProducerWindow::new(options);
    for number in 0..count {
        assert_eq!(seal(&mut window, &number.to_string()), Ok(number));
    }
    window
}

fn seal(window: &mut ProducerWindow, body: &str) -> Result<u64, Arc<Failure>> {
    window.seal(Bytes::copy_from_slice(body.as_bytes()), 1)
}

/// The next request; its tuple, body and attempt.
fn sent(window: &mut ProducerWindow, now: Time) -> (u64, u64, String, u64) {
    match window.poll(now) {
        Step::Send(send) => {
            let text = |name: &HeaderName| headers::integer(&send.plan.headers, name).expect("a producer header");
            assert_eq!(send.plan.headers[headers::PRODUCER_ID], "writer");
            assert_eq!(
                (send.state.epoch, send.state.seq),
                (text(&headers::PRODUCER_EPOCH), text(&headers::PRODUCER_SEQ))
            );
            let body = String::from_utf8(send.plan.body.to_vec()).expect("text");
            (send.state.epoch, send.state.seq, body, send.attempt)
        }
        other => panic!("expected a request, got {other:?}"),
    }
}

/// The attempts of the next requests, which carry seqs `seqs` in order.
fn attempts(window: &mut ProducerWindow, seqs: Range<u64>) -> Vec<u64> {
    seqs.map(|expected| {
        let (_, seq, _, attempt) = sent(window, START);
        assert_eq!(seq, expected);
        attempt
    })
    .collect()
}

fn head(status: u16, fields: &[(HeaderName, &str)]) -> ReplyHead {
    let mut map = HeaderMap::new();
    for (name, value) in fields {
        map.insert(name.clone(), HeaderValue::from_str(value).expect("a header value"));
    }
    ReplyHead { status: StatusCode::from_u16(status).expect("a status"), headers: map }
}

fn ok(offset: &str) -> ReplyHead {
    head(200, &[(headers::STREAM_NEXT_OFFSET, offset)])
}

fn gap(expected: u64) -> ReplyHead {
    head(409, &[(headers::PRODUCER_EXPECTED_SEQ, &expected.to_string())])
}

fn stale(epoch: u64) -> ReplyHead {
    head(403, &[(headers::PRODUCER_EPOCH, &epoch.to_string())])
}

fn event(window: &mut ProducerWindow) -> Event {
    match window.poll(START) {
        Step::Emit(event) => event,
        other => panic!("expected an event, got {other:?}"),
    }
}

fn acknowledged(window: &mut ProducerWindow) -> (u64, Option<Offset>, bool) {
    match event(window) {
        Event::Acknowledged { batch, offset, is_duplicate, .. } => (batch, offset, is_duplicate),
        other => panic!("expected an acknowledgement, got {other:?}"),
    }
}

fn failed(window: &mut ProducerWindow) -> (Range<u64>, Arc<Failure>) {
    match event(window) {
        Event::Failed { batches, failure, .. } => (batches, failure),
        other => panic!("expected a failure, got {other:?}"),
    }
}

fn waits(window: &mut ProducerWindow) {
    assert!(matches!(window.poll(START), Step::AwaitReply));
}

#[test]
fn at_most_max_in_flight_batches_are_under_way() {
    let mut window = window(options(), 7);
    let attempts = attempts(&mut window, 0..5);
    waits(&mut window);
    window.handle_reply(START, attempts[0], &ok("a"), None);
    assert_eq!(acknowledged(&mut window), (0, Some(Offset::new("a")), false));
    assert_eq!(sent(&mut window, START).1, 5);
    waits(&mut window);
}

#[test]
fn a_204_is_success_and_a_duplicate_even_without_offset() {
    let mut window = window(options(), 1);
    let attempts = attempts(&mut window, 0..1);
    window.handle_reply(START, attempts[0], &head(204, &[]), None);
    assert_eq!(acknowledged(&mut window), (0, None, true));
    assert_eq!(window.settled_below(), 1);
}

#[test]
fn retries_repeat_tuple_and_body_after_a_growing_wait() {
    let mut window = window(options(), 1);
    let mut now = START;
    for tries in 0..10 {
        let (epoch, seq, body, attempt) = sent(&mut window, now);
        assert_eq!((epoch, seq, body.as_str()), (0, 0, "0"));
        let end = TransportFailure::new(TransportFailureKind::Broken, "connection reset");
        window.handle_failure(now, attempt, &end);
        if tries < 9 {
            let Step::WaitUntil(deadline) = window.poll(now) else { panic!("a wait after try {tries}") };
            assert!(deadline - now <= DEFAULT_RETRY.initial_delay * 2_u32.pow(tries));
            now = deadline;
        }
    }
    let (batches, failure) = failed(&mut window);
    assert_eq!((batches, failure.code, failure.tries), (0..1, ErrorCode::NetworkError, 10));
}

#[test]
fn retry_after_is_the_least_wait() {
    let mut window = window(options(), 1);
    let attempts = attempts(&mut window, 0..1);
    window.handle_reply(START, attempts[0], &head(503, &[(http::header::RETRY_AFTER, "40")]), None);
    let Step::WaitUntil(deadline) = window.poll(START) else { panic!("a wait") };
    assert_eq!(deadline, START + Time::from_secs(40));
}

#[test]
fn an_early_batch_waits_for_the_lower_ones_and_is_sent_again() {
    let mut window = window(options(), 3);
    let attempts = attempts(&mut window, 0..3);
    window.handle_reply(START, attempts[2], &gap(0), None);
    waits(&mut window);
    window.handle_reply(START, attempts[1], &gap(0), None);
    waits(&mut window);
    window.handle_reply(START, attempts[0], &ok("a"), None);
    acknowledged(&mut window);
    let (_, seq, body, second) = sent(&mut window, START);
    assert_eq!((seq, body.as_str()), (1, "1"));
    waits(&mut window);
    window.handle_reply(START, second, &ok("b"), None);
    acknowledged(&mut window);
    assert_eq!(sent(&mut window, START).1, 2);
}

#[test]
fn lower_batches_acknowledged_meanwhile_need_no_wait() {
    let mut window = window(options(), 2);
    let attempts = attempts(&mut window, 0..2);
    window.handle_reply(START, attempts[0], &ok("a"), None);
    acknowledged(&mut window);
    window.handle_reply(START, attempts[1], &gap(0), None);
    assert_eq!(sent(&mut window, START).1, 1);
}

#[test]
fn a_gap_below_what_was_acknowledged_before_sending_is_lost_state() {
    let mut window = window(options(), 1);
    let first = attempts(&mut window, 0..1);
    window.handle_reply(START, first[0], &ok("a"), None);
    acknowledged(&mut window);
    seal(&mut window, "1").expect("open");
    let second = attempts(&mut window, 1..2);
    window.handle_reply(START, second[0], &gap(0), None);
    let (batches, failure) = failed(&mut window);
    assert_eq!((batches, failure.code), (1..2, ErrorCode::SequenceGap));
    assert_eq!((failure.facts.expected_seq, failure.facts.received_seq), (Some(0), Some(1)));
}

#[test]
fn a_gap_at_a_batch_acknowledged_out_of_order_before_sending_is_lost_state() {
    let mut window = window(options(), 2);
    let early = attempts(&mut window, 0..2);
    window.handle_reply(START, early[1], &ok("b"), None);
    acknowledged(&mut window);
    seal(&mut window, "2").expect("open");
    let late = attempts(&mut window, 2..3);
    window.handle_reply(START, late[0], &gap(1), None);
    let (batches, failure) = failed(&mut window);
    assert_eq!((batches, failure.code), (2..3, ErrorCode::SequenceGap));
    window.handle_reply(START, early[0], &ok("a"), None);
    assert_eq!(acknowledged(&mut window).0, 0);
}

#[test]
fn a_gap_at_or_above_the_own_seq_is_a_protocol_fault() {
    for expected in [0, 1] {
        let mut window = window(options(), 1);
        let attempts = attempts(&mut window, 0..1);
        window.handle_reply(START, attempts[0], &gap(expected), None);
        assert_eq!(failed(&mut window).1.code, ErrorCode::SequenceGap);
    }
}

#[test]
fn a_failed_batch_fails_all_later_ones_but_not_the_lower_ones() {
    let mut window = window(options(), 7);
    let attempts = attempts(&mut window, 0..5);
    window.handle_reply(START, attempts[2], &head(413, &[]), None);
    let (batches, failure) = failed(&mut window);
    assert_eq!((batches, failure.code), (2..7, ErrorCode::PayloadTooLarge));
    window.handle_reply(START, attempts[3], &ok("ignored"), None);
    window.handle_reply(START, attempts[1], &ok("b"), None);
    assert_eq!(acknowledged(&mut window).0, 1);
    assert_eq!(window.settled_below(), 0);
    window.handle_reply(START, attempts[0], &ok("a"), None);
    assert_eq!(acknowledged(&mut window).0, 0);
    assert_eq!(window.settled_below(), 7);
    assert!(matches!(window.poll(START), Step::End));
    assert_eq!(seal(&mut window, "x").expect_err("failed").code, ErrorCode::PayloadTooLarge);
}

#[test]
fn the_acknowledged_offset_never_goes_back() {
    let mut window = window(options(), 2);
    let attempts = attempts(&mut window, 0..2);
    window.handle_reply(START, attempts[1], &ok("0002"), None);
    window.handle_reply(START, attempts[0], &ok("0001"), None);
    assert_eq!(window.acknowledged_offset(), Some(&Offset::new("0002")));
}

#[test]
fn a_stale_epoch_without_auto_claim_fails_everything() {
    let mut window = window(options(), 8);
    let attempts = attempts(&mut window, 0..5);
    window.handle_reply(START, attempts[1], &head(500, &[]), None);
    window.handle_reply(START, attempts[3], &stale(4), None);
    let (batches, failure) = failed(&mut window);
    assert_eq!((batches, failure.code, failure.facts.current_epoch), (1..8, ErrorCode::StaleEpoch, Some(4)));
    window.handle_reply(START, attempts[0], &stale(4), None);
    assert_eq!(failed(&mut window).0, 0..8);
    assert_eq!(window.settled_below(), 8);
    assert_eq!(window.state(), WindowState::Failed);
}

#[test]
fn a_403_without_epoch_is_forbidden_and_never_claims() {
    let mut window = window(claiming(), 1);
    let attempts = attempts(&mut window, 0..1);
    window.handle_reply(START, attempts[0], &head(403, &[]), None);
    assert_eq!(failed(&mut window).1.code, ErrorCode::Forbidden);
}

#[test]
fn a_403_with_an_unreadable_epoch_is_not_claimed() {
    let mut window = window(claiming(), 1);
    let attempts = attempts(&mut window, 0..1);
    window.handle_reply(START, attempts[0], &head(403, &[(headers::PRODUCER_EPOCH, "soon")]), None);
    assert_eq!(failed(&mut window).1.code, ErrorCode::StaleEpoch);
}

#[test]
fn claiming_sends_one_batch_at_a_time_until_the_first_success() {
    let mut window = window(claiming(), 3);
    assert_eq!(window.state(), WindowState::Claiming);
    let first = attempts(&mut window, 0..1);
    waits(&mut window);
    window.handle_reply(START, first[0], &stale(6), None);
    assert_eq!(event(&mut window), Event::EpochRaised { epoch: 7 });
    let (epoch, seq, body, second) = sent(&mut window, START);
    assert_eq!((epoch, seq, body.as_str()), (7, 0, "0"));
    waits(&mut window);
    window.handle_reply(START, second, &ok("a"), None);
    acknowledged(&mut window);
    assert_eq!(window.state(), WindowState::Running);
    attempts(&mut window, 1..3);
}

#[test]
fn an_epoch_above_zero_is_introduced_by_its_first_batch_alone() {
    let mut window = window(WindowOptions { epoch: 3, ..options() }, 2);
    let (epoch, seq, _, _) = sent(&mut window, START);
    assert_eq!((epoch, seq), (3, 0));
    waits(&mut window);
}

#[test]
fn a_claim_waits_for_requests_under_way_and_renumbers_the_unacknowledged() {
    let mut window = window(claiming(), 5);
    let first = attempts(&mut window, 0..1);
    window.handle_reply(START, first[0], &ok("a"), None);
    acknowledged(&mut window);
    let pending = attempts(&mut window, 1..5);
    window.handle_reply(START, pending[1], &stale(2), None);
    waits(&mut window);
    window.handle_reply(START, pending[3], &stale(2), None);
    window.handle_reply(START, pending[2], &head(500, &[]), None);
    waits(&mut window);
    window.handle_reply(START, pending[0], &ok("b"), None);
    assert_eq!(acknowledged(&mut window).0, 1);
    assert_eq!(event(&mut window), Event::EpochRaised { epoch: 3 });
    let (epoch, seq, body, attempt) = sent(&mut window, START);
    assert_eq!((epoch, seq, body.as_str()), (3, 0, "2"));
    waits(&mut window);
    window.handle_reply(START, attempt, &ok("c"), None);
    acknowledged(&mut window);
    assert_eq!(sent(&mut window, START).2, "3");
    assert_eq!(sent(&mut window, START).2, "4");
}

#[test]
fn three_lost_claims_in_a_row_end_in_a_stale_epoch() {
    let mut window = window(claiming(), 2);
    for claim in 0..3 {
        let (epoch, _, _, attempt) = sent(&mut window, START);
        assert_eq!(epoch, claim * 2);
        window.handle_reply(START, attempt, &stale(claim * 2 + 1), None);
        assert_eq!(event(&mut window), Event::EpochRaised { epoch: claim * 2 + 2 });
    }
    let (_, _, _, attempt) = sent(&mut window, START);
    window.handle_reply(START, attempt, &stale(9), None);
    let (batches, failure) = failed(&mut window);
    assert_eq!((batches, failure.code, failure.facts.current_epoch), (0..2, ErrorCode::StaleEpoch, Some(9)));
}

#[test]
fn two_instances_do_not_fence_each_other_for_ever() {
    let mut window = window(claiming(), 0);
    for epoch in 0.. {
        let number = seal(&mut window, "x").expect("open");
        let (_, _, _, attempt) = sent(&mut window, START);
        window.handle_reply(START, attempt, &stale(epoch * 2 + 1), None);
        if window.state() == WindowState::Failed {
            assert_eq!(number, MAX_CLAIMS_IN_WINDOW as u64);
            return;
        }
        event(&mut window);
        let (_, _, _, attempt) = sent(&mut window, START);
        window.handle_reply(START, attempt, &ok("a"), None);
        acknowledged(&mut window);
    }
}

#[test]
fn a_claim_beyond_the_last_epoch_fails() {
    let mut window = window(claiming(), 1);
    let attempts = attempts(&mut window, 0..1);
    window.handle_reply(START, attempts[0], &stale(MAX_SAFE_INTEGER), None);
    assert_eq!(failed(&mut window).1.code, ErrorCode::StaleEpoch);
}

#[test]
fn a_closed_stream_fails_the_producer_with_the_final_offset() {
    let mut window = window(options(), 1);
    let attempts = attempts(&mut window, 0..1);
    let fields = [(headers::STREAM_CLOSED, "true"), (headers::STREAM_NEXT_OFFSET, "end")];
    window.handle_reply(START, attempts[0], &head(409, &fields), None);
    let (_, failure) = failed(&mut window);
    assert_eq!((failure.code, failure.facts.final_offset.as_deref()), (ErrorCode::StreamClosed, Some("end")));
    assert_eq!(window.restart().expect_err("closed for good").code, ErrorCode::StreamClosed);
}

#[test]
fn a_lost_answer_of_a_batch_below_an_accepted_one_is_no_failure() {
    let mut window = window(WindowOptions { retry: RetryPolicy::NEVER, ..options() }, 2);
    let attempts = attempts(&mut window, 0..2);
    window.handle_reply(START, attempts[1], &ok("b"), None);
    acknowledged(&mut window);
    let end = TransportFailure::new(TransportFailureKind::Broken, "connection reset");
    window.handle_failure(START, attempts[0], &end);
    assert_eq!(acknowledged(&mut window), (0, None, true));
}
