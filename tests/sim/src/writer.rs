//! A writer: the producer window, a plan of what to write, and a driver as thin as can be.

use std::collections::BTreeMap;

use bytes::Bytes;
use durable_streams_protocol::{
    Time,
    content_type::Framing,
    error::ErrorCode,
    headers,
    produce::window::{DEFAULT_RETRY, Event, ProducerWindow, Step, WindowOptions},
    request::{RequestPlan, append::ProducerTag},
    response::{ReplyHead, TransportFailure, TransportFailureKind},
    retry::RetryPolicy,
};
use http::HeaderValue;

use crate::{
    Bug,
    history::{Format, History, Message},
    rng::Rng,
};

/// How a writer begins, writes and ends.
#[derive(Debug, Clone)]
pub(crate) struct WriterPlan {
    pub(crate) stream: usize,
    pub(crate) producer_id: String,
    pub(crate) epoch: u64,
    pub(crate) auto_claim: bool,
    pub(crate) max_in_flight: usize,
    pub(crate) max_retries: u32,
    pub(crate) batches: u64,
    pub(crate) closes: bool,
    /// Starts over once with the next epoch when a batch failed.
    pub(crate) restarts: bool,
}

pub(crate) struct Writer {
    pub(crate) plan: WriterPlan,
    index: usize,
    format: Format,
    window: ProducerWindow,
    left: u64,
    next_number: u64,
    /// Messages per batch number.
    batches: BTreeMap<u64, Vec<Message>>,
    sent_before: BTreeMap<u64, u64>,
    is_ended: bool,
    has_restarted: bool,
    bug: Option<Bug>,
}

/// What the driver must do.
pub(crate) enum Move {
    Send { attempt: u64, plan: Box<RequestPlan>, note: String },
    Wait(Option<Time>),
}

impl Writer {
    pub(crate) fn new(index: usize, plan: WriterPlan, format: Format, seed: u64, bug: Option<Bug>) -> Self {
        let content_type = content_type(format.0).to_owned();
        let window = ProducerWindow::new(WindowOptions {
            producer_id: ProducerTag::id(&plan.producer_id).unwrap_or_else(|_| HeaderValue::from_static("writer")),
            epoch: plan.epoch,
            auto_claim: plan.auto_claim,
            max_in_flight: plan.max_in_flight,
            content_type,
            retry: RetryPolicy { max_retries: plan.max_retries, ..DEFAULT_RETRY },
            seed,
        });
        Self {
            left: plan.batches,
            plan,
            index,
            format,
            window,
            next_number: 0,
            batches: BTreeMap::new(),
            sent_before: BTreeMap::new(),
            is_ended: false,
            has_restarted: false,
            bug,
        }
    }

    /// Whether nothing will be sent any more.
    pub(crate) const fn is_done(&self) -> bool {
        self.is_ended
    }

    /// Seals the next batch, or ends; false when there is nothing more to write.
    pub(crate) fn write(&mut self, rng: &mut Rng) -> bool {
        if self.left == 0 {
            if self.plan.closes {
                let last = if rng.chance(500) { self.messages(1) } else { Vec::new() };
                let body = if last.is_empty() { Bytes::new() } else { self.format.batch(&last).into() };
                let batch = self.window.next_batch();
                let count = last.len() as u64;
                if self.window.close(body, count).is_ok() {
                    self.batches.insert(batch, last);
                }
            } else {
                self.window.detach();
            }
            return false;
        }
        self.left -= 1;
        let count = rng.within(1, 4);
        let messages = self.messages(count);
        match self.window.seal(self.format.batch(&messages).into(), count) {
            Ok(batch) => {
                self.batches.insert(batch, messages);
                true
            }
            Err(_) => false,
        }
    }

    fn messages(&mut self, count: u64) -> Vec<Message> {
        let first = self.next_number;
        self.next_number += count;
        (first..first + count).map(|number| Message { writer: self.index, number }).collect()
    }

    /// Follows the window; notes what it says.
    pub(crate) fn next(&mut self, now: Time, history: &mut History, mut note: impl FnMut(String)) -> Move {
        loop {
            match self.window.poll(now) {
                Step::Send(mut send) => {
                    for message in self.batches.get(&send.batch).into_iter().flatten() {
                        history.sent.entry(*message).or_default().insert(send.state.epoch);
                    }
                    let is_repeat = self.sent_before.insert(send.batch, send.state.epoch) == Some(send.state.epoch);
                    if is_repeat && self.bug == Some(Bug::ClientRenumbersRetries) {
                        let next = headers::integer_value(send.state.seq + 1);
                        send.plan.headers.insert(headers::PRODUCER_SEQ, next);
                    }
                    let text = format!("batch {} as {}:{}", send.batch, send.state.epoch, send.state.seq);
                    return Move::Send { attempt: send.attempt, plan: Box::new(send.plan), note: text };
                }
                Step::Emit(event) => {
                    note(format!("{event:?}"));
                    self.observe(&event, history);
                }
                Step::WaitUntil(at) => return Move::Wait(Some(at)),
                Step::AwaitReply | Step::Idle => return Move::Wait(None),
                Step::End => {
                    if self.plan.restarts && !self.has_restarted && self.window.restart().is_ok() {
                        self.has_restarted = true;
                        self.left = self.left.max(3);
                    } else {
                        self.is_ended = true;
                    }
                    return Move::Wait(None);
                }
            }
        }
    }

    fn observe(&mut self, event: &Event, history: &mut History) {
        match event {
            Event::Acknowledged { batch, .. } => {
                history.acknowledged.extend(self.batches.get(batch).into_iter().flatten());
            }
            Event::Closed(closed) => {
                history.closed_at.push(closed.final_offset.as_ref().map(|offset| offset.as_str().to_owned()));
            }
            // The user asks again: a close that met no answer is not given up.
            Event::CloseUnanswered(_) => drop(self.window.close(Bytes::new(), 0)),
            Event::Failed { failure, .. } => {
                self.plan.restarts &= failure.code != ErrorCode::StreamClosed;
            }
            Event::EpochRaised { .. } => {}
        }
    }

    /// Whether writing goes on after a restart.
    pub(crate) const fn has_restarted(&self) -> bool {
        self.has_restarted
    }

    pub(crate) fn answered(&mut self, now: Time, attempt: u64, head: &ReplyHead) {
        self.window.handle_reply(now, attempt, head, None);
    }

    pub(crate) fn failed(&mut self, now: Time, attempt: u64, kind: TransportFailureKind) {
        self.window.handle_failure(now, attempt, &TransportFailure::new(kind, "simulated"));
    }
}

/// The content type of a format.
pub(crate) const fn content_type(framing: Framing) -> &'static str {
    match framing {
        Framing::Json => "application/json",
        Framing::Text => "text/plain",
        Framing::Binary => "application/octet-stream",
    }
}
