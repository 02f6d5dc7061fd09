//! Settings of a client.

use std::{fmt, sync::Arc};

use durable_streams_bindings::client::{ClientConfig, Dynamic, RetryNumbers};

use crate::{
    provider::{Foreign, ValueProvider},
    transport::{ForeignTransport, HttpTransport},
};

/// A header or a query parameter.
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Record)]
pub struct NameValue {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: String,
}

/// How requests are repeated; absent numbers keep the core's defaults.
#[derive(Debug, Clone, Copy, Default, uniffi::Record)]
pub struct RetrySettings {
    /// Whole and not negative; infinity never gives up.
    #[uniffi(default = None)]
    pub max_retries: Option<f64>,
    /// More than 0. Units: ms.
    #[uniffi(default = None)]
    pub initial_delay_ms: Option<f64>,
    /// Not below the initial delay. Units: ms.
    #[uniffi(default = None)]
    pub max_delay_ms: Option<f64>,
    /// At least 1.
    #[uniffi(default = None)]
    pub multiplier: Option<f64>,
}

/// Settings of a client; absent ones keep the core's defaults.
#[derive(Clone, uniffi::Record)]
pub struct ClientSettings {
    /// URL that relative stream names are joined to.
    #[uniffi(default = None)]
    pub base_url: Option<String>,
    /// Headers of every request.
    #[uniffi(default = [])]
    pub headers: Vec<NameValue>,
    /// Query parameters of every request.
    #[uniffi(default = [])]
    pub params: Vec<NameValue>,
    /// A source of further headers and parameters, asked before every HTTP request.
    #[uniffi(default = None)]
    pub provider: Option<Arc<dyn ValueProvider>>,
    /// Limit of one exchange. Units: ms.
    #[uniffi(default = None)]
    pub timeout_ms: Option<f64>,
    /// Limit of an unanswered long-poll. Units: ms.
    #[uniffi(default = None)]
    pub long_poll_timeout_ms: Option<f64>,
    /// Limit of the silence of an SSE answer. Units: ms.
    #[uniffi(default = None)]
    pub sse_idle_timeout_ms: Option<f64>,
    /// Limit of making a connection, on connections of its own. Units: ms.
    #[uniffi(default = None)]
    pub connect_timeout_ms: Option<f64>,
    /// How requests are repeated.
    #[uniffi(default = None)]
    pub retry: Option<RetrySettings>,
    /// The host's own HTTP client.
    #[uniffi(default = None)]
    pub transport: Option<Arc<dyn HttpTransport>>,
}

impl From<ClientSettings> for ClientConfig {
    fn from(settings: ClientSettings) -> Self {
        let dynamic = settings.provider.map(|provider| Arc::new(Foreign(provider)) as Arc<dyn Dynamic>);
        Self {
            base_url: settings.base_url,
            headers: tuples(settings.headers),
            params: tuples(settings.params),
            dynamic: dynamic.into_iter().collect(),
            timeout_ms: settings.timeout_ms,
            long_poll_timeout_ms: settings.long_poll_timeout_ms,
            sse_idle_timeout_ms: settings.sse_idle_timeout_ms,
            connect_timeout_ms: settings.connect_timeout_ms,
            retry: settings.retry.map(RetryNumbers::from).unwrap_or_default(),
            transport: settings.transport.map(|transport| Arc::new(ForeignTransport(transport)) as _),
            ..Self::default()
        }
    }
}

impl From<RetrySettings> for RetryNumbers {
    fn from(settings: RetrySettings) -> Self {
        Self {
            max_retries: settings.max_retries,
            initial_delay_ms: settings.initial_delay_ms,
            max_delay_ms: settings.max_delay_ms,
            multiplier: settings.multiplier,
        }
    }
}

impl fmt::Debug for ClientSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Header values may be credentials.
        f.debug_struct("ClientSettings").field("base_url", &self.base_url).finish_non_exhaustive()
    }
}

/// The shared layer's spelling of pairs.
pub(crate) fn tuples(pairs: Vec<NameValue>) -> Vec<(String, String)> {
    pairs.into_iter().map(|pair| (pair.name, pair.value)).collect()
}

/// Pairs as records.
pub(crate) fn pairs(tuples: Vec<(String, String)>) -> Vec<NameValue> {
    tuples.into_iter().map(|(name, value)| NameValue { name, value }).collect()
}
