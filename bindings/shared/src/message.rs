//! What a host language appends: bytes, JSON text, or a value it has already turned into
//! JSON; and how several of them become one request's body.

use bytes::{BufMut, Bytes, BytesMut};
use durable_streams::protocol::{content_type, json_mode};

use crate::error::ErrorInfo;

/// One thing to append.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// Bytes or text as they are. On a JSON stream: the text of one JSON value, which becomes
    /// one message even if it is an array.
    Text(Bytes),
    /// A structured value as JSON text. On a stream of unknown type it says: JSON.
    Value(Bytes),
    /// The request's body as it is; on a JSON stream a top-level array becomes several
    /// messages.
    Body(Bytes),
}

impl Message {
    /// Its bytes, as given.
    pub const fn bytes(&self) -> &Bytes {
        match self {
            Self::Text(bytes) | Self::Value(bytes) | Self::Body(bytes) => bytes,
        }
    }

    /// Whether it may share a request with others.
    pub(crate) const fn can_share(&self) -> bool {
        !matches!(self, Self::Body(_))
    }

    /// Refuses what the stream's type does not allow, before anything is sent.
    /// Errors: `INVALID_ARGUMENT`.
    pub(crate) fn check(&self, content_type: &str) -> Result<(), ErrorInfo> {
        if self.bytes().is_empty() {
            return Err(ErrorInfo::invalid("data", "an append needs at least one byte"));
        }
        match self {
            Self::Text(text) | Self::Value(text) if content_type::is_json(content_type) => {
                json_mode::validate_item(text)
                    .map_err(|error| ErrorInfo::invalid("data", format!("is not one JSON value: {error}")))
            }
            Self::Text(_) | Self::Value(_) | Self::Body(_) => Ok(()),
        }
    }
}

/// Whether streams of this type hold JSON messages.
pub fn is_json(content_type: &str) -> bool {
    content_type::is_json(content_type)
}

/// The body of a request that carries all these messages.
pub(crate) fn body(messages: &[Message], content_type: &str) -> Bytes {
    if let [Message::Body(body)] = messages {
        return body.clone();
    }
    let is_json = content_type::is_json(content_type);
    if let ([message], false) = (messages, is_json) {
        return message.bytes().clone();
    }
    let size: usize = messages.iter().map(|message| message.bytes().len() + 1).sum();
    let mut body = BytesMut::with_capacity(size + 1);
    if is_json {
        body.put_u8(b'[');
    }
    for (number, message) in messages.iter().enumerate() {
        if is_json && number > 0 {
            body.put_u8(b',');
        }
        body.put_slice(message.bytes());
    }
    if is_json {
        body.put_u8(b']');
    }
    body.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &'static str) -> Message {
        Message::Text(Bytes::from_static(text.as_bytes()))
    }

    #[test]
    fn a_json_array_given_as_text_stays_one_message() {
        assert_eq!(body(&[text("[1,2]")], "application/json"), "[[1,2]]");
        assert_eq!(body(&[text("[1,2]"), text("3")], "Application/JSON; charset=utf-8"), "[[1,2],3]");
    }

    #[test]
    fn bytes_are_put_one_after_the_other() {
        assert_eq!(body(&[text("ab"), text("c")], "text/plain"), "abc");
        assert_eq!(body(&[Message::Body(Bytes::from_static(b"[1]"))], "application/json"), "[1]");
    }

    #[test]
    fn what_is_no_json_value_is_refused_by_name() {
        let error = text("{").check("application/json").expect_err("refused");
        assert!(error.detail().starts_with("data"), "{error}");
        assert!(text("{").check("text/plain").is_ok());
        assert!(text("").check("text/plain").is_err());
    }
}
