//! Private parsers for the fuzz targets in `tests/fuzz`; no part of the API.

use std::path::Path;

use bytes::Bytes;

use crate::{config, store::file};

/// What `validate` says about the text of a TOML configuration, or why it is refused.
pub fn toml(text: &str) -> Result<String, String> {
    config::described(text, true)
}

/// What `validate` says about the text of a Caddyfile, or why it is refused.
pub fn caddyfile(text: &str) -> Result<String, String> {
    config::described(text, false)
}

/// What a row of the file store decodes to, encoded again; `None` when it is malformed.
pub fn unit_row(row: &Bytes) -> Option<Bytes> {
    file::reencoded_unit(row)
}

/// Checks the journals of a directory as at the start of a file store.
/// Returns the whole batches and the bytes set aside.
pub fn journals(directory: &Path) -> Result<(u64, u64), String> {
    file::checked_journals(directory)
}
