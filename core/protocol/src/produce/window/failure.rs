//! Why batches will never be delivered.

use std::fmt;

use crate::{
    error::{ErrorCode, Facts},
    produce::decide::ProducerState,
};

/// Why a batch, and with it every later one, is given up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// What happened.
    pub code: ErrorCode,
    /// What the last answer told.
    pub facts: Facts,
    /// The tuple of the batch, or the next one when no batch is concerned.
    pub state: ProducerState,
    /// How often the batch was sent.
    pub tries: u32,
    /// For people; carries no URL.
    pub detail: String,
    /// The start of the answer's text, for people.
    pub server_text: Option<Box<str>>,
}

impl Failure {
    /// A failure that concerns no batch.
    pub fn new(code: ErrorCode, detail: impl Into<String>) -> Self {
        let state = ProducerState { epoch: 0, seq: 0 };
        Self { code, facts: Facts::default(), state, tries: 0, detail: detail.into(), server_text: None }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.detail)?;
        if let Some(status) = self.facts.status {
            write!(f, " (status {status})")?;
        }
        if self.tries > 0 {
            write!(f, " [epoch {}, seq {}, ", self.state.epoch, self.state.seq)?;
            if self.tries == 1 { f.write_str("sent once]") } else { write!(f, "sent {} times]", self.tries) }?;
        }
        Ok(())
    }
}

impl std::error::Error for Failure {}
