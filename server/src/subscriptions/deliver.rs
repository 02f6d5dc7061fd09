//! Sends webhooks: one signed POST, bounded in time and size, to an address the guard
//! has judged (protocol.md §23.7 to §23.9).

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use bytes::Bytes;
use durable_streams_protocol::headers::WEBHOOK_SIGNATURE;
use http::header::CONTENT_TYPE;
use parking_lot::RwLock;
use serde::Deserialize;

use super::{
    host::Host,
    machine::Outcome,
    signing::KeyRing,
    ssrf::{Guard, Rejected},
};

/// How much of an answer is read; more than `{"done":true}` needs.
const MAX_ANSWER: usize = 64 * 1024;
/// Longest request, whatever the lease.
pub(crate) const MAX_TIMEOUT: Duration = Duration::from_secs(30);
/// How long opening a connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Sends webhooks. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Deliverer {
    /// Made for the first delivery: a server without webhooks needs no certificate store.
    client: Arc<OnceLock<reqwest::Client>>,
    guard: Guard,
    keys: Arc<RwLock<KeyRing>>,
    host: Arc<dyn Host>,
}

/// Why a delivery failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DeliveryError {
    #[error("webhooks are switched off")]
    Off,
    #[error("the URL is refused: {0}")]
    Refused(#[from] Rejected),
    #[error("the webhook answered {0}")]
    Status(http::StatusCode),
    #[error("{}", with_causes(.0))]
    Network(#[from] reqwest::Error),
}

impl Deliverer {
    /// Sends to what the guard lets pass, signed with the current key.
    pub(crate) fn new(guard: Guard, keys: Arc<RwLock<KeyRing>>, host: Arc<dyn Host>) -> Self {
        Self { client: Arc::default(), guard, keys, host }
    }

    /// Posts a wake; tells whether the receiver is already done with it.
    pub(crate) async fn post(&self, url: &str, body: Bytes, timeout: Duration) -> Result<Outcome, DeliveryError> {
        if self.guard.is_off() {
            return Err(DeliveryError::Off);
        }
        let url = self.guard.check_url(url)?;
        let signature = self.keys.read().sign(&body, self.host.now_ms());
        let mut answer = self
            .client()?
            .post(url)
            .timeout(timeout)
            .header(CONTENT_TYPE, "application/json")
            .header(WEBHOOK_SIGNATURE, signature)
            .body(body)
            .send()
            .await?;
        if !answer.status().is_success() {
            return Err(DeliveryError::Status(answer.status()));
        }
        let mut text = Vec::new();
        while let Ok(Some(piece)) = answer.chunk().await {
            text.extend_from_slice(&piece);
            if text.len() > MAX_ANSWER {
                return Ok(Outcome::Told);
            }
        }
        Ok(if says_done(&text) { Outcome::Done } else { Outcome::Told })
    }

    fn client(&self) -> Result<&reqwest::Client, reqwest::Error> {
        if let Some(client) = self.client.get() {
            return Ok(client);
        }
        let client = client_builder(&self.guard).build()?;
        Ok(self.client.get_or_init(|| client))
    }
}

/// A client that follows no redirect, uses no proxy and resolves names through the guard.
fn client_builder(guard: &Guard) -> reqwest::ClientBuilder {
    // reqwest is built without a provider of its own; whoever named one first keeps it.
    let _ = tokio_rustls::rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder()
        .user_agent(concat!("durable-streams-server/", env!("CARGO_PKG_VERSION")))
        .redirect(reqwest::redirect::Policy::none())
        // A proxy would connect where it likes, past the guard.
        .no_proxy()
        .dns_resolver(Arc::new(guard.clone()))
        .connect_timeout(CONNECT_TIMEOUT)
        .pool_max_idle_per_host(4)
        .pool_idle_timeout(Duration::from_secs(30))
}

fn says_done(answer: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Answer {
        done: bool,
    }
    serde_json::from_slice::<Answer>(answer).is_ok_and(|answer| answer.done)
}

/// reqwest's own text leaves the reason out: it is in the chain of sources.
fn with_causes(error: &reqwest::Error) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests;
