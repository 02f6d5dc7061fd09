//! Time limits of one exchange, and the body that keeps them.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use durable_streams_protocol::{
    Time,
    request::{Operation, RequestPlan, TimeoutClass},
};

use crate::{
    host::Host,
    transport::{BoxFuture, ReplyBody, TransportFailure, TransportFailureKind},
};

/// The client's time limits.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Timeouts {
    /// One whole exchange; for reads, any wait for the next piece.
    pub(crate) request: Duration,
    /// Until a long-poll answers; longer than the server holds it (30 s).
    pub(crate) long_poll: Duration,
    /// Longest silence of an SSE answer; longer than the server's cycle (60 s).
    pub(crate) sse_idle: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self { request: Duration::from_secs(30), long_poll: Duration::from_secs(65), sse_idle: Duration::from_secs(90) }
    }
}

/// Limits of one exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Limits {
    /// Until the answer's head is there.
    pub(crate) head: Duration,
    /// Whole exchange, body included.
    pub(crate) total: Option<Duration>,
    /// Longest wait for one piece of the body.
    pub(crate) idle: Option<Duration>,
}

impl Timeouts {
    /// The limits of a request; `wait` replaces the class's own number.
    pub(crate) fn limits(&self, plan: &RequestPlan, wait: Option<Duration>) -> Limits {
        match plan.timeout {
            // A big catch-up read may take longer than any total; it must only never stall.
            TimeoutClass::OneShot if plan.operation == Operation::Read => {
                let limit = wait.unwrap_or(self.request);
                Limits { head: limit, total: None, idle: Some(limit) }
            }
            TimeoutClass::OneShot => {
                let limit = wait.unwrap_or(self.request);
                Limits { head: limit, total: Some(limit), idle: None }
            }
            TimeoutClass::LongPoll => {
                Limits { head: wait.unwrap_or(self.long_poll), total: None, idle: Some(self.request) }
            }
            TimeoutClass::Streaming => {
                Limits { head: self.request, total: None, idle: Some(wait.unwrap_or(self.sse_idle)) }
            }
        }
    }
}

/// A body that fails with [`TransportFailureKind::Timeout`] when a piece takes too long.
/// Only waiting counts: a caller that takes its time loses nothing.
pub(crate) struct TimedBody {
    inner: Box<dyn ReplyBody>,
    host: Arc<dyn Host>,
    idle: Option<Duration>,
    deadline: Option<Time>,
    /// One timer serves many pieces: it is set again only after it fired.
    timer: Option<(Time, BoxFuture<'static, ()>)>,
}

impl TimedBody {
    /// Guards a body of an exchange that started at `started`.
    pub(crate) fn guard(
        inner: Box<dyn ReplyBody>,
        host: &Arc<dyn Host>,
        limits: Limits,
        started: Time,
    ) -> Box<dyn ReplyBody> {
        let deadline = limits.total.map(|total| started.saturating_add(total));
        if deadline.is_none() && limits.idle.is_none() {
            return inner;
        }
        Box::new(Self { inner, host: Arc::clone(host), idle: limits.idle, deadline, timer: None })
    }
}

impl ReplyBody for TimedBody {
    fn chunk(&mut self) -> BoxFuture<'_, Result<Option<Bytes>, TransportFailure>> {
        Box::pin(async move {
            let asked = self.host.now();
            let by_idle = self.idle.map(|idle| asked.saturating_add(idle));
            let due = by_idle.into_iter().chain(self.deadline).min().unwrap_or(Time::MAX);
            let mut next = self.inner.chunk();
            loop {
                let now = self.host.now();
                let (fires, timer) = self.timer.get_or_insert_with(|| (due, self.host.sleep(due.saturating_sub(now))));
                let fires = *fires;
                tokio::select! {
                    biased;
                    piece = &mut next => return piece,
                    () = timer => {}
                }
                self.timer = None;
                if fires >= due {
                    return Err(TransportFailure::new(TransportFailureKind::Timeout, "the answer's body stalled"));
                }
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use durable_streams_protocol::{
        offset::Offset,
        request::{append::Append, read},
    };
    use tokio::time::Instant;

    use super::*;
    use crate::{
        host::TokioHost,
        transport::{
            Transport,
            scripted::{Scripted, ScriptedReply},
        },
    };

    const SECOND: Duration = Duration::from_secs(1);

    async fn guarded(reply: ScriptedReply, limits: Limits) -> Box<dyn ReplyBody> {
        let host: Arc<dyn Host> = Arc::new(TokioHost::new());
        let reply = Scripted::new().reply(reply).send(http::Request::default()).await.expect("scripted");
        TimedBody::guard(reply.body, &host, limits, host.now())
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_may_take_long_as_long_as_it_never_stalls() {
        let mut reply = ScriptedReply::status(200);
        for _ in 0..100 {
            reply = reply.pause(2 * SECOND).body("x");
        }
        let limits = Limits { head: SECOND, total: None, idle: Some(3 * SECOND) };
        let mut body = guarded(reply.pause(4 * SECOND).body("late"), limits).await;
        for _ in 0..100 {
            assert_eq!(body.chunk().await, Ok(Some(Bytes::from_static(b"x"))));
        }
        let start = Instant::now();
        let failure = body.chunk().await.expect_err("stalls").kind;
        assert_eq!((failure, start.elapsed()), (TransportFailureKind::Timeout, 3 * SECOND));
    }

    #[tokio::test(start_paused = true)]
    async fn a_caller_that_takes_its_time_loses_nothing() {
        let reply = ScriptedReply::status(200).body("x").pause(2 * SECOND).body("y");
        let limits = Limits { head: SECOND, total: None, idle: Some(3 * SECOND) };
        let mut body = guarded(reply, limits).await;
        for expected in ["x", "y"] {
            tokio::time::sleep(100 * SECOND).await;
            assert_eq!(body.chunk().await, Ok(Some(Bytes::from_static(expected.as_bytes()))));
        }
        assert_eq!(body.chunk().await, Ok(None));
    }

    #[tokio::test(start_paused = true)]
    async fn a_total_limit_counts_from_the_start() {
        let mut reply = ScriptedReply::status(200);
        for _ in 0..100 {
            reply = reply.pause(SECOND).body("x");
        }
        let start = Instant::now();
        let mut body = guarded(reply, Limits { head: SECOND, total: Some(10 * SECOND), idle: None }).await;
        while body.chunk().await.is_ok() {}
        assert_eq!(start.elapsed(), 10 * SECOND);
    }

    #[test]
    fn only_one_shot_writes_have_a_total_limit() {
        let timeouts = Timeouts::default();
        let limits = |plan: &RequestPlan| timeouts.limits(plan, None);
        let start = Offset::Beginning;
        let second = |count| Duration::from_secs(count);
        let append = Append { body: Bytes::from_static(b"x"), content_type: "text/plain", ..Append::default() };
        let append = append.plan().expect("valid");
        assert_eq!(limits(&append), Limits { head: second(30), total: Some(second(30)), idle: None });
        let catch_up = Limits { head: second(30), total: None, idle: Some(second(30)) };
        assert_eq!(limits(&read::catch_up(&start, None)), catch_up);
        let long_poll = Limits { head: second(65), total: None, idle: Some(second(30)) };
        assert_eq!(limits(&read::long_poll(&start, None)), long_poll);
        let sse = Limits { head: second(30), total: None, idle: Some(second(90)) };
        assert_eq!(limits(&read::sse(&start, None)), sse);
    }
}
