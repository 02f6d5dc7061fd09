//! Values as people write them in settings: durations, sizes, switches.

use std::time::Duration;

/// Parses a duration in Go syntax plus `d`: `1h30m`, `500ms`, `1.5s`, `2d`, `0`.
pub(super) fn duration(text: &str) -> Option<Duration> {
    if text == "0" {
        return Some(Duration::ZERO);
    }
    let mut rest = text.strip_prefix('+').unwrap_or(text);
    if rest.is_empty() {
        return None;
    }
    let mut total = Duration::ZERO;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let number: f64 = rest[..digits].parse().ok()?;
        let unit_len = rest[digits..].find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(rest.len() - digits);
        let seconds = match &rest[digits..digits + unit_len] {
            "ns" => 1e-9,
            "us" | "µs" | "μs" => 1e-6,
            "ms" => 1e-3,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            "d" => 86_400.0,
            _ => return None,
        };
        total = total.checked_add(Duration::try_from_secs_f64(number * seconds).ok()?)?;
        rest = &rest[digits + unit_len..];
    }
    Some(total)
}

/// A duration as people write it: the largest units that show it exactly.
pub(super) fn show_duration(duration: Duration) -> String {
    let (whole, nanos) = (duration.as_secs(), duration.subsec_nanos());
    if nanos != 0 {
        return if nanos % 1_000_000 == 0 { format!("{}ms", duration.as_millis()) } else { format!("{duration:?}") };
    }
    match whole {
        0 => "0s".to_owned(),
        whole if whole % 86_400 == 0 => format!("{}d", whole / 86_400),
        whole if whole % 3600 == 0 => format!("{}h", whole / 3600),
        whole if whole % 60 == 0 && whole > 60 => format!("{}m", whole / 60),
        whole => format!("{whole}s"),
    }
}

/// Parses a number of bytes: digits, or with `k`, `m`, `g` (1000) or `KiB`, `MiB`, `GiB` (1024).
pub(super) fn bytes(text: &str) -> Option<u64> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let number: u64 = text[..digits].parse().ok()?;
    let unit: u64 = match text[digits..].trim_start().to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" | "kb" => 1000,
        "m" | "mb" => 1_000_000,
        "g" | "gb" => 1_000_000_000,
        "kib" => 1 << 10,
        "mib" => 1 << 20,
        "gib" => 1 << 30,
        _ => return None,
    };
    number.checked_mul(unit)
}

/// Parses a switch.
pub(super) fn switch(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "on" | "yes" | "1" => Some(true),
        "false" | "off" | "no" | "0" => Some(false),
        _ => None,
    }
}

/// The known name nearest to what was written, if it is near at all.
pub(super) fn nearest<'n>(written: &str, known: impl IntoIterator<Item = &'n str>) -> Option<&'n str> {
    known
        .into_iter()
        .map(|name| (distance(written, name), name))
        .min()
        .filter(|(distance, name)| *distance <= 1 + name.len() / 4)
        .map(|(_, name)| name)
}

/// Number of single-character edits between two words.
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (i, l) in left.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, r) in right.iter().enumerate() {
            let substituted = diagonal + usize::from(l != *r);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_go_syntax_plus_days() {
        for (text, ms) in [
            ("30s", 30_000),
            ("1h30m", 5_400_000),
            ("500ms", 500),
            ("1.5s", 1500),
            ("2d", 172_800_000),
            ("0", 0),
            ("0s", 0),
            ("1m0.5s", 60_500),
        ] {
            assert_eq!(duration(text), Some(Duration::from_millis(ms)), "{text}");
        }
        for bad in ["", "30", "s", "-1s", "1x", "1 s", "1.s.s", "1e3s"] {
            assert_eq!(duration(bad), None, "{bad}");
        }
        for text in ["30s", "60s", "90s", "1500ms", "2h", "2m", "3d", "0s"] {
            assert_eq!(show_duration(duration(text).expect(text)), text);
        }
    }

    #[test]
    fn sizes_take_units() {
        for (text, size) in [("0", 0), ("1024", 1024), ("16MiB", 16 << 20), ("64 KiB", 65_536), ("10MB", 10_000_000)] {
            assert_eq!(bytes(text), Some(size), "{text}");
        }
        for bad in ["", "MiB", "-1", "1.5MiB", "1TiBx", "99999999999999999999"] {
            assert_eq!(bytes(bad), None, "{bad}");
        }
    }

    #[test]
    fn near_misses_find_their_name() {
        let known = ["port", "host", "prefix", "long-poll-timeout"];
        assert_eq!(nearest("prot", known), Some("port"));
        assert_eq!(nearest("long-pol-timeout", known), Some("long-poll-timeout"));
        assert_eq!(nearest("zebra", known), None);
    }
}
