//! The loop of a read: ask the machine, do the I/O, tell it what happened.

use std::{
    future::{Future, poll_fn},
    pin::{Pin, pin},
    sync::Arc,
    task::Poll,
};

use bytes::Bytes;
use durable_streams_protocol::{
    read::{Batch, FailureCause, Notice, ReadEvent, ReadFailure, ReadMachine, ReadOptions, Step},
    request::{Operation, RequestPlan},
};

use super::exchange::Extras;
use crate::{
    error::Failure,
    stream::DurableStream,
    transport::{BoxFuture, Reply, ReplyBody, TransportFailure, TransportFailureKind},
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
        Self { stream, extras: Arc::new(extras), machine, body: None, ahead: None }
    }

    /// Goes on until there is something to say; `None` means the read is over. Not to be
    /// dropped halfway: the caller keeps the future.
    pub(crate) async fn next(&mut self) -> Option<Result<Batch, Failure>> {
        loop {
            match self.machine.poll(self.now()) {
                Step::Emit(ReadEvent::Batch(batch)) => {
                    self.drive_ahead_once().await;
                    return Some(Ok(batch));
                }
                Step::Emit(ReadEvent::Failed(failure)) => return Some(Err(self.failure(failure))),
                Step::Emit(ReadEvent::Notice(Notice::SseGivenUp { reason })) => {
                    tracing::warn!(url = self.stream.url(), reason, "falling back from SSE to long-poll");
                }
                Step::End => {
                    self.drop_exchanges();
                    return None;
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
