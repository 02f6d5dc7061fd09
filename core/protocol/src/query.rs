//! Query parameters of reads (protocol.md §3.3).

/// Where to start.
pub const OFFSET: &str = "offset";
/// Live mode.
pub const LIVE: &str = "live";
/// Last cursor received.
pub const CURSOR: &str = "cursor";
/// `live` value of a long-poll.
pub const LONG_POLL: &str = "long-poll";
/// `live` value of server-sent events.
pub const SSE: &str = "sse";

/// Parameters that only the protocol sets; custom ones of these names are refused.
pub const RESERVED: [&str; 3] = [CURSOR, LIVE, OFFSET];
