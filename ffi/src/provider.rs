//! Headers and parameters that the host language computes for every HTTP request.

use std::sync::Arc;

use durable_streams_bindings::{
    BoxError, BoxFuture,
    client::{self, Dynamic},
    error::HostError,
};

use crate::settings::{NameValue, tuples};

/// A source of headers and query parameters.
#[uniffi::export(foreign)]
#[async_trait::async_trait]
pub trait ValueProvider: Send + Sync {
    /// Asked before every HTTP request, retries and reconnects included. An error fails the
    /// request, which is not sent.
    async fn resolve(&self) -> Result<Resolved, ProviderError>;
}

/// What a source gave.
#[derive(Debug, Clone, Default, uniffi::Record)]
pub struct Resolved {
    /// Headers; they replace static ones of the same name.
    pub headers: Vec<NameValue>,
    /// Query parameters.
    pub params: Vec<NameValue>,
}

/// A source that failed.
#[derive(Debug, Clone, thiserror::Error, uniffi::Error)]
pub enum ProviderError {
    /// It said why.
    #[error("{reason}")]
    Failed {
        /// Its words.
        reason: String,
    },
    /// It raised an exception, which the host keeps.
    #[error("{reason}")]
    Raised {
        /// Its words.
        reason: String,
        /// What the host finds the exception by.
        number: u64,
    },
}

impl ProviderError {
    /// The number of the exception that the host keeps.
    pub(crate) const fn number(&self) -> Option<u64> {
        match self {
            Self::Failed { .. } => None,
            Self::Raised { number, .. } => Some(*number),
        }
    }

    /// The same, for the core to carry.
    pub(crate) fn boxed(self) -> BoxError {
        HostError::new(self.to_string(), self).boxed()
    }
}

impl From<uniffi::UnexpectedUniFFICallbackError> for ProviderError {
    fn from(error: uniffi::UnexpectedUniFFICallbackError) -> Self {
        Self::Failed { reason: error.reason }
    }
}

/// A host's source as the shared layer asks it.
pub(crate) struct Foreign(pub(crate) Arc<dyn ValueProvider>);

impl Dynamic for Foreign {
    fn resolve(&self) -> BoxFuture<'static, Result<client::Resolved, BoxError>> {
        let provider = Arc::clone(&self.0);
        Box::pin(async move {
            match provider.resolve().await {
                Ok(resolved) => {
                    Ok(client::Resolved { headers: tuples(resolved.headers), params: tuples(resolved.params) })
                }
                Err(error) => Err(error.boxed()),
            }
        })
    }
}
