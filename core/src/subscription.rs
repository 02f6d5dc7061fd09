//! Working off subscriptions: [`verify_webhook`] for those who are called, [`Worker`] for those
//! who ask. The rules are in [`protocol::subscription`](crate::protocol::subscription).

#[cfg(feature = "rustls")]
use std::time::{SystemTime, UNIX_EPOCH};

pub use durable_streams_protocol::subscription::{Ack, KeySet, LeaseError, Wake, WakeStream, WebhookError};
use durable_streams_protocol::{
    request::RequestPlan,
    subscription::{self, Lease as Rules},
};
use http::StatusCode;

use crate::{
    Client,
    driver::{
        exchange::Extras,
        url::{StreamUrl, join},
    },
    error::Failure,
};

/// Takes a webhook for genuine, or says why not: the signature is over the raw bytes, by a key
/// of the set, of the last five minutes, for this subscription.
/// Source: protocol.md §23.8.
#[cfg(feature = "rustls")]
pub fn verify_webhook(
    headers: &http::HeaderMap,
    raw_body: &[u8],
    keys: &KeySet,
    subscription_id: &str,
    now: SystemTime,
) -> Result<Wake, WebhookError> {
    let seconds = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    subscription::check_webhook(headers, raw_body, keys, subscription_id, seconds, |key, message, signature| {
        ring::signature::UnparsedPublicKey::new(&ring::signature::ED25519, key).verify(message, signature).is_ok()
    })
}

/// A worker of one pull-wake subscription.
#[derive(Debug, Clone)]
pub struct Worker {
    client: Client,
    /// The subscription's URL.
    url: String,
    name: String,
}

/// Why a worker's request failed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum WorkerError {
    /// The lease is lost, or the server refused.
    #[error(transparent)]
    Lease(#[from] LeaseError),
    /// No answer, or an argument that cannot be used.
    #[error(transparent)]
    Failure(#[from] Failure),
}

/// A lease, until it is lost or given back.
#[derive(Debug, Clone)]
pub struct Lease {
    worker: Worker,
    rules: Rules,
}

impl Worker {
    /// A worker by this name. `url` is the subscription's own, or below the client's base URL.
    pub fn new(client: &Client, url: &str, name: &str) -> Self {
        Self { client: client.clone(), url: url.trim_end_matches('/').to_owned(), name: name.to_owned() }
    }

    /// Asks for the lease. `None`: somebody else holds it, or there is nothing to do.
    pub async fn claim(&self) -> Result<Option<Lease>, WorkerError> {
        let plan = subscription::claim(&self.name).map_err(Failure::from)?;
        let (status, body) = self.send("claim", &plan).await?;
        Ok(subscription::claimed(status, &body)?.map(|rules| Lease { worker: self.clone(), rules }))
    }

    async fn send(&self, action: &str, plan: &RequestPlan) -> Result<(StatusCode, Vec<u8>), Failure> {
        let url = StreamUrl::parse(&join(self.client.base_url(), &format!("{}/{action}", self.url))?)?;
        let exchange = self.client.exchange();
        let mut reply = exchange.send(&url, plan, &Extras::default()).await?;
        Ok((reply.head.status, exchange.drain(reply.body.as_mut()).await))
    }
}

impl Lease {
    /// What is to be done.
    pub const fn wake(&self) -> &Wake {
        self.rules.wake()
    }

    /// Whether it was lost or given back.
    pub const fn is_over(&self) -> bool {
        self.rules.is_over()
    }

    /// Acknowledges, and keeps the lease. Without acknowledgements: a sign of life.
    /// Errors: [`LeaseError::Lost`]: stop working; later calls send nothing (C46).
    pub async fn ack(&mut self, acks: &[Ack]) -> Result<(), WorkerError> {
        let plan = self.rules.ack(acks, false)?;
        self.tell("ack", &plan, false).await.map(drop)
    }

    /// Acknowledges and ends the lease. `true`: there is more to do, claim again.
    /// Errors: as [`Lease::ack`].
    pub async fn finish(&mut self, acks: &[Ack]) -> Result<bool, WorkerError> {
        let plan = self.rules.ack(acks, true)?;
        self.tell("ack", &plan, true).await
    }

    /// Gives the lease back without acknowledging.
    /// Errors: as [`Lease::ack`].
    pub async fn release(&mut self) -> Result<(), WorkerError> {
        let plan = self.rules.release()?;
        self.tell("release", &plan, true).await.map(drop)
    }

    async fn tell(&mut self, action: &str, plan: &RequestPlan, ends: bool) -> Result<bool, WorkerError> {
        let (status, body) = self.worker.send(action, plan).await?;
        Ok(self.rules.handle_reply(status, &body, ends)?)
    }
}
