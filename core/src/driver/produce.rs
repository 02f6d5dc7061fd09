//! The producer's loop: asks the window what to do, sends, tells the window what came of
//! it. One task per producer; it ends when the last clone is gone, or the producer is
//! closed or detached.

use std::sync::Arc;

use durable_streams_protocol::{
    Time,
    produce::window::{Outgoing, Step},
    response::ReplyHead,
};
use futures_util::{StreamExt, stream::FuturesUnordered};

use super::one_shot::excerpt;
use crate::{
    error::{Failure, Remedy},
    options::UserHeaders,
    producer::{Cause, Move, Shared, State},
    transport::{BoxFuture, TransportFailure, TransportFailureKind},
};

/// Drives a producer to its end. Dropping the task settles the books, even before it ran.
pub(crate) fn run(shared: Arc<Shared>) -> impl Future<Output = ()> {
    let ending = Ending(shared);
    async move { drive(&ending.0).await }
}

async fn drive(shared: &Shared) {
    let host = &shared.stream.exchange().host;
    let mut under_way = FuturesUnordered::new();
    let mut discovery: Option<BoxFuture<'_, Result<String, Failure>>> = None;
    let mut timer: Option<(Time, BoxFuture<'static, ()>)> = None;
    loop {
        let deadline = match follow(shared, host.now()) {
            Next::Send(request) => {
                under_way.push(attempt(shared, request));
                continue;
            }
            Next::Discover => {
                discovery = Some(Box::pin(discover(shared)));
                continue;
            }
            Next::Wait(deadline) => deadline,
            Next::End => return,
        };
        // A timer outlives the wait it was made for: with batches coming and going the
        // deadline often stays.
        timer = match (deadline, timer.take()) {
            (Some(deadline), Some((due, sleep))) if due == deadline => Some((due, sleep)),
            (Some(deadline), _) => Some((deadline, host.sleep(deadline.saturating_sub(host.now())))),
            (None, _) => None,
        };
        tokio::select! {
            biased;
            Some((attempt, outcome)) = under_way.next(), if !under_way.is_empty() => {
                let mut state = shared.state.lock();
                match outcome {
                    Ok((head, text)) => {
                        state.window_mut().handle_reply(host.now(), attempt, &head, text.as_deref());
                    }
                    Err(failure) => state.window_mut().handle_failure(host.now(), attempt, &failure),
                }
            }
            found = pending_unless(discovery.as_mut()) => {
                discovery = None;
                match found {
                    Ok(content_type) => shared.learn(&content_type),
                    Err(failure) => shared.state.lock().fail(Cause::from(failure)),
                }
            }
            () = pending_unless(timer.as_mut().map(|(_, sleep)| sleep)) => timer = None,
            () = shared.wake.notified() => {}
        }
    }
}

enum Next {
    Send(Outgoing),
    Discover,
    Wait(Option<Time>),
    End,
}

/// Follows the window until there is something to do outside.
fn follow(shared: &Shared, now: Time) -> Next {
    loop {
        let (cause, next) = step(&mut shared.state.lock(), now);
        if let Some(next) = next {
            return next;
        }
        // First the callback: who waits for a flush finds it called.
        if let Some(cause) = cause {
            shared.report(cause);
        }
        shared.progress.notify_waiters();
    }
}

/// One step of the window. Nothing to do next means that something was settled.
fn step(state: &mut State, now: Time) -> (Option<Cause>, Option<Next>) {
    let (next, linger) = state.next_move(now);
    let step = match next {
        Move::Stop => return (None, Some(Next::End)),
        Move::Discover => return (None, Some(Next::Discover)),
        Move::Window(step) => step,
    };
    let next = match step {
        Step::Emit(event) => return (state.observe(event), None),
        Step::Send(request) => Next::Send(request),
        Step::WaitUntil(deadline) => Next::Wait(Some(linger.map_or(deadline, |linger| linger.min(deadline)))),
        Step::AwaitReply | Step::Idle => Next::Wait(linger),
        Step::End if state.can_be_revived() => Next::Wait(None),
        Step::End => Next::End,
    };
    (None, Some(next))
}

/// Sends one request; its answer, and the start of the text of an error.
async fn attempt(shared: &Shared, request: Outgoing) -> (u64, Result<(ReplyHead, Option<String>), TransportFailure>) {
    let outcome = async {
        let url = shared
            .stream
            .target()
            .map_err(|failure| TransportFailure::new(TransportFailureKind::Local, failure.detail()))?;
        let exchange = shared.stream.exchange();
        let mut reply = exchange.send(url, &request.plan, &shared.extras).await?;
        let text = exchange.drain(reply.body.as_mut()).await;
        let text = (!reply.head.status.is_success()).then(|| excerpt(&text));
        Ok((reply.head, text))
    };
    (request.attempt, outcome.await)
}

/// Asks for the stream's content type, as patiently as batches are sent.
async fn discover(shared: &Shared) -> Result<String, Failure> {
    let host = &shared.stream.exchange().host;
    let mut headers = UserHeaders::default();
    headers.replace(shared.extras.headers.clone());
    let mut retry = 0;
    loop {
        let failure = match shared.stream.detailed().content_type_for_write(None, &headers).await {
            Ok(content_type) => return Ok(content_type),
            Err(failure) => failure,
        };
        let is_transient = matches!(failure.remedy(), Remedy::RetryLater | Remedy::RetryIfIdempotent);
        let delay = shared.retry.delay(retry, host.entropy(), failure.facts().retry_after);
        match delay.filter(|_| is_transient) {
            Some(delay) => host.sleep(delay).await,
            None => return Err(failure),
        }
        retry += 1;
    }
}

async fn pending_unless<T>(future: Option<&mut BoxFuture<'_, T>>) -> T {
    match future {
        Some(future) => future.await,
        None => std::future::pending().await,
    }
}

/// Settles the books when the driver ends, be it because the runtime goes away.
struct Ending(Arc<Shared>);

impl Drop for Ending {
    fn drop(&mut self) {
        let lost = self.0.state.lock().abandon();
        self.0.progress.notify_waiters();
        if lost > 0 {
            tracing::warn!(url = self.0.stream.url(), lost, "a producer ended with undelivered messages");
        }
    }
}
