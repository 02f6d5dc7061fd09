//! Close: POST with `Stream-Closed: true` (protocol.md §7).

use bytes::Bytes;
use http::Method;

use super::{
    InvalidArgument, Operation, RequestPlan,
    append::{Append, ProducerTag},
};
use crate::headers;

/// How to end a stream for everyone.
#[derive(Debug, Clone, Default)]
pub struct Close<'a> {
    /// A last message, stored in the same step as the closure; empty = none.
    pub body: Bytes,
    /// The stream's content type; only sent with a body.
    pub content_type: &'a str,
    /// Identity of an idempotent producer's request.
    pub producer: Option<ProducerTag>,
}

impl Close<'_> {
    /// The request. Without a body it is idempotent; with one only a producer's is.
    pub fn plan(self) -> Result<RequestPlan, InvalidArgument> {
        if !self.body.is_empty() {
            let Self { body, content_type, producer } = self;
            return Append { body, content_type, producer, close: true, ..Append::default() }.plan();
        }
        let mut plan = RequestPlan::new(Operation::Close, Method::POST);
        plan.headers.insert(headers::STREAM_CLOSED, headers::TRUE);
        if let Some(tag) = self.producer {
            tag.apply(&mut plan.headers);
        }
        Ok(plan)
    }
}
