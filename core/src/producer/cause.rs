//! Why messages were not delivered.

use std::sync::Arc;

use durable_streams_protocol::{produce::window, request::Operation};

use crate::error::{ErrorCode, Failure, ProducerError};

/// A failure, and the epoch this producer wrote with.
#[derive(Debug, Clone)]
pub(crate) struct Cause {
    pub(crate) failure: Failure,
    epoch: u64,
}

impl Cause {
    /// A failure that no request caused.
    pub(super) fn local(code: ErrorCode, detail: impl Into<String>, url: &Arc<str>) -> Self {
        Self { failure: Failure::new(code, detail).at(Operation::Append, url), epoch: 0 }
    }

    /// The window's failure, told of the stream.
    pub(super) fn of(failure: &window::Failure, url: &Arc<str>) -> Self {
        let window::Failure { code, facts, state, tries, detail, server_text } = failure;
        let detail = match tries {
            0 => detail.clone(),
            _ => format!("{detail}, to the batch with epoch {} and seq {}", state.epoch, state.seq),
        };
        let failure = Failure::new(*code, detail)
            .with_facts(facts.clone())
            .with_server_text(server_text.as_deref().unwrap_or_default())
            .after(*tries, *tries > 1)
            .at(Operation::Append, url);
        Self { failure, epoch: state.epoch }
    }
}

impl From<Failure> for Cause {
    fn from(failure: Failure) -> Self {
        Self { failure, epoch: 0 }
    }
}

impl From<Cause> for ProducerError {
    fn from(cause: Cause) -> Self {
        Self::from_failure(&cause.failure, cause.epoch)
    }
}
