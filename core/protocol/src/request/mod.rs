//! Requests we would like sent: one planner per operation.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method};

use crate::headers;

pub mod append;
pub mod close;
pub mod create;
pub mod delete;
pub mod head;
pub mod read;

/// A request the driver should send. The driver adds the stream URL, the user's
/// headers and parameters, and sorts the query by key.
#[derive(Debug, Clone)]
pub struct RequestPlan {
    /// What the request is for; answers are read in its light.
    pub operation: Operation,
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

/// The operations of the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Operation {
    /// PUT.
    Create,
    /// POST with a body.
    Append,
    /// POST that ends the stream, with or without a last message.
    Close,
    /// DELETE.
    Delete,
    /// HEAD.
    Head,
    /// GET in any mode.
    Read,
}

/// Whether sending a request twice has the effect of sending it once (protocol.md §25.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Idempotency {
    /// A repeat is harmless: reads, creates, deletes, close-only, anything with producer headers.
    Repeatable,
    /// A repeat may apply twice: an append without producer headers.
    OnceOnly,
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

/// An argument that no request can carry. Nothing was sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{argument}: {reason}")]
pub struct InvalidArgument {
    /// The argument's name.
    pub argument: &'static str,
    /// What is wrong with it, with the value.
    pub reason: String,
}

impl InvalidArgument {
    /// Names the argument and what is wrong with it.
    pub fn new(argument: &'static str, reason: impl Into<String>) -> Self {
        Self { argument, reason: reason.into() }
    }
}

impl Operation {
    /// The operation's name, as error texts show it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Append => "append",
            Self::Close => "close",
            Self::Delete => "delete",
            Self::Head => "head",
            Self::Read => "read",
        }
    }
}

impl RequestPlan {
    /// A plan without query, headers or body that expects one answer, soon.
    pub fn new(operation: Operation, method: Method) -> Self {
        Self {
            operation,
            method,
            query: Vec::new(),
            headers: HeaderMap::new(),
            body: Bytes::new(),
            timeout: TimeoutClass::OneShot,
        }
    }

    /// Whether the request may be sent again without knowing how it ended.
    pub fn idempotency(&self) -> Idempotency {
        // protocol.md §25.4: producer headers make an append repeatable; a close without a
        // body always is.
        if self.method != Method::POST || self.carries(&headers::PRODUCER_ID) || self.body.is_empty() {
            Idempotency::Repeatable
        } else {
            Idempotency::OnceOnly
        }
    }

    /// Whether the plan carries a header.
    pub fn carries(&self, name: &HeaderName) -> bool {
        self.headers.contains_key(name)
    }
}

/// Turns an argument into a header value, or names the argument.
fn header_value(argument: &'static str, value: &str) -> Result<HeaderValue, InvalidArgument> {
    HeaderValue::from_str(value)
        .or_else(|_| HeaderValue::from_bytes(value.as_bytes()))
        .map_err(|_| InvalidArgument::new(argument, format!("{value:?} contains characters no HTTP header can carry")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_appends_are_once_only() {
        let plain = append::Append { body: Bytes::from_static(b"x"), content_type: "text/plain", ..Default::default() };
        assert_eq!(plain.clone().plan().expect("valid").idempotency(), Idempotency::OnceOnly);
        let tag = append::ProducerTag { id: HeaderValue::from_static("p"), epoch: 0, seq: 0 };
        let produced = append::Append { producer: Some(tag), ..plain };
        assert_eq!(produced.plan().expect("valid").idempotency(), Idempotency::Repeatable);
        assert_eq!(close::Close::default().plan().expect("valid").idempotency(), Idempotency::Repeatable);
        assert_eq!(delete::plan().idempotency(), Idempotency::Repeatable);
    }
}
