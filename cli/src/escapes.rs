//! Backslash escapes in content given as an argument.

use std::borrow::Cow;

/// Turns `\n`, `\t`, `\r` and `\\` into their characters; other backslashes stay.
/// One pass from left to right, so `\\n` is a backslash and an `n`.
pub fn unescape(text: &str) -> Cow<'_, str> {
    if !text.contains('\\') {
        return Cow::Borrowed(text);
    }
    let mut plain = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            plain.push(c);
            continue;
        }
        match chars.next() {
            Some('n') => plain.push('\n'),
            Some('t') => plain.push('\t'),
            Some('r') => plain.push('\r'),
            Some('\\') => plain.push('\\'),
            Some(other) => plain.extend(['\\', other]),
            None => plain.push('\\'),
        }
    }
    Cow::Owned(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_four_escapes_become_characters() {
        assert_eq!(unescape(r"a\nb\tc\rd\\e"), "a\nb\tc\rd\\e");
    }

    #[test]
    fn an_escaped_backslash_protects_the_next_letter() {
        assert_eq!(unescape(r"\\n"), r"\n");
        assert_eq!(unescape(r"\\\n"), "\\\n");
    }

    #[test]
    fn other_backslashes_stay() {
        assert_eq!(unescape(r"C:\users\x\"), r"C:\users\x\");
        assert_eq!(unescape("plain"), "plain");
    }
}
