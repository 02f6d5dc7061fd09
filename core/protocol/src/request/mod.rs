//! Requests we would like sent: one planner per operation.

use bytes::Bytes;
use http::{HeaderMap, Method};

/// A request the driver should send. The driver adds the stream URL, the user's
/// headers and parameters, and sorts the query by key.
#[derive(Debug, Clone)]
pub struct RequestPlan {
    /// HTTP method.
    pub method: Method,
    /// Protocol parameters, values not yet percent-encoded.
    pub query: Vec<(&'static str, String)>,
    /// Protocol headers; they win over the user's.
    pub headers: HeaderMap,
    /// Whole body; cloning shares the buffer.
    pub body: Bytes,
    /// Which time limit applies.
    pub timeout: TimeoutClass,
}

/// Which time limit applies to a request; the client's options give the numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimeoutClass {
    /// One answer, soon: 30 s in total by default.
    OneShot,
    /// The server may hold the answer: 65 s by default.
    LongPoll,
    /// No total limit; silence of 90 s breaks the connection by default.
    Streaming,
}
