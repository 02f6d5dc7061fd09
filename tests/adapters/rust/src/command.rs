//! Every command with its fields (adapter-protocol §2).

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

/// One command. Fields of other commands stay empty; unknown ones are ignored.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Command {
    #[serde(rename = "type")]
    pub(crate) kind: String,
    pub(crate) server_url: String,
    pub(crate) path: String,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) content_type: Option<String>,
    pub(crate) ttl_seconds: Option<u64>,
    pub(crate) expires_at: Option<String>,
    pub(crate) closed: bool,
    pub(crate) data: Option<String>,
    pub(crate) binary: bool,
    pub(crate) seq: Option<u64>,
    pub(crate) fork_from: Option<String>,
    pub(crate) fork_offset: Option<String>,
    pub(crate) fork_sub_offset: Option<u64>,
    // Reads.
    pub(crate) offset: Option<String>,
    pub(crate) live: Value,
    pub(crate) timeout_ms: Option<u64>,
    pub(crate) max_chunks: Option<usize>,
    pub(crate) wait_for_up_to_date: bool,
    pub(crate) cursor: Option<String>,
    pub(crate) if_none_match: Option<String>,
    pub(crate) readers: Option<usize>,
    // Producers.
    pub(crate) producer_id: Option<String>,
    pub(crate) producer_epoch: Option<u64>,
    pub(crate) producer_seq: Option<u64>,
    pub(crate) epoch: u64,
    pub(crate) auto_claim: bool,
    pub(crate) items: Vec<String>,
    pub(crate) max_in_flight: Option<usize>,
    // Dynamic values.
    pub(crate) name: String,
    pub(crate) value_type: String,
    pub(crate) initial_value: Option<String>,
    // The rest.
    pub(crate) target: Value,
    pub(crate) long_poll_timeout_ms: Option<u64>,
    pub(crate) request_timeout_ms: Option<u64>,
    pub(crate) sse_idle_timeout_ms: Option<u64>,
    pub(crate) iteration_id: String,
    pub(crate) operation: Value,
}

impl Command {
    /// The producer's id.
    pub(crate) fn producer_id(&self) -> &str {
        self.producer_id.as_deref().unwrap_or_default()
    }

    /// The data as text.
    pub(crate) fn text(&self) -> &str {
        self.data.as_deref().unwrap_or_default()
    }
}
