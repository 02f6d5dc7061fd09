//! What the HTTP side asks of the hub, already checked for form.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{ack::Ack, config::Config, error::ApiError, machine::Fence};
use crate::path::StreamPath;

/// A request to the hub.
#[derive(Debug)]
pub(crate) enum Command {
    Create {
        id: String,
        config: Config,
        public_base: String,
    },
    Get {
        id: String,
        public_base: String,
    },
    Delete {
        id: String,
    },
    Link {
        id: String,
        streams: BTreeSet<StreamPath>,
    },
    Unlink {
        id: String,
        stream: StreamPath,
    },
    Claim {
        id: String,
        worker: String,
    },
    /// A callback (`kind` webhook) or an ack (`kind` pull-wake).
    Acknowledge {
        id: String,
        kind: &'static str,
        fence: Fence,
        acks: Vec<Ack>,
        done: bool,
    },
    Release {
        id: String,
        fence: Fence,
    },
}

/// A successful answer.
#[derive(Debug)]
pub(crate) enum Reply {
    Created(Value),
    Ok(Value),
    NoContent,
}

/// What the hub answers.
pub(crate) type Answer = Result<Reply, ApiError>;
