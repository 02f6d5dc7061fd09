//! Append: POST with a body (protocol.md §6).

use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, Method,
    header::{CONTENT_TYPE, IF_MATCH},
};

use super::{InvalidArgument, Operation, RequestPlan, header_value};
use crate::headers;

/// What to append.
#[derive(Debug, Clone, Default)]
pub struct Append<'a> {
    /// The payload. Shape: bytes; on JSON streams one value, or an array of values which
    /// the server flattens once.
    pub body: Bytes,
    /// The stream's content type.
    pub content_type: &'a str,
    /// Writer coordination token (`Stream-Seq`).
    pub seq: Option<&'a str>,
    /// Entity tag the stream must still have (`If-Match`).
    pub if_match: Option<&'a str>,
    /// Identity of an idempotent producer's request.
    pub producer: Option<ProducerTag>,
    /// Whether this is the last message ever.
    pub close: bool,
}

/// The three producer headers of one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProducerTag {
    /// Producer id, not empty.
    pub id: HeaderValue,
    /// Incarnation number.
    pub epoch: u64,
    /// Sequence number of the request.
    pub seq: u64,
}

impl Append<'_> {
    /// The request. An empty body is refused before anything is sent.
    pub fn plan(self) -> Result<RequestPlan, InvalidArgument> {
        if self.body.is_empty() {
            return Err(InvalidArgument::new("data", "an append needs at least one byte"));
        }
        let operation = if self.close { Operation::Close } else { Operation::Append };
        let mut plan = RequestPlan::new(operation, Method::POST);
        plan.headers.insert(CONTENT_TYPE, header_value("content_type", self.content_type)?);
        if let Some(seq) = self.seq {
            plan.headers.insert(headers::STREAM_SEQ, header_value("seq", seq)?);
        }
        if let Some(etag) = self.if_match {
            plan.headers.insert(IF_MATCH, header_value("if_match", etag)?);
        }
        if let Some(tag) = self.producer {
            tag.apply(&mut plan.headers);
        }
        if self.close {
            plan.headers.insert(headers::STREAM_CLOSED, headers::TRUE);
        }
        plan.body = self.body;
        Ok(plan)
    }
}

impl ProducerTag {
    /// Checks and wraps a producer id.
    pub fn id(id: &str) -> Result<HeaderValue, InvalidArgument> {
        if id.is_empty() {
            return Err(InvalidArgument::new("producerId", "must not be empty"));
        }
        header_value("producerId", id)
    }

    /// Sets all three headers; they go together or not at all.
    pub fn apply(self, map: &mut HeaderMap) {
        map.insert(headers::PRODUCER_ID, self.id);
        map.insert(headers::PRODUCER_EPOCH, headers::integer_value(self.epoch));
        map.insert(headers::PRODUCER_SEQ, headers::integer_value(self.seq));
    }
}
