//! Stream ids and the paths they are kept under. Any bytes are an id; over HTTP the same stream
//! is found under the path that a URL of that id has.

use durable_streams_server::path::{PathError, StreamPath};

/// First characters of the path of an id that has no path of its own: an empty one, one with
/// an empty or a dot segment, and whatever else a URL cannot say.
const ESCAPE: &str = "~x";
/// First segment of paths that name no stream.
const RESERVED: &str = "__ds";

/// The path of an id. Different ids have different paths.
/// Errors: the id is too long for a path.
pub(super) fn path_of(prefix: &str, id: &[u8]) -> Result<StreamPath, PathError> {
    if is_natural(id) {
        let path = StreamPath::parse(&format!("{prefix}{}", encoded(id)));
        if path.is_ok() {
            return path;
        }
    }
    let hex: String = id.iter().map(|byte| format!("{byte:02x}")).collect();
    StreamPath::parse(&format!("{prefix}{ESCAPE}{hex}"))
}

fn is_natural(id: &[u8]) -> bool {
    !id.is_empty()
        && !id.starts_with(ESCAPE.as_bytes())
        && !id.ends_with(b"/")
        && id.split(|byte| *byte == b'/').next() != Some(RESERVED.as_bytes())
}

/// Every byte but letters, digits and slashes in percent-encoding; [`StreamPath`] undoes what
/// need not be encoded.
fn encoded(id: &[u8]) -> String {
    let mut path = String::with_capacity(id.len());
    for byte in id {
        if byte.is_ascii_alphanumeric() || *byte == b'/' {
            path.push(char::from(*byte));
        } else {
            path.push_str(&format!("%{byte:02X}"));
        }
    }
    path
}
