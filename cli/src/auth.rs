//! The `Authorization` value: where it comes from and what is wrong with it.

use std::{fs, path::Path};

/// Checks a value before it is sent. The value itself never appears in a message.
/// Errors: a sentence that names the source and the fix.
pub fn checked(source: &str, value: &str) -> Result<String, String> {
    let trimmed = value.trim();
    if trimmed.is_empty() {
        return Err(format!("{source} is empty; give a complete Authorization value such as \"Bearer <token>\""));
    }
    if trimmed.chars().any(|c| c.is_control() || !c.is_ascii()) {
        return Err(format!(
            "{source} holds a line break or another character a header cannot carry; give one line of ASCII"
        ));
    }
    Ok(trimmed.to_owned())
}

/// Reads and checks the value kept in a file.
pub fn from_file(path: &Path) -> Result<String, String> {
    let text =
        fs::read_to_string(path).map_err(|error| format!("cannot read --auth-file \"{}\": {error}", path.display()))?;
    checked(&format!("--auth-file \"{}\"", path.display()), &text)
}

/// Tells whether a value looks incomplete: no scheme of the usual ones and no blank.
pub fn looks_incomplete(value: &str) -> bool {
    let scheme = value.split_whitespace().next().unwrap_or_default();
    let known = ["bearer", "basic", "apikey", "token"].iter().any(|known| scheme.eq_ignore_ascii_case(known));
    !known && !value.contains(' ')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bare_token_looks_incomplete() {
        assert!(looks_incomplete("abc123"));
        for fine in ["Bearer abc", "basic dXNlcg==", "ApiKey x", "Token x", "Digest username=x"] {
            assert!(!looks_incomplete(fine), "{fine}");
        }
    }

    #[test]
    fn values_a_header_cannot_carry_are_refused_unseen() {
        for bad in ["", "  ", "Bearer a\nX-Evil: 1", "Bearer \u{e9}secret"] {
            let error = checked("STREAM_AUTH", bad).expect_err(bad);
            assert!(error.contains("STREAM_AUTH") && !error.contains("secret") && !error.contains("Evil"), "{error}");
        }
        assert_eq!(checked("--auth", "Bearer x\n").as_deref(), Ok("Bearer x"));
    }
}
