//! JSON numbers.

/// A number as hosts hold it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Number {
    /// An integer of 64 bits.
    Int(i64),
    /// With a fraction or an exponent.
    Float(f64),
    /// An integer beyond 64 bits.
    Large,
}

/// Powers of ten that a double holds exactly.
const EXACT: [f64; 23] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20,
    1e21, 1e22,
];
/// Integers up to here are exact as doubles.
const EXACT_INTEGER: u64 = 1 << 53;
/// So many digits always fit 64 bits.
const MAX_DIGITS: usize = 18;

/// The number at the start of `data` and its length; nothing if there is none.
pub fn number(data: &[u8]) -> Option<(Number, usize)> {
    let is_negative = data.first() == Some(&b'-');
    let start = usize::from(is_negative);
    let mut digits = Digits::default();
    let mut at = start + digits.take(data.get(start..)?);
    let whole = at - start;
    if whole == 0 || (whole > 1 && data.get(start) == Some(&b'0')) {
        return None;
    }
    let mut is_integer = true;
    let mut exponent = 0_i64;
    if data.get(at) == Some(&b'.') {
        is_integer = false;
        let fraction = digits.take(data.get(at + 1..)?);
        if fraction == 0 {
            return None;
        }
        exponent = -i64::try_from(fraction).ok()?;
        at += 1 + fraction;
    }
    if let Some(b'e' | b'E') = data.get(at) {
        is_integer = false;
        at += 1;
        let is_below_one = data.get(at) == Some(&b'-');
        at += usize::from(matches!(data.get(at), Some(b'+' | b'-')));
        let mut power = Digits::default();
        let length = power.take(data.get(at..)?);
        if length == 0 {
            return None;
        }
        at += length;
        // Anything that long is beyond what the quick way can do.
        let power = if power.count <= 6 { i64::try_from(power.value).ok()? } else { i64::MAX / 2 };
        exponent += if is_below_one { -power } else { power };
    }
    if is_integer {
        if whole > MAX_DIGITS {
            let text = std::str::from_utf8(data.get(..at)?).ok()?;
            return Some((text.parse().map_or(Number::Large, Number::Int), at));
        }
        let value = i64::try_from(digits.value).ok()?;
        return Some((Number::Int(if is_negative { -value } else { value }), at));
    }
    let quick = || {
        if digits.count > MAX_DIGITS || digits.value > EXACT_INTEGER {
            return None;
        }
        let power = EXACT.get(usize::try_from(exponent.unsigned_abs()).ok()?)?;
        #[expect(clippy::cast_precision_loss, reason = "checked above: exact")]
        let value = digits.value as f64;
        // One rounding of two exact numbers: the nearest double.
        let value = if exponent < 0 { value / power } else { value * power };
        Some(if is_negative { -value } else { value })
    };
    let value = match quick() {
        Some(value) => value,
        None => std::str::from_utf8(data.get(..at)?).ok()?.parse().ok()?,
    };
    Some((Number::Float(value), at))
}

#[derive(Default)]
struct Digits {
    value: u64,
    count: usize,
}

impl Digits {
    /// Takes the digits at the start of `data`; says how many there are.
    fn take(&mut self, data: &[u8]) -> usize {
        let mut length = 0;
        for byte in data {
            if !byte.is_ascii_digit() {
                break;
            }
            self.value = self.value.wrapping_mul(10).wrapping_add(u64::from(byte - b'0'));
            length += 1;
        }
        self.count += length;
        length
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_as_the_standard_library_reads_them() {
        for text in ["0.1", "-0.0", "1e3", "123456789.125", "2.5e-320", "1e400", "9007199254740993.0", "1E+2"] {
            let value: f64 = text.parse().expect("a number");
            assert_eq!(number(text.as_bytes()), Some((Number::Float(value), text.len())), "{text}");
        }
        assert_eq!(number(b"-17,"), Some((Number::Int(-17), 3)));
        assert_eq!(number(b"9223372036854775807"), Some((Number::Int(i64::MAX), 19)));
        assert_eq!(number(b"9223372036854775808"), Some((Number::Large, 19)));
    }

    #[test]
    fn what_is_no_number_is_none() {
        for text in ["", "-", "01", "1.", "1.e3", "1e", ".5", "+1"] {
            assert_eq!(number(text.as_bytes()), None, "{text}");
        }
    }
}
