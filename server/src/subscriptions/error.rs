//! Errors of the control API (protocol.md §23.3).

use http::StatusCode;
use serde_json::{Value, json};

use crate::store::StoreError;

/// Why a control request failed; knows its status, code and body.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum ApiError {
    #[error("{0}")]
    InvalidRequest(String),
    #[error("webhook.url is refused: {0}")]
    WebhookUrlRejected(String),
    #[error("there is no subscription {0:?}")]
    SubscriptionNotFound(String),
    #[error("the subscription {0:?} exists with another configuration; delete it first or choose another id")]
    SubscriptionAlreadyExists(String),
    #[error("{0}; nothing was acknowledged")]
    InvalidOffset(String),
    #[error("{0}")]
    TokenInvalid(&'static str),
    #[error("the token has expired")]
    TokenExpired,
    #[error("the wake is over: {0}")]
    Fenced(&'static str),
    #[error("worker {current_holder:?} holds the lease of generation {generation}")]
    AlreadyClaimed { current_holder: String, generation: u64 },
    #[error("no linked stream has unprocessed data")]
    NoPendingWork,
    #[error("the server holds its limit of {0} subscriptions")]
    TooManySubscriptions(usize),
    #[error("there is no control API at this path")]
    UnknownPath,
    #[error("this control API answers to {allow} only")]
    MethodNotAllowed { allow: &'static str },
    #[error("the server is stopping")]
    Stopping,
    #[error("the change could not be stored: {0}")]
    Store(#[from] StoreError),
}

impl ApiError {
    /// The status of the answer.
    pub(crate) const fn status(&self) -> StatusCode {
        match self {
            Self::InvalidRequest(_) | Self::WebhookUrlRejected(_) => StatusCode::BAD_REQUEST,
            Self::TokenInvalid(_) | Self::TokenExpired => StatusCode::UNAUTHORIZED,
            Self::SubscriptionNotFound(_) | Self::UnknownPath => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed { .. } => StatusCode::METHOD_NOT_ALLOWED,
            Self::SubscriptionAlreadyExists(_)
            | Self::InvalidOffset(_)
            | Self::Fenced(_)
            | Self::AlreadyClaimed { .. }
            | Self::NoPendingWork => StatusCode::CONFLICT,
            Self::TooManySubscriptions(_) | Self::Stopping => StatusCode::SERVICE_UNAVAILABLE,
            Self::Store(StoreError::Full(_)) => StatusCode::INSUFFICIENT_STORAGE,
            Self::Store(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// The machine-readable reason.
    pub(crate) const fn code(&self) -> &'static str {
        match self {
            Self::InvalidRequest(_) => "INVALID_REQUEST",
            Self::WebhookUrlRejected(_) => "WEBHOOK_URL_REJECTED",
            Self::SubscriptionNotFound(_) => "SUBSCRIPTION_NOT_FOUND",
            Self::SubscriptionAlreadyExists(_) => "SUBSCRIPTION_ALREADY_EXISTS",
            Self::InvalidOffset(_) => "INVALID_OFFSET",
            Self::TokenInvalid(_) => "TOKEN_INVALID",
            Self::TokenExpired => "TOKEN_EXPIRED",
            Self::Fenced(_) => "FENCED",
            Self::AlreadyClaimed { .. } => "ALREADY_CLAIMED",
            Self::NoPendingWork => "NO_PENDING_WORK",
            Self::TooManySubscriptions(_) => "TOO_MANY_SUBSCRIPTIONS",
            Self::UnknownPath => "NOT_FOUND",
            Self::MethodNotAllowed { .. } => "METHOD_NOT_ALLOWED",
            Self::Stopping => "UNAVAILABLE",
            Self::Store(StoreError::Full(_)) => "STORAGE_FULL",
            Self::Store(_) => "INTERNAL_ERROR",
        }
    }

    /// The JSON body: code, message and, where they help, the facts of the conflict.
    pub(crate) fn body(&self) -> Value {
        let mut error = json!({ "code": self.code(), "message": self.to_string() });
        if let Self::AlreadyClaimed { current_holder, generation } = self {
            error["current_holder"] = json!(current_holder);
            error["generation"] = json!(generation);
        }
        json!({ "error": error })
    }
}
