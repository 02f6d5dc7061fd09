//! Messages: `@`, a number, `@`, filled up. Numbers count up per stream from 0, so that a
//! reader knows what is due next.

/// The message of a number; a JSON text when the stream is JSON. `bytes` is its length, quotes
/// of JSON excluded; one too short for the number is as long as that needs.
pub(crate) fn message(number: u64, bytes: usize, is_json: bool) -> String {
    let text = format!("{:.<bytes$}", format!("@{number}@"));
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
    use super::{follow, message};

    #[test]
    fn messages_in_order_are_followed() {
        let text = [message(7, 100, false), message(8, 100, false)].concat();
        assert_eq!(text.len(), 2 * 100);
        assert_eq!(follow(7, text.as_bytes()), Ok(9));
        let json = format!("[{},{}]", message(0, 100, true), message(1, 100, true));
        assert_eq!(follow(0, json.as_bytes()), Ok(2));
        assert_eq!(follow(3, b"[]"), Ok(3));
    }

    #[test]
    fn lost_doubled_and_torn_messages_are_found() {
        let two = [message(5, 100, false), message(6, 100, false)].concat();
        for (due, delivered) in [(4, &two[..]), (6, &two[..]), (5, &two[..two.len() - 98]), (5, "@5")] {
            assert!(follow(due, delivered.as_bytes()).is_err(), "{due} {delivered}");
        }
        let doubled = [message(5, 100, false), message(5, 100, false)].concat();
        assert!(follow(5, doubled.as_bytes()).is_err());
    }
}
