//! A reader: the read machine, a consumer that may die and resume from its last offset,
//! and a driver as thin as can be.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use durable_streams_protocol::{
    Time,
    error::ErrorCode,
    headers,
    offset::Offset,
    read::{Batch, LiveMode, ReadEvent, ReadMachine, ReadOptions, Step},
    request::RequestPlan,
    response::{ReplyHead, TransportFailure, TransportFailureKind},
};

use crate::{
    Bug,
    history::{Format, History, Seen},
};

/// How a reader reads.
#[derive(Debug, Clone)]
pub(crate) struct ReaderPlan {
    pub(crate) stream: usize,
    pub(crate) live: LiveMode,
    pub(crate) prefetch: bool,
    pub(crate) max_batch_bytes: usize,
}

/// What a connection brings.
#[derive(Debug, Clone)]
pub(crate) enum News {
    Head(ReplyHead),
    Piece(Bytes),
    End,
    Failed(TransportFailureKind),
}

/// What the driver must do.
pub(crate) enum Move {
    Send { exchange: u64, plan: Box<RequestPlan> },
    Wait(Option<Time>),
}

pub(crate) struct Reader {
    pub(crate) plan: ReaderPlan,
    index: usize,
    format: Format,
    machine: ReadMachine,
    seed: u64,
    seen: Vec<u8>,
    /// Where the consumer would resume, and how much it has taken by then.
    saved: (Offset, usize),
    saved_before: Offset,
    saw_end: bool,
    refusal: Option<String>,
    current: Option<u64>,
    ahead: Option<u64>,
    inbox: BTreeMap<u64, VecDeque<News>>,
    heard: BTreeMap<u64, u64>,
    next_exchange: u64,
    answered_offset: Option<Offset>,
    bug: Option<Bug>,
}

/// How long after a catch-up a reader without live mode looks again.
const LOOK_AGAIN: Time = Time::from_millis(700);

impl Reader {
    pub(crate) fn new(index: usize, plan: ReaderPlan, format: Format, seed: u64, bug: Option<Bug>) -> Self {
        Self {
            machine: machine(&plan, Offset::Beginning, seed),
            plan,
            index,
            format,
            seed,
            seen: Vec::new(),
            saved: (Offset::Beginning, 0),
            saved_before: Offset::Beginning,
            saw_end: false,
            refusal: None,
            current: None,
            ahead: None,
            inbox: BTreeMap::new(),
            heard: BTreeMap::new(),
            next_exchange: 0,
            answered_offset: None,
            bug,
        }
    }

    /// Whether it saw the end.
    pub(crate) const fn is_done(&self) -> bool {
        self.saw_end
    }

    /// A refusal that no reader of an existing stream should meet.
    pub(crate) fn refusal(&self) -> Option<&str> {
        self.refusal.as_deref()
    }

    /// What it saw, for the judge.
    pub(crate) fn seen(&self) -> Seen {
        Seen { reader: self.index, bytes: self.seen.clone(), saw_end: self.saw_end }
    }

    /// The consumer dies and resumes from what it saved.
    pub(crate) fn restart(&mut self, history: &mut History) {
        if self.saw_end {
            return;
        }
        history.reads.push(self.seen());
        self.seen.truncate(self.saved.1);
        let from = if self.bug == Some(Bug::ReaderRepeats) { self.saved_before.clone() } else { self.saved.0.clone() };
        self.resume(from);
    }

    fn resume(&mut self, from: Offset) {
        self.seed = self.seed.wrapping_add(1);
        self.machine = machine(&self.plan, from, self.seed);
        self.current = None;
        self.ahead = None;
        self.inbox.clear();
    }

    /// Follows the machine; notes what it says.
    pub(crate) fn next(&mut self, now: Time, mut note: impl FnMut(String)) -> Move {
        if self.saw_end {
            return Move::Wait(None);
        }
        loop {
            match self.machine.poll(now) {
                Step::Send(plan) => {
                    self.inbox.clear();
                    self.ahead = None;
                    let exchange = self.open();
                    self.current = Some(exchange);
                    return Move::Send { exchange, plan };
                }
                Step::SendAhead(plan) => {
                    let exchange = self.open();
                    self.ahead = Some(exchange);
                    return Move::Send { exchange, plan };
                }
                Step::AwaitReply => {
                    self.current = self.current.or_else(|| self.ahead.take());
                    let news = self.current.and_then(|exchange| self.inbox.get_mut(&exchange)?.pop_front());
                    let Some(news) = news else { return Move::Wait(None) };
                    self.hear(now, news);
                }
                Step::WaitUntil(at) => return Move::Wait(Some(at)),
                Step::Emit(ReadEvent::Batch(batch)) => {
                    note(format!("{} bytes to {}", batch.data.len(), batch.next_offset));
                    self.take(&batch);
                }
                Step::Emit(ReadEvent::Failed(failure)) => {
                    let code = failure.cause.code();
                    note(format!("failed: {code:?}"));
                    if !matches!(
                        code,
                        ErrorCode::NetworkError
                            | ErrorCode::Timeout
                            | ErrorCode::Busy
                            | ErrorCode::RateLimited
                            | ErrorCode::UnexpectedStatus
                    ) {
                        self.refusal = Some(format!("reader {}: {:?}", self.index, failure.cause));
                    }
                }
                Step::Emit(ReadEvent::Notice(notice)) => note(format!("{notice:?}")),
                Step::End if self.saw_end => return Move::Wait(None),
                Step::End => {
                    if self.bug == Some(Bug::ReaderStopsEarly) {
                        self.saw_end = true;
                        return Move::Wait(None);
                    }
                    let from = self.saved.0.clone();
                    self.resume(from);
                    return Move::Wait(Some(now + LOOK_AGAIN));
                }
            }
        }
    }

    /// Something arrived for an exchange; stale ones are not listened to.
    pub(crate) fn arrived(&mut self, exchange: u64, news: News) {
        if self.current == Some(exchange) || self.ahead == Some(exchange) {
            *self.heard.entry(exchange).or_default() += 1;
            self.inbox.entry(exchange).or_default().push_back(news);
        }
    }

    /// How often something arrived for an exchange that may bring more; `None` when it is over.
    pub(crate) fn heard(&self, exchange: u64) -> Option<u64> {
        let is_open = self.current == Some(exchange) || self.ahead == Some(exchange);
        is_open.then(|| self.heard.get(&exchange).copied().unwrap_or_default())
    }

    fn open(&mut self) -> u64 {
        self.next_exchange += 1;
        self.heard.retain(|exchange, _| Some(*exchange) == self.current);
        self.next_exchange
    }

    fn hear(&mut self, now: Time, news: News) {
        match news {
            News::Head(head) => {
                self.answered_offset = headers::text(&head.headers, &headers::STREAM_NEXT_OFFSET).map(Offset::new);
                self.machine.handle_reply_head(now, &head);
            }
            News::Piece(piece) => self.machine.handle_body_chunk(now, piece),
            News::End => {
                self.current = None;
                self.machine.handle_body_end(now);
            }
            News::Failed(kind) => {
                self.current = None;
                self.machine.handle_failure(now, TransportFailure::new(kind, "simulated"));
                if let (Some(Bug::ReaderSkips), Some(offset)) = (self.bug, self.answered_offset.take()) {
                    self.resume(offset);
                }
            }
        }
    }

    fn take(&mut self, batch: &Batch) {
        self.seen.extend(self.format.unwrapped(&batch.data));
        // The pieces of one large answer carry the offset before it, but the last.
        if batch.next_offset != self.saved.0 {
            self.saved_before = std::mem::replace(&mut self.saved, (batch.next_offset.clone(), self.seen.len())).0;
        }
        self.saw_end = batch.stream_closed;
    }
}

fn machine(plan: &ReaderPlan, from: Offset, seed: u64) -> ReadMachine {
    let options = ReadOptions {
        prefetch: plan.prefetch,
        max_batch_bytes: plan.max_batch_bytes,
        ..ReadOptions::new(from, plan.live)
    };
    ReadMachine::new(options, seed)
}
