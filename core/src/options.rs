//! Options and answers of the one-shot operations: plain structs with builder methods.

use std::time::Duration;

use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{AUTHORIZATION, COOKIE, PROXY_AUTHORIZATION},
};

use crate::{Offset, error::InvalidHeaderError};

/// Settings of a stream to create.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
#[must_use]
pub struct CreateOptions {
    pub(crate) content_type: Option<String>,
    pub(crate) ttl: Option<Duration>,
    pub(crate) expires_at: Option<String>,
    pub(crate) initial_data: Bytes,
    pub(crate) closed: bool,
    pub(crate) fork_from: Option<String>,
    pub(crate) fork_offset: Option<Offset>,
    pub(crate) fork_sub_offset: Option<u64>,
    pub(crate) headers: UserHeaders,
}

impl CreateOptions {
    /// An open, empty `application/octet-stream` that never expires.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the content type. A fork without one inherits its source's.
    pub fn content_type(mut self, content_type: impl Into<String>) -> Self {
        self.content_type = Some(content_type.into());
        self
    }

    /// Lets the stream expire after this long without reads or writes.
    /// Units: whole seconds on the wire, a fraction counts as a further second.
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.ttl = Some(ttl);
        self
    }

    /// Lets the stream expire at a fixed instant, RFC 3339. Excludes [`CreateOptions::ttl`].
    pub fn expires_at(mut self, instant: impl Into<String>) -> Self {
        self.expires_at = Some(instant.into());
        self
    }

    /// Stores first data in the same step.
    pub fn initial_data(mut self, data: impl AsRef<[u8]>) -> Self {
        self.initial_data = Bytes::copy_from_slice(data.as_ref());
        self
    }

    /// Creates the stream closed: the initial data is all it will ever hold.
    pub fn closed(mut self, closed: bool) -> Self {
        self.closed = closed;
        self
    }

    /// Starts the stream with the data of another one: a stream of this client by the
    /// name [`Client::stream`](crate::Client::stream) takes, or a URL on the same server.
    pub fn fork_from(mut self, source: impl Into<String>) -> Self {
        self.fork_from = Some(source.into());
        self
    }

    /// Where the fork diverges; default: the source's tail.
    pub fn fork_offset(mut self, offset: impl Into<Offset>) -> Self {
        self.fork_offset = Some(offset.into());
        self
    }

    /// How far into the append unit at the fork offset the fork still follows its source.
    /// Units: bytes, or messages of a JSON stream.
    pub fn fork_sub_offset(mut self, sub_offset: u64) -> Self {
        self.fork_sub_offset = Some(sub_offset);
        self
    }

    /// Adds a header to this request.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.add(name, value);
        self
    }
}

/// Settings of one append.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
#[must_use]
pub struct AppendOptions {
    pub(crate) seq: Option<String>,
    pub(crate) if_match: Option<String>,
    pub(crate) content_type: Option<String>,
    pub(crate) producer: Option<(String, u64, u64)>,
    pub(crate) headers: UserHeaders,
}

impl AppendOptions {
    /// No conditions.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the writer coordination token: the server refuses one that is not bytewise
    /// above the last accepted one.
    pub fn seq(mut self, seq: impl Into<String>) -> Self {
        self.seq = Some(seq.into());
        self
    }

    /// Appends only if the stream still has this entity tag, on servers that support it.
    pub fn if_match(mut self, etag: impl Into<String>) -> Self {
        self.if_match = Some(etag.into());
        self
    }

    /// Sets the content type instead of the handle's.
    pub fn content_type(mut self, content_type: impl Into<String>) -> Self {
        self.content_type = Some(content_type.into());
        self
    }

    /// Sends the append as a producer's request, which makes a repeat harmless. The caller
    /// counts `seq`; [`Producer`](crate::Producer) does it all by itself.
    pub fn producer(mut self, id: impl Into<String>, epoch: u64, seq: u64) -> Self {
        self.producer = Some((id.into(), epoch, seq));
        self
    }

    /// Adds a header to this request.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.add(name, value);
        self
    }
}

/// Settings of one close.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
#[must_use]
pub struct CloseOptions {
    pub(crate) data: Bytes,
    pub(crate) content_type: Option<String>,
    pub(crate) headers: UserHeaders,
}

impl CloseOptions {
    /// No last message.
    pub fn new() -> Self {
        Self::default()
    }

    /// Stores a last message in the same step.
    pub fn data(mut self, data: impl AsRef<[u8]>) -> Self {
        self.data = Bytes::copy_from_slice(data.as_ref());
        self
    }

    /// Sets the last message's content type instead of the handle's.
    pub fn content_type(mut self, content_type: impl Into<String>) -> Self {
        self.content_type = Some(content_type.into());
        self
    }

    /// Adds a header to this request.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.add(name, value);
        self
    }
}

macro_rules! header_only_options {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Default)]
        #[non_exhaustive]
        #[must_use]
        pub struct $name {
            pub(crate) headers: UserHeaders,
        }

        impl $name {
            /// No extra headers.
            pub fn new() -> Self {
                Self::default()
            }

            /// Adds a header to this request.
            pub fn header(mut self, name: &str, value: &str) -> Self {
                self.headers.add(name, value);
                self
            }
        }
    };
}

header_only_options! {
    /// Settings of one metadata request.
    HeadOptions
}
header_only_options! {
    /// Settings of one delete.
    DeleteOptions
}

/// A stored append.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct AppendResponse {
    /// The new tail: where the next reader of only newer data starts.
    pub next_offset: Offset,
    /// Entity tag, if the server sends one.
    pub etag: Option<String>,
}

/// A closed stream.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct CloseResponse {
    /// The tail, which no longer moves.
    pub final_offset: Offset,
}

/// What a server tells about a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct HeadResponse {
    /// Content type as given at creation.
    pub content_type: Option<String>,
    /// The tail.
    pub offset: Offset,
    /// The tail; the same value.
    pub next_offset: Offset,
    /// Whether the stream is closed.
    pub closed: bool,
    /// Whether the stream is closed; the same value.
    pub stream_closed: bool,
    /// How long the stream may sit idle; the window, not what is left of it.
    pub ttl: Option<Duration>,
    /// Fixed deadline, RFC 3339.
    pub expires_at: Option<String>,
    /// Entity tag, if the server sends one.
    pub etag: Option<String>,
}

/// Headers a caller added. Adding never fails; an unusable one is remembered and fails the
/// request or the build.
#[derive(Debug, Clone, Default)]
pub(crate) struct UserHeaders {
    map: HeaderMap,
    invalid: Option<InvalidHeaderError>,
}

impl UserHeaders {
    /// Sets a header, replacing an earlier one of the same name.
    pub(crate) fn add(&mut self, name: &str, value: &str) {
        match parse_header(name, value) {
            Ok((name, value)) => {
                self.map.insert(name, value);
            }
            Err(invalid) => self.invalid = self.invalid.take().or(Some(invalid)),
        }
    }

    /// Replaces all headers.
    pub(crate) fn replace(&mut self, map: HeaderMap) {
        self.map = map;
    }

    /// The headers, or the first unusable one.
    pub(crate) fn checked(&self) -> Result<&HeaderMap, InvalidHeaderError> {
        self.invalid.clone().map_or(Ok(&self.map), Err)
    }
}

/// Turns text into a header.
pub(crate) fn parse_header(name: &str, value: &str) -> Result<(HeaderName, HeaderValue), InvalidHeaderError> {
    let parsed =
        HeaderName::from_bytes(name.as_bytes()).map_err(|_| InvalidHeaderError::InvalidName(name.to_owned()))?;
    let mut value =
        HeaderValue::from_bytes(value.as_bytes()).map_err(|_| InvalidHeaderError::InvalidValue(name.to_owned()))?;
    // Kept out of debug output and of HTTP/2's shared compression table.
    value.set_sensitive([AUTHORIZATION, PROXY_AUTHORIZATION, COOKIE].contains(&parsed));
    Ok((parsed, value))
}
