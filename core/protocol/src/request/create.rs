//! Create: PUT, plain or as a fork (protocol.md §5, §21).

use bytes::Bytes;
use http::{Method, header::CONTENT_TYPE};

use super::{InvalidArgument, Operation, RequestPlan, header_value};
use crate::{MAX_SAFE_INTEGER, expiry::Expiry, headers, offset::Offset};

/// The stream to create.
#[derive(Debug, Clone, Default)]
pub struct Create<'a> {
    /// Content type; a fork without one inherits its source's.
    pub content_type: Option<&'a str>,
    /// Sliding or fixed expiry.
    pub expiry: Option<Expiry>,
    /// First append unit, stored in the same step; empty = none.
    pub body: Bytes,
    /// Whether the stream starts closed: the body is then its whole content.
    pub closed: bool,
    /// Where the stream's first data comes from, for a fork.
    pub fork: Option<Fork<'a>>,
}

/// The origin of a fork.
#[derive(Debug, Clone, Default)]
pub struct Fork<'a> {
    /// Path component of the source's URL, for instance `/v1/stream/a`.
    pub source_path: &'a str,
    /// Where the fork diverges; default: the source's tail.
    pub offset: Option<&'a Offset>,
    /// Refinement inside the append unit that begins at the offset. Units: bytes, or
    /// messages of a JSON stream.
    pub sub_offset: Option<u64>,
}

impl Create<'_> {
    /// The request; repeating it is harmless.
    pub fn plan(self) -> Result<RequestPlan, InvalidArgument> {
        let mut plan = RequestPlan::new(Operation::Create, Method::PUT);
        if let Some(content_type) = self.content_type {
            plan.headers.insert(CONTENT_TYPE, header_value("content_type", content_type)?);
        }
        match self.expiry {
            Some(Expiry::Ttl(seconds)) if seconds > MAX_SAFE_INTEGER => {
                return Err(InvalidArgument::new("ttl", format!("{seconds} seconds is more than {MAX_SAFE_INTEGER}")));
            }
            Some(Expiry::Ttl(seconds)) => {
                plan.headers.insert(headers::STREAM_TTL, headers::integer_value(seconds));
            }
            Some(Expiry::At(deadline)) => {
                plan.headers.insert(headers::STREAM_EXPIRES_AT, header_value("expires_at", &deadline.text)?);
            }
            None => {}
        }
        if self.closed {
            plan.headers.insert(headers::STREAM_CLOSED, headers::TRUE);
        }
        if let Some(fork) = self.fork {
            fork.apply(&mut plan)?;
        }
        plan.body = self.body;
        Ok(plan)
    }
}

impl Fork<'_> {
    fn apply(self, plan: &mut RequestPlan) -> Result<(), InvalidArgument> {
        if !self.source_path.starts_with('/') {
            let reason = format!("{:?} is not the path of a stream; it must start with `/`", self.source_path);
            return Err(InvalidArgument::new("fork_from", reason));
        }
        plan.headers.insert(headers::STREAM_FORKED_FROM, header_value("fork_from", self.source_path)?);
        match self.offset {
            Some(Offset::At(token)) => {
                plan.headers.insert(headers::STREAM_FORK_OFFSET, header_value("fork_offset", token)?);
            }
            // protocol.md §5: a sentinel is no fork offset; the default already is the tail.
            Some(Offset::Beginning) => {
                return Err(InvalidArgument::new(
                    "fork_offset",
                    "`-1` is no issued offset; pass one the server returned",
                ));
            }
            Some(Offset::Now) | None => {}
        }
        if let Some(sub_offset) = self.sub_offset {
            if sub_offset > MAX_SAFE_INTEGER {
                let reason = format!("{sub_offset} is more than {MAX_SAFE_INTEGER}");
                return Err(InvalidArgument::new("fork_sub_offset", reason));
            }
            plan.headers.insert(headers::STREAM_FORK_SUB_OFFSET, headers::integer_value(sub_offset));
        }
        Ok(())
    }
}
