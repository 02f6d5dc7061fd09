//! The text inside JSON strings.

/// A string after its escapes were resolved.
#[derive(Debug, PartialEq, Eq)]
pub struct Unescaped {
    /// Length of the source, closing quote included. Units: bytes.
    pub length: usize,
    /// Half a surrogate pair is in it, which some hosts let pass; it stands in the result as
    /// three bytes that strict UTF-8 refuses.
    pub has_lone_surrogate: bool,
}

/// What is wrong with a string.
#[derive(Debug)]
pub struct Invalid {
    /// Where. Units: bytes from the start.
    pub at: usize,
    /// What people read.
    pub what: &'static str,
}

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGHS: u64 = 0x8080_8080_8080_8080;

/// Where the first quote, backslash or control character is; the length if there is none.
pub fn special(data: &[u8]) -> usize {
    let (words, _) = data.as_chunks::<8>();
    for (index, word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*word);
        let quotes = word ^ (ONES * b'"' as u64);
        let slashes = word ^ (ONES * b'\\' as u64);
        // Eight bytes at once: the high bit of each byte that is zero, or below 0x20. Bits
        // above the lowest one found may be wrong, the lowest never is.
        let found = (quotes.wrapping_sub(ONES) & !quotes)
            | (slashes.wrapping_sub(ONES) & !slashes)
            | (word.wrapping_sub(ONES * 0x20) & !word);
        let found = found & HIGHS;
        if found != 0 {
            return index * 8 + (found.trailing_zeros() / 8) as usize;
        }
    }
    let start = words.len() * 8;
    let rest = data.get(start..).unwrap_or_default();
    start + rest.iter().position(|&byte| is_special(byte)).unwrap_or(rest.len())
}

const fn is_special(byte: u8) -> bool {
    byte < 0x20 || byte == b'"' || byte == b'\\'
}

/// Resolves the escapes of the string at the start of `data`, which begins behind its first
/// quote.
/// Errors: what is wrong, and where.
pub fn unescape(data: &[u8], out: &mut Vec<u8>) -> Result<Unescaped, Invalid> {
    let mut at = 0;
    let mut has_lone_surrogate = false;
    loop {
        let rest = data.get(at..).unwrap_or_default();
        let length = special(rest);
        out.extend_from_slice(rest.get(..length).unwrap_or_default());
        at += length;
        match data.get(at) {
            Some(b'"') => return Ok(Unescaped { length: at + 1, has_lone_surrogate }),
            Some(b'\\') => {}
            Some(_) => return Err(Invalid { at, what: "control character in a string" }),
            None => return Err(Invalid { at, what: "a string without an end" }),
        }
        let plain = match data.get(at + 1) {
            Some(b'"') => b'"',
            Some(b'\\') => b'\\',
            Some(b'/') => b'/',
            Some(b'b') => 0x08,
            Some(b'f') => 0x0c,
            Some(b'n') => b'\n',
            Some(b'r') => b'\r',
            Some(b't') => b'\t',
            Some(b'u') => {
                let (point, length) = code_point(data.get(at + 2..).unwrap_or_default())
                    .ok_or(Invalid { at, what: "invalid \\u escape" })?;
                has_lone_surrogate |= push(point, out);
                at += 2 + length;
                continue;
            }
            _ => return Err(Invalid { at, what: "invalid escape" }),
        };
        out.push(plain);
        at += 2;
    }
}

/// The code point of one `\u` escape, or of a pair; and the length behind the first `\u`.
fn code_point(data: &[u8]) -> Option<(u32, usize)> {
    let first = hex(data)?;
    if (0xd800..0xdc00).contains(&first)
        && data.get(4..6) == Some(b"\\u")
        && let Some(second) = data.get(6..).and_then(hex)
        && (0xdc00..0xe000).contains(&second)
    {
        return Some((0x1_0000 + ((first - 0xd800) << 10) + (second - 0xdc00), 10));
    }
    Some((first, 4))
}

fn hex(data: &[u8]) -> Option<u32> {
    data.get(..4)?.iter().try_fold(0, |value, &byte| Some(value << 4 | char::from(byte).to_digit(16)?))
}

/// Adds a code point; says whether it is half a surrogate pair.
fn push(point: u32, out: &mut Vec<u8>) -> bool {
    if let Some(character) = char::from_u32(point) {
        out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
        return false;
    }
    let low = |bits: u32| 0x80 | (bits & 0x3f) as u8;
    out.extend_from_slice(&[0xed, low(point >> 6), low(point)]);
    true
}

/// Writes text the way it stands between quotes.
pub fn escape(text: &[u8], out: &mut Vec<u8>) {
    let mut rest = text;
    loop {
        let length = special(rest);
        out.extend_from_slice(rest.get(..length).unwrap_or_default());
        let Some(&byte) = rest.get(length) else { return };
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            _ => push_escape(u16::from(byte), out),
        }
        rest = rest.get(length + 1..).unwrap_or_default();
    }
}

/// The same for little-endian UTF-16 that may hold halves of surrogate pairs.
pub fn escape_utf16(text: &[u8], out: &mut Vec<u8>) {
    let (units, _) = text.as_chunks::<2>();
    for unit in char::decode_utf16(units.iter().map(|unit| u16::from_le_bytes(*unit))) {
        match unit {
            Ok(character) => escape(character.encode_utf8(&mut [0; 4]).as_bytes(), out),
            Err(lone) => push_escape(lone.unpaired_surrogate(), out),
        }
    }
}

fn push_escape(unit: u16, out: &mut Vec<u8>) {
    out.extend_from_slice(format!("\\u{unit:04x}").as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_escaped_comes_back() {
        for text in ["", "plain, and longer than eight bytes", "a\"b\\c\n\r\t\u{1}\u{1f}/", "ä€🦀"] {
            let mut quoted = Vec::new();
            escape(text.as_bytes(), &mut quoted);
            assert_eq!(special(&quoted), quoted.iter().position(|&byte| is_special(byte)).unwrap_or(quoted.len()));
            quoted.push(b'"');
            let mut back = Vec::new();
            let unescaped = unescape(&quoted, &mut back).expect("a string");
            assert_eq!(unescaped, Unescaped { length: quoted.len(), has_lone_surrogate: false });
            assert_eq!(back, text.as_bytes());
        }
    }

    #[test]
    fn pairs_become_one_character_and_halves_are_told() {
        let mut out = Vec::new();
        assert!(!unescape(br#"\ud83e\udd80""#, &mut out).expect("a pair").has_lone_surrogate);
        assert_eq!(out, "🦀".as_bytes());
        assert!(unescape(br#"\ud83e""#, &mut out).expect("half a pair").has_lone_surrogate);
        assert!(unescape(br#"\x""#, &mut out).is_err());
        assert!(unescape(b"no end", &mut out).is_err());
    }
}
