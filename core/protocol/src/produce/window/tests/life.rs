//! How a producer ends and starts over.

use super::*;

#[test]
fn closing_waits_for_all_acknowledgements_and_uses_the_next_seq() {
    let mut window = window(options(), 2);
    window.close(Bytes::from_static(b"bye"), 1).expect("open");
    assert_eq!(window.state(), WindowState::Closing);
    assert_eq!(seal(&mut window, "late").expect_err("closing").code, ErrorCode::AlreadyClosed);
    let attempts = attempts(&mut window, 0..2);
    waits(&mut window);
    window.handle_reply(START, attempts[1], &ok("b"), None);
    acknowledged(&mut window);
    waits(&mut window);
    window.handle_reply(START, attempts[0], &ok("a"), None);
    acknowledged(&mut window);
    let Step::Send(send) = window.poll(START) else { panic!("the closing request") };
    assert_eq!((send.state.seq, &send.plan.body[..]), (2, &b"bye"[..]));
    assert_eq!(send.plan.headers[headers::STREAM_CLOSED], "true");
    let fields = [(headers::STREAM_CLOSED, "true"), (headers::STREAM_NEXT_OFFSET, "end")];
    window.handle_reply(START, send.attempt, &head(200, &fields), None);
    acknowledged(&mut window);
    let closed = Closed { final_offset: Some(Offset::new("end")) };
    assert_eq!(event(&mut window), Event::Closed(closed.clone()));
    assert_eq!(window.close(Bytes::from_static(b"other"), 1), Ok(()));
    assert!(matches!(window.poll(START), Step::End));
    assert_eq!(window.closed(), Some(&closed));
}

#[test]
fn a_closing_request_is_resent_under_the_claimed_epoch_with_seq_zero() {
    let mut window = window(claiming(), 1);
    let first = attempts(&mut window, 0..1);
    window.handle_reply(START, first[0], &ok("a"), None);
    acknowledged(&mut window);
    window.close(Bytes::new(), 0).expect("open");
    let (_, seq, _, attempt) = sent(&mut window, START);
    assert_eq!(seq, 1);
    window.handle_reply(START, attempt, &stale(1), None);
    event(&mut window);
    let (epoch, seq, body, attempt) = sent(&mut window, START);
    assert_eq!((epoch, seq, body.as_str()), (2, 0, ""));
    window.handle_reply(START, attempt, &head(204, &[(headers::STREAM_CLOSED, "true")]), None);
    acknowledged(&mut window);
    assert!(matches!(event(&mut window), Event::Closed(_)));
}

#[test]
fn an_unanswered_close_keeps_its_tuple_for_the_next_close() {
    let mut window = window(WindowOptions { retry: RetryPolicy::NEVER, ..options() }, 0);
    window.close(Bytes::from_static(b"bye"), 1).expect("open");
    let (_, seq, body, attempt) = sent(&mut window, START);
    let end = TransportFailure::new(TransportFailureKind::Timeout, "no answer in 30 s");
    window.handle_failure(START, attempt, &end);
    assert!(matches!(event(&mut window), Event::CloseUnanswered(failure) if failure.code == ErrorCode::Timeout));
    assert!(matches!(window.poll(START), Step::Idle));
    assert!(seal(&mut window, "x").is_err());
    window.close(Bytes::from_static(b"other"), 1).expect("again");
    let again = sent(&mut window, START);
    assert_eq!((again.1, again.2), (seq, body));
}

#[test]
fn a_close_answered_as_duplicate_of_data_has_not_closed_the_stream() {
    let mut window = window(options(), 0);
    window.close(Bytes::new(), 0).expect("open");
    let (_, _, _, attempt) = sent(&mut window, START);
    window.handle_reply(START, attempt, &head(204, &[(headers::PRODUCER_SEQ, "4")]), None);
    assert_eq!(failed(&mut window).1.code, ErrorCode::Conflict);
}

#[test]
fn restart_raises_the_epoch_behind_what_was_sealed_before() {
    let mut window = window(options(), 2);
    window.restart().expect("open");
    seal(&mut window, "2").expect("open");
    assert_eq!(window.next_seq(), 1);
    let attempts = attempts(&mut window, 0..2);
    waits(&mut window);
    window.handle_reply(START, attempts[0], &ok("a"), None);
    acknowledged(&mut window);
    waits(&mut window);
    window.handle_reply(START, attempts[1], &ok("b"), None);
    acknowledged(&mut window);
    assert_eq!(event(&mut window), Event::EpochRaised { epoch: 1 });
    let (epoch, seq, body, _) = sent(&mut window, START);
    assert_eq!((epoch, seq, body.as_str()), (1, 0, "2"));
}

#[test]
fn restart_revives_a_fenced_producer_above_the_epoch_in_force() {
    let mut window = window(options(), 1);
    let attempts = attempts(&mut window, 0..1);
    window.handle_reply(START, attempts[0], &stale(4), None);
    failed(&mut window);
    window.restart().expect("revived");
    assert_eq!(event(&mut window), Event::EpochRaised { epoch: 5 });
    assert_eq!(seal(&mut window, "again"), Ok(1));
    let (epoch, seq, body, _) = sent(&mut window, START);
    assert_eq!((epoch, seq, body.as_str()), (5, 0, "again"));
}

#[test]
fn the_last_seq_is_followed_by_the_next_epoch() {
    let mut window = window(options(), 0);
    window.next_seq = MAX_SAFE_INTEGER;
    for number in 0..2 {
        seal(&mut window, &number.to_string()).expect("open");
    }
    let (epoch, seq, _, attempt) = sent(&mut window, START);
    assert_eq!((epoch, seq), (0, MAX_SAFE_INTEGER));
    waits(&mut window);
    window.handle_reply(START, attempt, &ok("a"), None);
    acknowledged(&mut window);
    assert_eq!(event(&mut window), Event::EpochRaised { epoch: 1 });
    let (epoch, seq, body, _) = sent(&mut window, START);
    assert_eq!((epoch, seq, body.as_str()), (1, 0, "1"));
}

#[test]
fn after_the_last_epoch_nothing_is_sent() {
    let mut window = window(WindowOptions { epoch: MAX_SAFE_INTEGER, ..options() }, 0);
    window.restart().expect("open");
    seal(&mut window, "x").expect("open");
    let (batches, failure) = failed(&mut window);
    assert_eq!((batches, failure.code), (0..1, ErrorCode::StaleEpoch));
}

#[test]
fn detach_delivers_what_is_sealed_and_takes_no_more() {
    let mut window = window(options(), 1);
    window.detach();
    assert_eq!(seal(&mut window, "x").expect_err("detached").code, ErrorCode::AlreadyClosed);
    let attempts = attempts(&mut window, 0..1);
    window.handle_reply(START, attempts[0], &ok("a"), None);
    acknowledged(&mut window);
    assert!(matches!(window.poll(START), Step::End));
    assert_eq!(window.state(), WindowState::Detached);
}
