//! Configuration files: any text is described or refused by file and line.

use durable_streams_server::fuzz::{caddyfile, toml};

/// The first byte chooses the language.
///
/// # Panics
/// When a refusal does not name the file and a line of the text.
pub fn config(data: &[u8]) {
    let Some((language, text)) = data.split_first() else { return };
    let Ok(text) = std::str::from_utf8(text) else { return };
    let described = if language % 2 == 0 { toml(text) } else { caddyfile(text) };
    match described {
        Ok(description) => assert!(!description.is_empty()),
        // What concerns no single line (a certificate without its key) names none.
        Err(refusal) => {
            if let Some(rest) = refusal.strip_prefix("file:") {
                let line = rest.split(':').next().and_then(|line| line.parse::<usize>().ok());
                let lines = text.matches('\n').count() + 1;
                assert!(line.is_some_and(|line| (1..=lines).contains(&line)), "{refusal:?} of {lines} lines");
            }
        }
    }
}
