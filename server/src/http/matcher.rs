//! Which requests a route applies to.

use http::{HeaderName, Method, Request};
use percent_encoding::percent_decode_str;

/// A condition on a request.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(not(feature = "bin"), allow(dead_code, reason = "only configuration files make the others"))]
pub(crate) enum Matcher {
    /// The path matches one of these.
    Path(Vec<Pattern>),
    /// The method is one of these.
    Method(Vec<Method>),
    /// A header is present with one of these values; no values = present at all.
    Header {
        /// Its name.
        name: HeaderName,
        /// Values of which one must match.
        values: Vec<Pattern>,
    },
    /// The header is absent.
    NoHeader(HeaderName),
    /// All of these hold.
    All(Vec<Self>),
    /// Not all of these hold.
    Not(Vec<Self>),
}

/// Text with `*` at its start, its end, or both, standing for anything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pattern(String);

impl Matcher {
    /// Whether a request meets the condition.
    pub(crate) fn matches<B>(&self, request: &Request<B>) -> bool {
        match self {
            Self::Path(patterns) => {
                // As the server understands the path, so that no spelling slips past.
                let path = percent_decode_str(request.uri().path()).decode_utf8_lossy().to_ascii_lowercase();
                patterns.iter().any(|pattern| pattern.matches(&path))
            }
            Self::Method(methods) => methods.contains(request.method()),
            Self::Header { name, values } if values.is_empty() => request.headers().contains_key(name),
            Self::Header { name, values } => request.headers().get_all(name).iter().any(|sent| {
                let sent = String::from_utf8_lossy(sent.as_bytes());
                values.iter().any(|value| value.matches(&sent))
            }),
            Self::NoHeader(name) => !request.headers().contains_key(name),
            Self::All(all) => all.iter().all(|matcher| matcher.matches(request)),
            Self::Not(all) => !all.iter().all(|matcher| matcher.matches(request)),
        }
    }
}

#[cfg_attr(not(feature = "bin"), allow(dead_code, reason = "only configuration files make the others"))]
impl Pattern {
    /// A pattern for values that are compared exactly.
    pub(crate) fn exact_case(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// A pattern for paths, which are compared without case.
    pub(crate) fn path(text: &str) -> Self {
        Self(text.to_ascii_lowercase())
    }

    fn matches(&self, text: &str) -> bool {
        let pattern = self.0.as_str();
        match (pattern.strip_prefix('*'), pattern.strip_suffix('*')) {
            _ if pattern == "*" => true,
            (Some(_), Some(_)) => text.contains(&pattern[1..pattern.len() - 1]),
            (Some(end), None) => text.ends_with(end),
            (None, Some(start)) => text.starts_with(start),
            (None, None) => text == pattern,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(path: &str) -> Request<()> {
        Request::builder().uri(path).header("authorization", "Bearer x").body(()).expect("a request")
    }

    #[test]
    fn paths_match_however_they_are_spelled() {
        let secret = Matcher::Path(vec![Pattern::path("/v1/stream/Secret/*")]);
        for path in ["/v1/stream/secret/a", "/v1/stream/%73ecret/a", "/V1/STREAM/secret/"] {
            assert!(secret.matches(&request(path)), "{path}");
        }
        assert!(!secret.matches(&request("/v1/stream/secrets")));
        for (pattern, path) in [("*", "/x"), ("*.json", "/a.json"), ("*mid*", "/amidst"), ("/x", "/x")] {
            assert!(Matcher::Path(vec![Pattern::path(pattern)]).matches(&request(path)), "{pattern}");
        }
    }

    #[test]
    fn headers_match_by_value_presence_and_absence() {
        let header = |value: &str| Matcher::Header {
            name: http::header::AUTHORIZATION,
            values: if value.is_empty() { Vec::new() } else { vec![Pattern::exact_case(value)] },
        };
        assert!(header("Bearer x").matches(&request("/")));
        assert!(header("Bearer *").matches(&request("/")));
        assert!(header("").matches(&request("/")));
        assert!(!header("bearer x").matches(&request("/")));
        assert!(Matcher::Not(vec![header("Bearer y")]).matches(&request("/")));
        assert!(Matcher::NoHeader(http::header::COOKIE).matches(&request("/")));
        let both = Matcher::All(vec![header("Bearer x"), Matcher::Method(vec![Method::POST])]);
        assert!(!both.matches(&request("/")));
    }
}
