//! The stream root: where relative paths in control bodies begin (protocol.md §23).

use crate::path::{PathError, StreamPath};

/// First segment below the root that names control APIs, never a stream.
const RESERVED: &str = "__ds";

/// The path prefix of all streams, without a trailing slash; empty = the whole server.
#[derive(Debug, Clone)]
pub(crate) struct Root(Box<str>);

/// Why a relative path names no stream.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RelativeError {
    #[error("it is empty")]
    Empty,
    #[error("{RESERVED} is reserved for control APIs")]
    Reserved,
    #[error(transparent)]
    Path(#[from] PathError),
}

impl Root {
    /// Takes a prefix such as `/v1/stream/`.
    pub(crate) fn new(prefix: &str) -> Self {
        let trimmed = prefix.trim_matches('/');
        Self(if trimmed.is_empty() { "".into() } else { format!("/{trimmed}").into() })
    }

    /// The prefix as it appears in URLs.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// Turns `events/a` into the stream's canonical path; slashes at either end do not count.
    pub(crate) fn resolve(&self, relative: &str) -> Result<StreamPath, RelativeError> {
        let relative = relative.trim_matches('/');
        if relative.is_empty() {
            return Err(RelativeError::Empty);
        }
        let path = StreamPath::parse(&format!("{}/{relative}", self.0))?;
        match self.relative(&path) {
            Some(canonical) if is_reserved(canonical) => Err(RelativeError::Reserved),
            Some(_) => Ok(path),
            None => Err(RelativeError::Empty),
        }
    }

    /// The part below the root; `None` for paths outside of it and for control paths.
    pub(crate) fn stream<'p>(&self, path: &'p StreamPath) -> Option<&'p str> {
        self.relative(path).filter(|relative| !is_reserved(relative))
    }

    fn relative<'p>(&self, path: &'p StreamPath) -> Option<&'p str> {
        path.as_str().strip_prefix(&*self.0)?.strip_prefix('/')
    }
}

fn is_reserved(relative: &str) -> bool {
    relative.split('/').next() == Some(RESERVED)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slashes_around_a_relative_path_do_not_count() {
        let root = Root::new("/v1/stream/");
        let path = root.resolve("/events/a/").expect("a path");
        assert_eq!(path.as_str(), "/v1/stream/events/a");
        assert_eq!(root.stream(&path), Some("events/a"));
    }

    #[test]
    fn an_empty_root_covers_the_whole_server() {
        let root = Root::new("/");
        assert_eq!(root.resolve("a").expect("a path").as_str(), "/a");
        assert_eq!(root.as_str(), "");
    }

    #[test]
    fn control_paths_traversal_and_nothing_are_refused() {
        let root = Root::new("/v1/stream");
        for bad in ["", "/", "__ds", "__ds/subscriptions/a", "%5F_ds/a", "../other", "a/../../b"] {
            assert!(root.resolve(bad).is_err(), "{bad:?}");
        }
    }
}
