//! Stream paths: one identity per resource (protocol.md §4.4).

use std::{fmt, sync::Arc};

use percent_encoding::percent_decode;

/// The canonical path of a stream: starts with `/`, percent-encoding normalised
/// (upper-case hex, unreserved characters plain), no empty, `.` or `..` segment
/// and no trailing slash.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StreamPath(Arc<str>);

/// Why a path names no stream; becomes a 400.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the stream path {path:?} is refused: {reason}")]
pub struct PathError {
    path: String,
    reason: &'static str,
}

/// Longest accepted path, in bytes after normalisation.
const MAX_LEN: usize = 2048;

impl StreamPath {
    /// Normalises the path component of a URL.
    pub fn parse(path: &str) -> Result<Self, PathError> {
        let refuse = |reason| PathError { path: path.chars().take(256).collect(), reason };
        let Some(rest) = path.strip_prefix('/') else { return Err(refuse("it must start with /")) };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        if is_plain(rest) {
            return if path.len() > MAX_LEN {
                Err(refuse("it is too long"))
            } else {
                Ok(Self(path[..=rest.len()].into()))
            };
        }
        let mut canonical = String::with_capacity(path.len());
        for segment in rest.split('/') {
            let decoded: Vec<u8> = percent_decode(segment.as_bytes()).collect();
            match decoded.as_slice() {
                b"" => return Err(refuse("it has an empty segment")),
                b"." | b".." => return Err(refuse("it has a . or .. segment")),
                _ => {}
            }
            if decoded.iter().any(|byte| matches!(byte, b'/' | b'\\' | 0)) {
                return Err(refuse("it hides a slash, backslash or NUL in percent-encoding"));
            }
            canonical.push('/');
            for byte in decoded {
                if is_unreserved(byte) {
                    canonical.push(char::from(byte));
                } else {
                    canonical.push('%');
                    for digit in [byte >> 4, byte & 15] {
                        canonical.push(char::from(b"0123456789ABCDEF"[usize::from(digit)]));
                    }
                }
            }
        }
        if canonical.len() > MAX_LEN {
            return Err(refuse("it is too long"));
        }
        Ok(Self(canonical.into()))
    }

    /// The canonical path, with its leading slash.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl serde::Serialize for StreamPath {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> serde::Deserialize<'de> for StreamPath {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

impl std::borrow::Borrow<str> for StreamPath {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for StreamPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

const fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'-' | b'_'
                | b'.'
                | b'~'
                | b':'
                | b'@'
                | b'!'
                | b'$'
                | b'\''
                | b'('
                | b')'
                | b'*'
                | b'+'
                | b','
                | b';'
                | b'='
                | b'&'
        )
}

/// Nothing to normalise: the usual case, settled in one pass without copying twice.
fn is_plain(rest: &str) -> bool {
    !rest.is_empty()
        && rest.bytes().all(|byte| byte == b'/' || is_unreserved(byte))
        && rest.split('/').all(|segment| !matches!(segment, "" | "." | ".."))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn canonical(path: &str) -> String {
        StreamPath::parse(path).expect(path).as_str().to_owned()
    }

    #[test]
    fn one_resource_has_one_identity() {
        assert_eq!(canonical("/v1/stream/a%62c"), "/v1/stream/abc");
        assert_eq!(canonical("/v1/stream/%c3%a9"), "/v1/stream/%C3%A9");
        assert_eq!(canonical("/v1/stream/abc/"), "/v1/stream/abc");
        assert_eq!(canonical("/a b"), "/a%20b");
    }

    #[test]
    fn traversal_is_refused_in_any_spelling() {
        for bad in ["", "a", "/", "/a//b", "/a/../b", "/a/%2e%2E/b", "/./a", "/a%2fb", "/a%00", "/a/..", "/a%5C..%5Cb"]
        {
            assert!(StreamPath::parse(bad).is_err(), "{bad:?}");
        }
    }
}
