//! The loop of a read: ask the machine, do the I/O, tell it what happened.

use std::{
    future::{Future, poll_fn},
    pin::{Pin, pin},
    sync::{Arc, OnceLock},
    task::Poll,
};

use bytes::Bytes;
use durable_streams_protocol::{
    headers,
    read::{Batch, FailureCause, Notice, ReadEvent, ReadFailure, ReadMachine, ReadOptions, Step},
    request::{Operation, RequestPlan},
};

use http::header::CONTENT_LENGTH;
use parking_lot::Mutex;
use tokio::sync::oneshot;

use super::exchange::Extras;
use crate::{
    error::{ErrorCode, Failure},
    stream::DurableStream,
    transport::{BoxFuture, Reply, ReplyBody, ReplyHead, TransportFailure, TransportFailureKind},
};

/// One read in progress. Dropping it aborts its exchanges.
pub(crate) struct ReadDriver {
    stream: DurableStream,
    extras: Arc<Extras>,
    machine: ReadMachine,
    /// Body of the exchange the machine is waiting for.
    body: Option<Box<dyn ReplyBody>>,
    /// The exchange opened beside it.
    ahead: Option<Ahead>,
    /// Status and headers of the latest answer.
    answer: Option<Arc<ReplyHead>>,
    shown: Arc<Shown>,
    place: Place,
}

/// What can be seen of a driver at work.
#[derive(Debug, Default)]
pub(crate) struct Shown {
    /// Status and headers of the first answer that was accepted, as soon as they are there,
    /// for who waits for no more than that.
    pub(crate) first: OnceLock<Arc<ReplyHead>>,
    /// Why long-poll took over from server-sent events.
    pub(crate) sse_given_up: OnceLock<&'static str>,
}

/// Where the loop runs.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// In the caller's own task.
    Here,
    /// A large body is coming: better in a task of its own.
    ShouldMove,
    /// In a task of its own.
    Background,
}

/// From this length on a body is worth a task of its own. A caller outside the runtime's
/// workers, such as `main`, would be woken from another thread for every piece of it, and
/// would copy every piece from another processor's cache. Units: bytes.
const BULK_BYTES: u64 = 512 * 1024;

/// What a read has to say: a batch, or why there is none.
pub(crate) type Said = Result<Batch, Failure>;

enum Pause {
    Said(Option<Said>),
    /// Go on in the background; only in [`Place::ShouldMove`].
    Bulk,
}

type Opened = Result<Reply, TransportFailure>;

enum Ahead {
    Opening(BoxFuture<'static, Opened>),
    Open(Opened),
}

impl ReadDriver {
    pub(crate) fn new(stream: DurableStream, extras: Extras, options: ReadOptions) -> Self {
        let seed = stream.exchange().host.entropy();
        let machine = ReadMachine::new(options, seed);
        Self {
            stream,
            extras: Arc::new(extras),
            machine,
            body: None,
            ahead: None,
            answer: None,
            shown: Arc::default(),
            place: Place::Here,
        }
    }

    /// Goes on until there is something to say; no word means the read is over. The future
    /// owns the driver, so that a caller who keeps it can stop polling at any point.
    pub(crate) async fn next(mut self: Box<Self>) -> (Option<Box<Self>>, Option<Said>) {
        self.place = Place::Here;
        match self.run().await {
            Pause::Said(said) => (Some(self), said),
            Pause::Bulk => self.next_in_background().await,
        }
    }

    /// Status and headers of the latest answer.
    pub(crate) const fn answer(&self) -> Option<&Arc<ReplyHead>> {
        self.answer.as_ref()
    }

    /// What the reader sees while this works.
    pub(crate) const fn shown(&self) -> &Arc<Shown> {
        &self.shown
    }

    async fn next_in_background(mut self: Box<Self>) -> (Option<Box<Self>>, Option<Said>) {
        self.place = Place::Background;
        let (mut done, result) = oneshot::channel();
        let host = Arc::clone(&self.stream.exchange().host);
        // The task takes the driver when it starts; if it cannot start, it is still here.
        let slot = Arc::new(Mutex::new(Some(self)));
        let theirs = Arc::clone(&slot);
        let spawned = host.spawn(Box::pin(async move {
            let Some(mut driver) = theirs.lock().take() else { return };
            let said = tokio::select! {
                said = driver.run_on() => said,
                // The reader was dropped: so is the exchange.
                () = done.closed() => return,
            };
            let _ = done.send((driver, said));
        }));
        let left = if spawned.is_err() { slot.lock().take() } else { None };
        if let Some(mut driver) = left {
            let said = driver.run_on().await;
            return (Some(driver), said);
        }
        match result.await {
            Ok((driver, said)) => (Some(driver), said),
            Err(_) => (None, Some(Err(Failure::new(ErrorCode::InternalError, "the runtime dropped the read's task")))),
        }
    }

    /// [`ReadDriver::run`] where it is.
    async fn run_on(&mut self) -> Option<Said> {
        loop {
            if let Pause::Said(said) = self.run().await {
                return said;
            }
            self.place = Place::Background;
        }
    }

    async fn run(&mut self) -> Pause {
        loop {
            if self.place == Place::ShouldMove {
                return Pause::Bulk;
            }
            match self.machine.poll(self.now()) {
                Step::Emit(ReadEvent::Batch(batch)) => {
                    self.drive_ahead_once().await;
                    return Pause::Said(Some(Ok(batch)));
                }
                Step::Emit(ReadEvent::Failed(failure)) => return Pause::Said(Some(Err(self.failure(failure)))),
                Step::Emit(ReadEvent::Notice(Notice::SseGivenUp { reason })) => {
                    tracing::warn!(url = self.stream.url(), reason, "falling back from SSE to long-poll");
                    self.shown.sse_given_up.get_or_init(|| reason);
                }
                Step::End => {
                    self.drop_exchanges();
                    return Pause::Said(None);
                }
                Step::WaitUntil(until) => {
                    self.drop_exchanges();
                    let span = until.saturating_sub(self.now());
                    self.stream.exchange().host.sleep(span).await;
                }
                Step::Send(plan) => {
                    self.drop_exchanges();
                    let opened = self.open(plan).await;
                    self.handle_opened(opened);
                }
                Step::SendAhead(plan) => self.ahead = Some(Ahead::Opening(self.open(plan))),
                Step::AwaitReply => self.await_reply().await,
            }
        }
    }

    /// The current exchange's next piece; or, when it is over, the head of the one ahead.
    async fn await_reply(&mut self) {
        if let Some(body) = &mut self.body {
            let piece = beside(body.chunk(), &mut self.ahead).await;
            self.handle_piece(piece);
            return;
        }
        let opened = match self.ahead.take() {
            Some(Ahead::Opening(opening)) => opening.await,
            Some(Ahead::Open(opened)) => opened,
            None => Err(TransportFailure::new(TransportFailureKind::Broken, "the exchange is gone")),
        };
        self.handle_opened(opened);
    }

    fn handle_opened(&mut self, opened: Opened) {
        let now = self.now();
        match opened {
            Ok(reply) => {
                self.machine.handle_reply_head(now, &reply.head);
                if self.place == Place::Here && is_bulk(&reply.head) {
                    self.place = Place::ShouldMove;
                }
                let head = Arc::new(reply.head);
                if self.machine.has_succeeded() {
                    self.shown.first.get_or_init(|| Arc::clone(&head));
                }
                self.answer = Some(head);
                self.body = Some(reply.body);
            }
            Err(failure) => self.machine.handle_failure(now, failure),
        }
    }

    fn handle_piece(&mut self, piece: Result<Option<Bytes>, TransportFailure>) {
        let now = self.now();
        match piece {
            Ok(Some(chunk)) => self.machine.handle_body_chunk(now, chunk),
            Ok(None) => {
                self.body = None;
                self.machine.handle_body_end(now);
            }
            Err(failure) => {
                self.drop_exchanges();
                self.machine.handle_failure(now, failure);
            }
        }
    }

    fn open(&self, plan: Box<RequestPlan>) -> BoxFuture<'static, Opened> {
        let (stream, extras) = (self.stream.clone(), Arc::clone(&self.extras));
        Box::pin(async move {
            match stream.target() {
                Ok(url) => stream.exchange().send(url, &plan, &extras).await,
                Err(failure) => Err(TransportFailure::new(TransportFailureKind::Local, failure.detail())),
            }
        })
    }

    /// Gets the request ahead on its way before the caller turns to the batch in hand.
    async fn drive_ahead_once(&mut self) {
        let ahead = &mut self.ahead;
        poll_fn(|context| {
            poll_ahead(ahead, context);
            Poll::Ready(())
        })
        .await;
    }

    fn drop_exchanges(&mut self) {
        self.body = None;
        self.ahead = None;
    }

    fn failure(&self, failure: ReadFailure) -> Failure {
        let told = match failure.cause {
            FailureCause::Refused { refusal, headers, server_text } => {
                Failure::from(refusal).with_headers(*headers).with_server_text(server_text)
            }
            FailureCause::Transport(failure) => Failure::from(failure),
        };
        let told = told.after(failure.attempts, false);
        match self.stream.target() {
            Ok(url) => told.at(Operation::Read, url.display()),
            Err(_) => told,
        }
    }

    fn now(&self) -> durable_streams_protocol::Time {
        self.stream.exchange().host.now()
    }
}

fn is_bulk(head: &ReplyHead) -> bool {
    let length = headers::text(&head.headers, &CONTENT_LENGTH).and_then(|length| length.parse().ok());
    length.is_some_and(|length: u64| length >= BULK_BYTES)
}

/// Awaits `work`, and lets the exchange ahead get on meanwhile.
async fn beside<T>(work: impl Future<Output = T>, ahead: &mut Option<Ahead>) -> T {
    let mut work = pin!(work);
    poll_fn(|context| {
        poll_ahead(ahead, context);
        work.as_mut().poll(context)
    })
    .await
}

fn poll_ahead(ahead: &mut Option<Ahead>, context: &mut std::task::Context<'_>) {
    if let Some(Ahead::Opening(opening)) = ahead
        && let Poll::Ready(opened) = Pin::as_mut(opening).poll(context)
    {
        *ahead = Some(Ahead::Open(opened));
    }
}
