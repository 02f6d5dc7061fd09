//! One operation to its end: send, read the answer, and send again as the policy allows.

use durable_streams_protocol::{
    request::RequestPlan,
    response::{Refusal, ReplyHead},
    retry::AttemptEnd,
};

use super::{
    exchange::{Exchange, Extras},
    url::StreamUrl,
};
use crate::{error::Failure, transport::BodyStream};

/// An operation's outcome, and the answer that told it.
#[derive(Debug, Clone)]
pub struct Answer<T> {
    /// What the answer means.
    pub value: T,
    /// Status and headers as they came.
    pub head: ReplyHead,
    /// How many times the request was sent.
    pub attempts: u32,
}

/// Performs an operation. `read` gives an answer its meaning; its last argument says
/// whether an earlier attempt went out.
pub(crate) async fn perform<T>(
    exchange: &Exchange,
    url: &StreamUrl,
    plan: &RequestPlan,
    extras: &Extras,
    read: impl Fn(&RequestPlan, &ReplyHead, bool) -> Result<T, Box<Refusal>>,
) -> Result<Answer<T>, Failure> {
    let (mut attempts, mut may_be_applied) = (0_u32, false);
    loop {
        let sent = exchange.send(url, plan, extras).await;
        attempts = attempts.saturating_add(1);
        let (end, failure) = match sent {
            Ok(mut reply) => match read(plan, &reply.head, attempts > 1) {
                Ok(value) => {
                    exchange.drain(reply.body.as_mut()).await;
                    return Ok(Answer { value, head: reply.head, attempts });
                }
                Err(refusal) => {
                    let text = exchange.drain(reply.body.as_mut()).await;
                    (AttemptEnd::Answered(reply.head.status), refused(refusal, reply.head, &text))
                }
            },
            Err(failure) => (AttemptEnd::Failed(failure.kind), Failure::from(failure)),
        };
        let delay = exchange
            .retry
            .allows(plan.idempotency(), end)
            .then(|| exchange.retry.delay(attempts - 1, exchange.host.entropy(), failure.facts().retry_after))
            .flatten();
        let failure = failure.at(plan.operation, url.display()).after(attempts, may_be_applied);
        let Some(delay) = delay else {
            return Err(failure);
        };
        tracing::debug!(error = %failure, ?delay, "trying again");
        may_be_applied = failure.may_be_applied();
        exchange.host.sleep(delay).await;
    }
}

/// Performs an operation whose request body is still being made: one attempt.
pub(crate) async fn perform_streaming<T>(
    exchange: &Exchange,
    url: &StreamUrl,
    plan: &RequestPlan,
    extras: &Extras,
    body: BodyStream,
    read: impl Fn(&RequestPlan, &ReplyHead) -> Result<T, Box<Refusal>>,
) -> Result<Answer<T>, Failure> {
    let told = |failure: Failure| failure.at(plan.operation, url.display()).after(1, false);
    let mut reply = exchange.send_streaming(url, plan, extras, body).await.map_err(|failure| told(failure.into()))?;
    let text = exchange.drain(reply.body.as_mut()).await;
    match read(plan, &reply.head) {
        Ok(value) => Ok(Answer { value, head: reply.head, attempts: 1 }),
        Err(refusal) => Err(told(refused(refusal, reply.head, &text))),
    }
}

/// The failure of an answer, with the start of its text for people.
pub(crate) fn refused(refusal: Box<Refusal>, head: ReplyHead, text: &[u8]) -> Failure {
    Failure::from(refusal).with_headers(head.headers).with_server_text(excerpt(text))
}

/// The start of an error answer's text, fit to be shown to people.
pub(crate) fn excerpt(text: &[u8]) -> String {
    String::from_utf8_lossy(text).trim().chars().filter(|c| !c.is_control()).take(200).collect()
}
