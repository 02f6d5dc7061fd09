//! Answers of a hostile server: whatever it sends, the client's machines neither panic nor
//! go in circles, and a read never goes back.

use std::time::Duration;

use bytes::Bytes;
use durable_streams_protocol::{
    headers,
    offset::Offset,
    read::{LiveMode, ReadEvent, ReadMachine, ReadOptions, Step},
    request::{RequestPlan, append::Append, close::Close},
    response::{self, ReplyHead, TransportFailure, TransportFailureKind},
    retry::RetryPolicy,
    sse::decoder::DecoderLimits,
};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};

use crate::input::Input;

const KINDS: [TransportFailureKind; 4] = [
    TransportFailureKind::Connect,
    TransportFailureKind::Timeout,
    TransportFailureKind::Broken,
    TransportFailureKind::Local,
];

/// Arbitrary answers to a read and to a write.
///
/// # Panics
/// When an offset goes back, a machine sends while it waits, or polls without end.
pub fn answers(data: &[u8]) {
    let mut input = Input::new(data);
    if input.flag() { one_shot(&mut input) } else { read(&mut input) }
}

fn one_shot(input: &mut Input<'_>) {
    let body = if input.flag() { Bytes::from_static(b"x") } else { Bytes::new() };
    let seq = input.flag().then_some("1");
    let append = Append { body, content_type: "text/plain", seq, ..Append::default() }.plan();
    let plans: Vec<RequestPlan> = append.into_iter().chain(Close::default().plan()).collect();
    let head = head(input);
    for plan in &plans {
        // Every outcome of every operation is total; a success is 2xx.
        let appended = response::append::outcome(plan, &head).is_ok();
        let closed = response::close::outcome(plan, &head).is_ok();
        let created = response::create::outcome(plan, &head).is_ok();
        let described = response::head::outcome(plan, &head).is_ok();
        assert!(!(appended || closed || created || described) || head.status.is_success(), "{}", head.status);
        let _ = response::delete::outcome(plan, &head, input.flag());
        let _ = response::redirect::target(&plan.method, &head);
    }
}

fn read(input: &mut Input<'_>) {
    let live = input.pick(&[LiveMode::Off, LiveMode::LongPoll, LiveMode::Sse, LiveMode::Auto]);
    let from = input.pick(&[Offset::Beginning, Offset::Now, Offset::At("5".to_owned())]);
    let options = ReadOptions {
        prefetch: input.flag(),
        max_batch_bytes: 1 + input.below(64),
        retry: RetryPolicy { max_retries: 2, ..RetryPolicy::DEFAULT },
        sse: DecoderLimits { max_line_bytes: 1000, max_event_bytes: 1000 },
        ..ReadOptions::new(from, live)
    };
    let mut machine = ReadMachine::new(options, u64::from(input.byte()));
    let mut now = Duration::from_secs(3);
    // An exchange is open, it has a head, another one was opened ahead of its end.
    let (mut is_open, mut has_head, mut is_ahead) = (false, false, false);
    let mut last = Offset::Beginning;
    while !input.is_empty() {
        // Between two reports a machine emits what it has, and then waits or ends.
        for polls in 0.. {
            assert!(polls < 10_000, "the machine never comes to rest");
            match machine.poll(now) {
                Step::Send(_) => (is_open, has_head, is_ahead) = (true, false, false),
                Step::SendAhead(_) => {
                    assert!(!is_ahead, "one answer ahead, not two");
                    is_ahead = true;
                }
                Step::AwaitReply => {
                    if !is_open {
                        (is_open, has_head, is_ahead) = (is_ahead, false, false);
                    }
                    assert!(is_open, "waits for an answer nobody asked for");
                    break;
                }
                Step::WaitUntil(until) => {
                    assert!(until > now, "waits for the past");
                    (now, is_open, is_ahead) = (until, false, false);
                }
                Step::Emit(ReadEvent::Batch(batch)) => {
                    assert!(
                        batch.next_offset >= last || last == Offset::Now,
                        "back from {last} to {}",
                        batch.next_offset
                    );
                    last = batch.next_offset;
                }
                Step::Emit(ReadEvent::Failed(failure)) => {
                    let _ = failure.cause.code();
                    // The caller decides to go on, which it does only so often.
                    if input.is_empty() {
                        return;
                    }
                    let _ = input.byte();
                }
                Step::Emit(ReadEvent::Notice(_)) => {}
                Step::End => return,
            }
        }
        now += Duration::from_millis(u64::from(input.byte()) * 20);
        match input.below(8) {
            0 => {
                machine.handle_failure(now, TransportFailure::new(input.pick(&KINDS), "fuzz"));
                is_open = false;
            }
            _ if !has_head => {
                let head = head(input);
                machine.handle_reply_head(now, &head);
                has_head = true;
                // The HTTP layer knows that no body follows.
                is_open = !matches!(head.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
            }
            1 => {
                machine.handle_body_end(now);
                is_open = false;
            }
            2..=5 => {
                let text = sse_text(input);
                machine.handle_body_chunk(now, text);
            }
            _ => machine.handle_body_chunk(now, Bytes::copy_from_slice(input.bytes())),
        }
        if input.below(64) == 63 {
            machine.cancel();
        }
    }
}

/// A head of known and unknown parts: statuses and headers that mean something, with values
/// that may not.
fn head(input: &mut Input<'_>) -> ReplyHead {
    let common = [200_u16, 204, 304, 400, 403, 404, 409, 410, 429, 503, 301];
    let status = match input.below(common.len() + 1) {
        at if at < common.len() => common[at],
        _ => 100 + (u16::from(input.byte()) << 2 | u16::from(input.byte() & 3)) % 900,
    };
    let names: [HeaderName; 14] = [
        headers::STREAM_NEXT_OFFSET,
        headers::STREAM_UP_TO_DATE,
        headers::STREAM_CLOSED,
        headers::STREAM_CURSOR,
        headers::STREAM_SSE_DATA_ENCODING,
        headers::PRODUCER_EPOCH,
        headers::PRODUCER_EXPECTED_SEQ,
        headers::PRODUCER_RECEIVED_SEQ,
        header::CONTENT_TYPE,
        header::CONTENT_LENGTH,
        header::RETRY_AFTER,
        header::LOCATION,
        header::ETAG,
        header::DATE,
    ];
    let values: [&[u8]; 12] = [
        b"1",
        b"5",
        b"7",
        b"9",
        b"true",
        b"-1",
        b"now",
        b"",
        b"text/event-stream",
        b"application/json",
        b"text/plain",
        b"base64",
    ];
    let mut map = HeaderMap::new();
    for _ in 0..input.below(7) {
        let name = input.pick(&names);
        let value = if input.below(4) == 0 { input.bytes() } else { input.pick(&values) };
        if let Ok(value) = HeaderValue::from_bytes(value) {
            map.append(name, value);
        }
    }
    ReplyHead { status: StatusCode::from_u16(status).unwrap_or(StatusCode::OK), headers: map }
}

/// Server-sent events of pieces that matter to the machine.
fn sse_text(input: &mut Input<'_>) -> Bytes {
    let pieces: [&[u8]; 12] = [
        b"event: data\n",
        b"event: control\n",
        b"data:[1,2]\n",
        b"data:x\n",
        b"data:QQ==\n",
        b"data:{\"streamNextOffset\":\"6\"}\n",
        b"data:{\"streamNextOffset\":\"8\",\"upToDate\":true,\"streamCursor\":\"3\"}\n",
        b"data:{\"streamNextOffset\":\"8\",\"streamClosed\":true}\n",
        b"data:{\"streamNextOffset\":\"\"}\n",
        b": comment\n",
        b"\r\n",
        b"\n",
    ];
    (0..input.below(16)).flat_map(|_| input.pick(&pieces).to_vec()).collect::<Vec<u8>>().into()
}
