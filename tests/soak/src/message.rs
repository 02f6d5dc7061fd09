//! Messages: `@`, a number, `@`, filled up. Numbers count up per stream from 0, so that a
//! reader knows what is due next.

/// Length of a message. Units: bytes, quotes of JSON excluded.
pub(crate) const MESSAGE_BYTES: usize = 100;

/// The message of a number; a JSON text when the stream is JSON.
pub(crate) fn message(number: u64, is_json: bool) -> String {
    let text = format!("{:.<MESSAGE_BYTES$}", format!("@{number}@"));
    if is_json { format!("\"{text}\"") } else { text }
}

/// Goes through delivered bytes, which begin and end with whole messages.
/// Returns the number due after them.
/// Errors: a number that is not the one due.
pub(crate) fn follow(mut due: u64, delivered: &[u8]) -> Result<u64, String> {
    let mut parts = delivered.split(|byte| *byte == b'@');
    // Numbers stand between every other pair of marks.
    let _ = parts.next();
    while let Some(digits) = parts.next() {
        let number = std::str::from_utf8(digits).ok().and_then(|digits| digits.parse::<u64>().ok());
        if number != Some(due) {
            let seen = String::from_utf8_lossy(digits);
            return Err(format!("message {due} is due and {seen:?} came"));
        }
        due += 1;
        if parts.next().is_none() {
            return Err(format!("message {number:?} broke off"));
        }
    }
    Ok(due)
}

#[cfg(test)]
mod tests {
    use super::{MESSAGE_BYTES, follow, message};

    #[test]
    fn messages_in_order_are_followed() {
        let text = [message(7, false), message(8, false)].concat();
        assert_eq!(text.len(), 2 * MESSAGE_BYTES);
        assert_eq!(follow(7, text.as_bytes()), Ok(9));
        let json = format!("[{},{}]", message(0, true), message(1, true));
        assert_eq!(follow(0, json.as_bytes()), Ok(2));
        assert_eq!(follow(3, b"[]"), Ok(3));
    }

    #[test]
    fn lost_doubled_and_torn_messages_are_found() {
        let two = [message(5, false), message(6, false)].concat();
        for (due, delivered) in [(4, &two[..]), (6, &two[..]), (5, &two[..two.len() - 98]), (5, "@5")] {
            assert!(follow(due, delivered.as_bytes()).is_err(), "{due} {delivered}");
        }
        let doubled = [message(5, false), message(5, false)].concat();
        assert!(follow(5, doubled.as_bytes()).is_err());
    }
}
