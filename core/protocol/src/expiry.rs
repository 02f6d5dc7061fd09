//! Expiry: a sliding time to live or a fixed deadline, never both (protocol.md §5, §22).

use http::HeaderMap;

use crate::headers;

/// When a stream ceases to exist.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expiry {
    /// Expires this many seconds after the last touching request.
    Ttl(u64),
    /// Expires at a fixed instant.
    At(Deadline),
}

/// A deadline: the text as sent, and the instant it names.
#[derive(Debug, Clone)]
pub struct Deadline {
    /// The header value as sent; shown again by HEAD.
    pub text: String,
    /// The same instant. Units: Unix milliseconds.
    pub unix_ms: i64,
}

impl PartialEq for Deadline {
    /// Deadlines are equal when the instants are (protocol.md §5).
    fn eq(&self, other: &Self) -> bool {
        self.unix_ms == other.unix_ms
    }
}

impl Eq for Deadline {}

/// Why expiry headers were refused; each becomes a 400.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExpiryError {
    /// Both headers are present.
    #[error("Stream-TTL and Stream-Expires-At exclude each other; send one")]
    Both,
    /// The TTL is not `0` or digits without a leading zero, up to 2^53 - 1.
    #[error("Stream-TTL must be whole seconds without sign or leading zero, got {0:?}")]
    Ttl(String),
    /// The deadline is not an RFC 3339 timestamp.
    #[error("Stream-Expires-At must be an RFC 3339 timestamp, got {0:?}")]
    Deadline(String),
}

impl Expiry {
    /// Reads both headers of a create request, in the order of protocol.md §5.
    pub fn from_headers(map: &HeaderMap) -> Result<Option<Self>, ExpiryError> {
        let (ttl, deadline) = (map.get(headers::STREAM_TTL), map.get(headers::STREAM_EXPIRES_AT));
        let show = |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        match (ttl, deadline) {
            (None, None) => Ok(None),
            (Some(_), Some(_)) => Err(ExpiryError::Both),
            (Some(ttl), None) => headers::parse_canonical_integer(ttl.as_bytes())
                .map(|seconds| Some(Self::Ttl(seconds)))
                .ok_or_else(|| ExpiryError::Ttl(show(ttl))),
            (None, Some(deadline)) => deadline
                .to_str()
                .ok()
                .and_then(Deadline::parse)
                .map(|deadline| Some(Self::At(deadline)))
                .ok_or_else(|| ExpiryError::Deadline(show(deadline))),
        }
    }
}

impl Deadline {
    /// Parses an RFC 3339 timestamp: date, `T`, time, and `Z` or a numeric offset.
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = text.as_bytes();
        // jiff accepts more than RFC 3339 (bracketed zones, a decimal comma, a missing
        // offset's neighbours); the shape is checked first.
        let has_date_time =
            bytes.len() >= 20 && matches!(bytes[10], b'T' | b't' | b' ') && bytes[13] == b':' && bytes[16] == b':';
        let zone_len = match bytes.last() {
            Some(b'Z' | b'z') => 1,
            Some(_) if bytes.len() >= 25 && matches!(bytes[bytes.len() - 6], b'+' | b'-') => 6,
            _ => return None,
        };
        if !has_date_time || (zone_len == 6 && bytes[bytes.len() - 3] != b':') {
            return None;
        }
        match &bytes[19..bytes.len() - zone_len] {
            [] => {}
            [b'.', digits @ ..] if !digits.is_empty() && digits.iter().all(u8::is_ascii_digit) => {}
            _ => return None,
        }
        let instant: jiff::Timestamp = text.parse().ok()?;
        Some(Self { text: text.to_owned(), unix_ms: instant.as_millisecond() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deadlines_are_rfc_3339() {
        for good in ["2030-01-01T00:00:00Z", "2030-01-01T00:00:00.123Z", "2030-01-01T02:00:00+02:00"] {
            assert!(Deadline::parse(good).is_some(), "{good}");
        }
        for bad in [
            "",
            "tomorrow",
            "2030-01-01",
            "2030-01-01T00:00:00",
            "2030-13-01T00:00:00Z",
            "1893456000",
            "2030-01-01T00:00:00,5Z",
            "2030-01-01T00:00:00.Z",
        ] {
            assert!(Deadline::parse(bad).is_none(), "{bad}");
        }
        assert_eq!(Deadline::parse("2030-01-01T00:00:00Z"), Deadline::parse("2030-01-01T02:00:00+02:00"));
    }

    #[test]
    fn ttl_and_deadline_exclude_each_other() {
        let mut map = HeaderMap::new();
        map.insert(headers::STREAM_TTL, http::HeaderValue::from_static("60"));
        assert_eq!(Expiry::from_headers(&map), Ok(Some(Expiry::Ttl(60))));
        map.insert(headers::STREAM_EXPIRES_AT, http::HeaderValue::from_static("2030-01-01T00:00:00Z"));
        assert_eq!(Expiry::from_headers(&map), Err(ExpiryError::Both));
    }
}
