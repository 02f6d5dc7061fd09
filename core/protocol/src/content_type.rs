//! Content types: compared by media type, returned verbatim (protocol.md §4.3).

/// Type of a stream created without one.
pub const DEFAULT: &str = "application/octet-stream";
/// The JSON mode type.
pub const JSON: &str = "application/json";
/// How the types of text begin.
pub const TEXT_FAMILY: &str = "text/";

/// The media type of a header value: text before the first `;`, trimmed. Compare
/// with [`same`] or `eq_ignore_ascii_case`.
pub fn media_type(value: &str) -> &str {
    value.split(';').next().unwrap_or_default().trim()
}

/// Whether two values name the same media type, parameters and case ignored.
pub fn same(left: &str, right: &str) -> bool {
    media_type(left).eq_ignore_ascii_case(media_type(right))
}

/// Whether the value selects JSON mode: exactly `application/json`.
pub fn is_json(value: &str) -> bool {
    media_type(value).eq_ignore_ascii_case(JSON)
}

/// Whether SSE carries the payload as text: `text/*` or exactly `application/json`.
pub fn is_text(value: &str) -> bool {
    let media = media_type(value);
    let starts = media.get(..TEXT_FAMILY.len());
    starts.is_some_and(|prefix| prefix.eq_ignore_ascii_case(TEXT_FAMILY)) || is_json(value)
}

/// The value to store for a stream: as given, or the default when it is blank or
/// not `type/subtype`.
pub fn or_default(value: Option<&str>) -> &str {
    value.filter(|value| is_valid(value)).unwrap_or(DEFAULT)
}

/// Whether the value starts with a syntactically valid `type/subtype`.
pub fn is_valid(value: &str) -> bool {
    let is_token = |part: &str| {
        !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
    };
    media_type(value).split_once('/').is_some_and(|(kind, subtype)| is_token(kind) && is_token(subtype))
}

/// How a stream's payload travels in SSE data events (protocol.md §13.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Framing {
    /// `application/json`: a JSON array per data event.
    Json,
    /// `text/*`: the text itself.
    Text,
    /// Anything else: base64 per data event.
    Binary,
}

impl Framing {
    /// The framing of a content type.
    pub fn of(content_type: &str) -> Self {
        if is_json(content_type) {
            Self::Json
        } else if is_text(content_type) {
            Self::Text
        } else {
            Self::Binary
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn media_types_compare_without_case_and_parameters() {
        assert!(same("TEXT/PLAIN", "text/plain; charset=utf-8"));
        assert!(is_json("Application/JSON; charset=utf-8"));
        assert!(!is_json("application/ld+json"));
        assert_eq!(Framing::of("application/ndjson"), Framing::Binary);
        assert_eq!(Framing::of("text/csv"), Framing::Text);
    }

    #[test]
    fn malformed_types_fall_back() {
        for bad in [None, Some(""), Some("   "), Some("text"), Some("/plain"), Some("a b/c")] {
            assert_eq!(or_default(bad), DEFAULT, "{bad:?}");
        }
        assert_eq!(or_default(Some("text/plain; x=1")), "text/plain; x=1");
    }
}
