//! The one task that owns all subscriptions. Each turn takes everything that has
//! arrived, changes the registry, writes what changed in one batch and only then answers
//! and sends: nothing is said that a crash could undo.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::{Semaphore, mpsc, oneshot},
    task::JoinSet,
};

use super::{
    command::{Answer, Command, Reply},
    config::{Config, Delivery},
    deliver::{Deliverer, MAX_TIMEOUT},
    error::ApiError,
    host::Host,
    inbox::Inbox,
    machine::{AckError, ClaimError, Fence, Moment, Notify, Outcome},
    model::{Notice, Subscription},
    port::{EventError, StreamsPort},
    registry::{Id, Registry},
    signing::KeyRing,
    token::Tokens,
    view,
};
use crate::store::StoreError;

/// Commands taken per turn.
const MAX_PER_TURN: usize = 1_024;
/// Webhooks in flight at a time, one per subscription at most: enough that receivers which
/// never answer do not hold up the others.
const MAX_IN_FLIGHT: usize = 1_024;
/// How long a failed write waits until it is repeated.
const REWRITE_AFTER_MS: u64 = 1_000;

/// A request and where its answer goes.
pub(crate) type Call = (Command, oneshot::Sender<Answer>);

/// What the hub works with.
pub(crate) struct Parts {
    pub(crate) registry: Registry,
    pub(crate) port: Arc<dyn StreamsPort>,
    pub(crate) inbox: Arc<Inbox>,
    pub(crate) host: Arc<dyn Host>,
    pub(crate) tokens: Arc<Tokens>,
    pub(crate) keys: Arc<parking_lot::RwLock<KeyRing>>,
    pub(crate) deliverer: Deliverer,
    pub(crate) public_url: Option<String>,
    pub(crate) max_subscriptions: usize,
}

/// The task's state.
pub(crate) struct Hub {
    parts: Parts,
    /// To be sent once the state that says so is stored.
    outgoing: Vec<(Id, Notify)>,
    rewrite_at: Option<u64>,
    tasks: JoinSet<(Id, Box<str>, Outcome)>,
    permits: Arc<Semaphore>,
}

impl Hub {
    /// Runs until the sending side of `calls` is gone and all calls are answered.
    pub(crate) async fn run(parts: Parts, mut calls: mpsc::Receiver<Call>) {
        let mut hub = Self {
            parts,
            outgoing: Vec::new(),
            rewrite_at: None,
            tasks: JoinSet::new(),
            permits: Arc::new(Semaphore::new(MAX_IN_FLIGHT)),
        };
        let mut arrived = Vec::new();
        let mut outcomes = Vec::new();
        loop {
            hub.turn(&mut arrived, &mut outcomes).await;
            let wait = hub.wait();
            tokio::select! {
                received = calls.recv_many(&mut arrived, MAX_PER_TURN) => if received == 0 { break },
                () = hub.parts.inbox.arrival() => {}
                Some(outcome) = hub.tasks.join_next(), if !hub.tasks.is_empty() => outcomes.extend(outcome.ok()),
                () = tokio::time::sleep(wait.unwrap_or_default()), if wait.is_some() => {}
            }
            while let Some(outcome) = hub.tasks.try_join_next() {
                outcomes.extend(outcome.ok());
            }
        }
        // What is being sent is cut off; its wakes are stored as due and are sent again.
        hub.turn(&mut arrived, &mut outcomes).await;
    }

    async fn turn(&mut self, calls: &mut Vec<Call>, outcomes: &mut Vec<(Id, Box<str>, Outcome)>) {
        // Events first: what was appended before a call was made is known when it is answered.
        for (path, change) in self.parts.inbox.take() {
            self.parts.registry.apply(&path, change, &*self.parts.port);
        }
        for (id, wake_id, outcome) in outcomes.drain(..) {
            let moment = self.moment();
            self.parts.registry.update(&id, |subscription| subscription.notified(&wake_id, outcome, moment));
        }
        self.poll();
        let mut answers = Vec::with_capacity(calls.len());
        for (command, reply) in calls.drain(..) {
            answers.push((self.carry_out(command), reply));
        }
        self.poll();
        let stored = self.store().await;
        for (answer, reply) in answers {
            let answer = match &stored {
                Ok(()) => answer,
                Err(error) => answer.and_then(|_| Err(ApiError::Store(error.clone()))),
            };
            // A caller that went away needs no answer.
            let _ = reply.send(answer);
        }
        if stored.is_ok() {
            for (id, notify) in std::mem::take(&mut self.outgoing) {
                self.send(id, &notify);
            }
        }
    }

    fn poll(&mut self) {
        let host = &self.parts.host;
        let due = self.parts.registry.poll(host.now_ms(), || Moment::of(&**host));
        self.outgoing.extend(due);
    }

    async fn store(&mut self) -> Result<(), StoreError> {
        let mut pending = self.parts.registry.take_unsaved();
        if pending.batch.is_empty() {
            self.rewrite_at = None;
            return Ok(());
        }
        let result = self.parts.port.kv_put(std::mem::take(&mut pending.batch)).await;
        match &result {
            Ok(()) => self.rewrite_at = None,
            Err(error) => {
                tracing::error!(%error, "subscriptions could not be stored; wakes wait until they can");
                self.parts.registry.keep_unsaved(pending);
                self.rewrite_at = Some(self.parts.host.now_ms() + REWRITE_AFTER_MS);
            }
        }
        result
    }

    fn wait(&self) -> Option<Duration> {
        // While the store fails nothing may be sent, so only its next try counts.
        let until = self.rewrite_at.or_else(|| self.parts.registry.next_deadline())?;
        // Rounded up: waking a moment early would only find nothing due.
        Some(Duration::from_millis(until.saturating_sub(self.parts.host.now_ms()).max(1)))
    }

    fn carry_out(&mut self, command: Command) -> Answer {
        let missing = |id: &str| ApiError::SubscriptionNotFound(id.to_owned());
        match command {
            Command::Create { id, config, public_base } => self.create(&id, config, &public_base),
            Command::Get { id, public_base } => {
                let subscription = self.parts.registry.get(&id).ok_or_else(|| missing(&id))?;
                Ok(Reply::Ok(self.shown(subscription, &public_base)))
            }
            Command::Delete { id } => {
                self.parts.registry.remove(&id);
                if self.parts.registry.len() == 0 {
                    self.parts.inbox.set_active(false);
                }
                Ok(Reply::NoContent)
            }
            Command::Link { id, streams } => {
                let subscription = self.parts.registry.get(&id).ok_or_else(|| missing(&id))?;
                if let Some(path) = streams.iter().find(|path| subscription.config.wakes_on(path)) {
                    let reason =
                        format!("\"streams\" contains the wake_stream {path}: every wake would cause the next");
                    return Err(ApiError::InvalidRequest(reason));
                }
                self.parts.registry.link(&id, streams, &*self.parts.port);
                Ok(Reply::NoContent)
            }
            Command::Unlink { id, stream } => {
                self.parts.registry.get(&id).ok_or_else(|| missing(&id))?;
                self.parts.registry.unlink(&id, &stream);
                Ok(Reply::NoContent)
            }
            Command::Claim { id, worker } => self.claim(&id, &worker),
            Command::Acknowledge { id, kind, fence, acks, done } => {
                self.expect_kind(&id, kind)?;
                self.refresh_tails(&id, acks.iter().map(|ack| &ack.stream));
                let moment = self.moment();
                let result = self.parts.registry.update(&id, |it| it.acknowledge(&fence, &acks, done, moment));
                let next_wake = result.ok_or_else(|| missing(&id))??;
                Ok(Reply::Ok(serde_json::json!({ "ok": true, "next_wake": next_wake })))
            }
            Command::Release { id, fence } => self.release(&id, &fence),
        }
    }

    fn create(&mut self, id: &str, config: Config, public_base: &str) -> Answer {
        let root = self.parts.registry.root().clone();
        if let Some(existing) = self.parts.registry.get(id) {
            if existing.config.hash(&root) != config.hash(&root) {
                return Err(ApiError::SubscriptionAlreadyExists(id.to_owned()));
            }
            if existing.public_base != public_base {
                // The server moved: later callbacks go to where it is known now.
                self.parts.registry.update(id, |subscription| subscription.move_to(public_base));
            }
            let existing = self.parts.registry.get(id).ok_or_else(|| ApiError::SubscriptionNotFound(id.to_owned()))?;
            return Ok(Reply::Ok(self.shown(existing, public_base)));
        }
        if self.parts.registry.len() >= self.parts.max_subscriptions {
            return Err(ApiError::TooManySubscriptions(self.parts.max_subscriptions));
        }
        // Before the tails are looked up: what is appended after that is collected.
        self.parts.inbox.set_active(true);
        self.parts.registry.create(id, config, public_base, self.parts.host.now_ms(), &*self.parts.port);
        let created = self.parts.registry.get(id).ok_or_else(|| ApiError::SubscriptionNotFound(id.to_owned()))?;
        Ok(Reply::Created(self.shown(created, public_base)))
    }

    fn claim(&mut self, id: &str, worker: &str) -> Answer {
        self.expect_kind(id, "pull-wake")?;
        let moment = self.moment();
        let missing = || ApiError::SubscriptionNotFound(id.to_owned());
        self.parts.registry.update(id, |it| it.claim(worker, moment)).ok_or_else(missing)??;
        let subscription = self.parts.registry.get(id).ok_or_else(missing)?;
        let wake = subscription.wake.as_ref().ok_or(ApiError::NoPendingWork)?;
        let token = self.parts.tokens.issue(id, subscription.generation, moment.now);
        Ok(Reply::Ok(view::claim(subscription, wake, self.parts.registry.root(), &token)))
    }

    fn release(&mut self, id: &str, fence: &Fence) -> Answer {
        self.expect_kind(id, "pull-wake")?;
        let moment = self.moment();
        let result = self.parts.registry.update(id, |it| it.release(fence, moment));
        result.ok_or_else(|| ApiError::SubscriptionNotFound(id.to_owned()))??;
        Ok(Reply::NoContent)
    }

    fn expect_kind(&self, id: &str, kind: &'static str) -> Result<(), ApiError> {
        let subscription = self.parts.registry.get(id).ok_or_else(|| ApiError::SubscriptionNotFound(id.to_owned()))?;
        let actual = subscription.config.delivery.kind();
        if actual == kind {
            return Ok(());
        }
        Err(ApiError::InvalidRequest(format!("this call is for subscriptions of type {kind:?}; {id:?} is {actual:?}")))
    }

    /// A worker may have read what the hub has not heard of yet.
    fn refresh_tails<'p>(&mut self, id: &str, paths: impl Iterator<Item = &'p crate::path::StreamPath>) {
        for path in paths {
            if let Some(tail) = self.parts.port.tail(path) {
                self.parts.registry.update(id, |subscription| subscription.advance(path, tail));
            }
        }
    }

    /// Sends a notification, unless the wake it belongs to is over.
    fn send(&mut self, id: Id, notify: &Notify) {
        let Some(subscription) = self.parts.registry.get(&id) else { return };
        let Some(wake) = &subscription.wake else { return };
        if wake.id != notify.wake_id || wake.notice != Notice::InFlight {
            return;
        }
        let wake_id = notify.wake_id.clone();
        let root = self.parts.registry.root();
        match &subscription.config.delivery {
            Delivery::PullWake { wake_stream } => {
                let event = view::wake_event(subscription, wake, root, self.parts.host.now_ms());
                let (port, path) = (Arc::clone(&self.parts.port), wake_stream.clone());
                self.tasks.spawn(async move {
                    let outcome = match port.append(&path, event).await {
                        Ok(()) => Outcome::Told,
                        Err(EventError::Refused(reason)) => {
                            // protocol.md §23.5: skipped; a claim still works.
                            tracing::warn!(subscription = %id, wake_stream = %path, reason, "no wake event was written");
                            Outcome::Told
                        }
                        Err(EventError::Store(error)) => {
                            tracing::warn!(subscription = %id, wake_stream = %path, %error, "the wake event will be written again");
                            Outcome::Failed
                        }
                    };
                    (id, wake_id, outcome)
                });
            }
            Delivery::Webhook { url } => {
                let token = self.parts.tokens.issue(&id, subscription.generation, self.parts.host.now_ms());
                let base = self.parts.public_url.as_deref().unwrap_or(&subscription.public_base);
                let body = view::webhook_body(subscription, wake, root, base, &token);
                let timeout = MAX_TIMEOUT.min(Duration::from_millis(subscription.config.lease_ttl_ms));
                let (deliverer, url, permits) = (self.parts.deliverer.clone(), url.clone(), Arc::clone(&self.permits));
                self.tasks.spawn(async move {
                    let _permit = permits.acquire_owned().await;
                    let outcome = deliverer.post(&url, body, timeout).await.unwrap_or_else(|error| {
                        tracing::warn!(subscription = %id, wake = %wake_id, %error, "the webhook will be sent again");
                        Outcome::Failed
                    });
                    (id, wake_id, outcome)
                });
            }
        }
    }

    fn shown(&self, subscription: &Subscription, public_base: &str) -> serde_json::Value {
        view::subscription(subscription, self.parts.registry.root(), self.parts.keys.read().kid(), public_base)
    }

    fn moment(&self) -> Moment {
        Moment::of(&*self.parts.host)
    }
}

impl From<ClaimError> for ApiError {
    fn from(error: ClaimError) -> Self {
        match error {
            ClaimError::AlreadyClaimed { holder, generation } => {
                Self::AlreadyClaimed { current_holder: holder, generation }
            }
            ClaimError::NoPendingWork => Self::NoPendingWork,
        }
    }
}

impl From<AckError> for ApiError {
    fn from(error: AckError) -> Self {
        match error {
            AckError::Fenced(reason) => Self::Fenced(reason),
            AckError::InvalidOffset(reason) => Self::InvalidOffset(reason),
        }
    }
}
