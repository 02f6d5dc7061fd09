//! Content given by the user: from argument or standard input to the bytes of one message.

use std::borrow::Cow;

use crate::{failure::Failure, kind::Kind, messages};

/// Longest part of an argument that a message repeats. Units: characters.
const SHOWN_CHARS: usize = 100;

/// Takes the content of an argument. JSON has escapes of its own, so it is taken as typed when
/// that is valid, and with our escapes replaced otherwise.
/// Errors: input that should be JSON and is not.
pub fn one_message<'t>(typed: &'t str, unescaped: Cow<'t, str>, is_json: bool) -> Result<Cow<'t, [u8]>, Failure> {
    if is_json {
        let Err(error) = messages::check(typed.as_bytes()) else { return Ok(Cow::Borrowed(typed.as_bytes())) };
        if messages::check(unescaped.as_bytes()).is_err() {
            return Err(Failure::Input(format!("invalid JSON: {error}\n  content: {}", shown(typed))));
        }
    }
    Ok(match unescaped {
        Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
        Cow::Owned(text) => Cow::Owned(text.into_bytes()),
    })
}

/// Checks that standard input is one JSON value.
/// Errors: names `--ndjson` when it holds several.
pub fn check_stdin_json(bytes: &[u8]) -> Result<(), Failure> {
    let Err(error) = messages::check(bytes) else { return Ok(()) };
    let mut values = serde_json::Deserializer::from_slice(bytes).into_iter::<&serde_json::value::RawValue>();
    let several = values.next().is_some_and(|value| value.is_ok()) && values.next().is_some();
    let help = if several {
        "\n  for several JSON values, one per line, use --ndjson; for one array of messages, --batch-json"
    } else {
        ""
    };
    Err(Failure::Input(format!(
        "invalid JSON on standard input: {error}\n  content: {}{help}",
        shown(&String::from_utf8_lossy(&bytes[..bytes.len().min(4 * SHOWN_CHARS)]))
    )))
}

/// The request body that stores the content as exactly one message: a JSON stream splits a
/// top-level array, so a message is wrapped into one.
pub fn message_body(content: &[u8], kind: &Kind) -> Vec<u8> {
    if kind.keeps_messages { [b"[", content, b"]"].concat() } else { content.to_vec() }
}

fn shown(text: &str) -> String {
    let text = text.trim_end();
    if text.chars().count() <= SHOWN_CHARS {
        return text.to_owned();
    }
    text.chars().take(SHOWN_CHARS).chain("...".chars()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::escapes::unescape;

    fn message(typed: &str, is_json: bool) -> Result<Vec<u8>, Failure> {
        one_message(typed, unescape(typed), is_json).map(Cow::into_owned)
    }

    fn complaint(failure: Failure) -> String {
        let Failure::Input(text) = failure else { panic!("{failure:?}") };
        text
    }

    #[test]
    fn text_is_unescaped_and_json_keeps_its_own_escapes() {
        assert_eq!(message(r"a\nb", false).expect("text"), b"a\nb");
        assert_eq!(message(r#"{"a":"x\ny"}"#, true).expect("JSON"), br#"{"a":"x\ny"}"#);
        assert_eq!(message(r#"{"a":\t1}\n"#, true).expect("JSON"), b"{\"a\":\t1}\n");
        assert_eq!(message("12345678901234567890", true).expect("JSON"), b"12345678901234567890");
    }

    #[test]
    fn a_complaint_shows_at_most_a_hundred_characters() {
        let text = complaint(message(&"x".repeat(500), true).expect_err("not JSON"));
        assert!(text.contains(&"x".repeat(100)) && !text.contains(&"x".repeat(101)), "{text}");
    }

    #[test]
    fn several_values_on_standard_input_lead_to_ndjson() {
        assert!(check_stdin_json(b"{\"a\":[1]}\n").is_ok());
        assert!(complaint(check_stdin_json(b"{}\n{}\n").expect_err("two values")).contains("--ndjson"));
        assert!(!complaint(check_stdin_json(b"{oops").expect_err("no value")).contains("--ndjson"));
        assert!(check_stdin_json(b"\xff").is_err());
    }

    #[test]
    fn a_message_of_a_json_stream_is_wrapped() {
        let kind = |keeps_messages| Kind { content_type: String::new(), is_json: true, keeps_messages };
        assert_eq!(message_body(b"[1,2]", &kind(true)), b"[[1,2]]");
        assert_eq!(message_body(b"[1,2]", &kind(false)), b"[1,2]");
    }
}
