//! JSON messages as texts: splitting what a read returned, checking what a write is given.

use serde_json::value::RawValue;

/// Splits the JSON array of a read into its messages, each the text as the server sent it.
pub fn split(array: &str) -> serde_json::Result<Vec<&RawValue>> {
    if array.trim().is_empty() { Ok(Vec::new()) } else { serde_json::from_str(array) }
}

/// Checks that a text is one JSON value, without building it.
pub fn check(text: &[u8]) -> serde_json::Result<()> {
    serde_json::from_slice::<&RawValue>(text).map(|_| ())
}

/// Appends a JSON text without the white space between its tokens.
/// The input must be valid JSON; tokens stay as they are.
pub fn compact_into(out: &mut Vec<u8>, json: &[u8]) {
    let (mut in_string, mut escaped) = (false, false);
    for &byte in json {
        if in_string {
            out.push(byte);
            in_string = escaped || byte != b'"';
            escaped = byte == b'\\' && !escaped;
        } else if !matches!(byte, b' ' | b'\t' | b'\r' | b'\n') {
            out.push(byte);
            in_string = byte == b'"';
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compact(json: &str) -> String {
        let mut out = Vec::new();
        compact_into(&mut out, json.as_bytes());
        String::from_utf8(out).expect("input is UTF-8")
    }

    #[test]
    fn compacting_touches_nothing_inside_strings() {
        assert_eq!(
            compact("{ \"a b\" : [ 1.50 ,\n\"x\\\" y\\\\\" , \"\\\\\\\" z\" ] }"),
            "{\"a b\":[1.50,\"x\\\" y\\\\\",\"\\\\\\\" z\"]}"
        );
        assert_eq!(compact(" 12345678901234567890 "), "12345678901234567890");
    }

    #[test]
    fn splitting_keeps_each_message_as_sent() {
        let messages = split("[{\"n\":1.0},[2, 3],\"a,b\",null]").expect("an array");
        let texts: Vec<_> = messages.iter().map(|message| message.get()).collect();
        assert_eq!(texts, ["{\"n\":1.0}", "[2, 3]", "\"a,b\"", "null"]);
        assert!(split("[]").expect("an array").is_empty());
        assert!(split("").expect("no body").is_empty());
    }

    #[test]
    fn checking_refuses_what_is_not_one_value() {
        assert!(check(b"{\"a\":1}\n").is_ok());
        assert!(check(b"12345678901234567890123").is_ok());
        for bad in ["", "{", "{}{}", "{\"a\":1}\n{\"a\":2}", "'x'", "nul"] {
            assert!(check(bad.as_bytes()).is_err(), "{bad:?}");
        }
    }
}
