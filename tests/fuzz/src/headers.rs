//! Header and query values against naive parsers; round trips of what the server writes.

use std::time::Duration;

use durable_streams_protocol::{
    MAX_SAFE_INTEGER, content_type,
    content_type::Framing,
    cursor::{self, CursorClock},
    expiry::{Deadline, Expiry},
    headers,
    offset::{Offset, Position, ReadFrom},
    produce::decide::ProducerClaim,
    response::retry_after,
    sse::control::ControlEvent,
};
use durable_streams_server::path::StreamPath;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use serde_json::{Value, value::RawValue};

use crate::input::Input;

/// One kind of value per run; the first byte chooses.
///
/// # Panics
/// When a naive parser judges otherwise, or what was written does not read back.
pub fn headers(data: &[u8]) {
    let mut input = Input::new(data);
    match input.below(9) {
        0 => integers(input.rest()),
        1 => offsets(input.rest()),
        2 => positions(&mut input),
        3 => cursors(&mut input),
        4 => deadlines(input.rest()),
        5 => content_types(&mut input),
        6 => maps(&mut input),
        7 => controls(input.rest()),
        _ => paths(input.rest()),
    }
}

/// `[0-9]+` as a number of any length.
fn digits(text: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(text).ok().filter(|text| !text.is_empty())?;
    if !text.chars().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let significant = text.trim_start_matches('0');
    if significant.is_empty() {
        return Some(0);
    }
    significant.parse().ok().filter(|value| *value <= MAX_SAFE_INTEGER)
}

fn integers(text: &[u8]) {
    assert_eq!(headers::parse_integer(text), digits(text));
    let is_canonical = text.len() == 1 || text.first() != Some(&b'0');
    assert_eq!(headers::parse_canonical_integer(text), digits(text).filter(|_| is_canonical));
    if let Some(value) = digits(text) {
        assert_eq!(digits(headers::integer_value(value).as_bytes()), Some(value));
    }
}

fn offsets(text: &[u8]) {
    let expected = match text {
        b"-1" => Some(ReadFrom::Beginning),
        b"now" => Some(ReadFrom::Now),
        token => position(token).map(ReadFrom::At),
    };
    assert_eq!(ReadFrom::parse(text), expected);
    if let Ok(text) = std::str::from_utf8(text) {
        let offset = Offset::new(text);
        assert_eq!(Offset::new(offset.as_str()), offset);
        assert_eq!(offset.is_beginning(), matches!(text, "" | "-1"));
        assert_eq!(offset.is_now(), text == "now");
    }
}

/// Two groups of 16 digits with `_` between; the first says "beyond everything" unless 0.
fn position(token: &[u8]) -> Option<Position> {
    let (first, second) = std::str::from_utf8(token).ok()?.split_once('_')?;
    let group = |text: &str| {
        let is_group = text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_digit());
        is_group.then(|| text.parse::<u64>().ok()).flatten()
    };
    let (first, second) = (group(first)?, group(second)?);
    Some(if first == 0 { Position(second) } else { Position::MAX })
}

fn positions(input: &mut Input<'_>) {
    let [left, right] = [input.number(), input.number()].map(|number| Position(number % (Position::MAX.0 + 1)));
    assert_eq!(left.cmp(&right), left.token().as_str().cmp(right.token().as_str()), "tokens order as positions");
    assert_eq!(Position::parse(left.token().as_bytes()), Some(left));
    assert!(Offset::Beginning < Offset::new(left.token().as_str()), "the beginning is before every token");
}

fn cursors(input: &mut Input<'_>) {
    let (now, entropy, interval) = (input.number() >> 20, input.number(), input.number() % 100);
    let clock = CursorClock { interval_seconds: interval, ..CursorClock::default() };
    let text = String::from_utf8_lossy(input.rest()).into_owned();
    let client = cursor::parse(&text);
    assert_eq!(client, digits(text.as_bytes()));
    let answer = clock.respond(client, now, entropy);
    let current = clock.current(now);
    match client {
        Some(client) if client >= current => assert!(answer > client, "a collision moves forward"),
        Some(_) | None => assert_eq!(answer, current),
    }
}

fn deadlines(text: &[u8]) {
    let Ok(text) = std::str::from_utf8(text) else { return };
    let parsed = Deadline::parse(text).map(|deadline| deadline.unix_ms);
    match rfc3339(text) {
        // Years below 1 and above 9998, and a leap second, are left to the library.
        Some(Moment::Sure(ms)) => assert_eq!(parsed, Some(ms), "{text:?}"),
        Some(Moment::Unsure) => {}
        None => assert_eq!(parsed, None, "{text:?}"),
    }
}

enum Moment {
    /// Unix milliseconds, rounded towards zero.
    Sure(i64),
    /// Within the grammar, and a matter of taste.
    Unsure,
}

/// RFC 3339 §5.6, letter by letter; a space may stand for `T` as the note there allows.
fn rfc3339(text: &str) -> Option<Moment> {
    let bytes = text.as_bytes();
    let number = |range: std::ops::Range<usize>| -> Option<i64> {
        let digits = bytes.get(range)?;
        digits
            .iter()
            .all(u8::is_ascii_digit)
            .then(|| digits.iter().fold(0, |sum, digit| sum * 10 + i64::from(digit - b'0')))
    };
    let is = |at: usize, allowed: &[u8]| bytes.get(at).is_some_and(|byte| allowed.contains(byte));
    let (year, month, day) = (number(0..4)?, number(5..7)?, number(8..10)?);
    let (hour, minute, second) = (number(11..13)?, number(14..16)?, number(17..19)?);
    if !(is(4, b"-") && is(7, b"-") && is(10, b"Tt ") && is(13, b":") && is(16, b":")) {
        return None;
    }
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days = [31, if is_leap { 29 } else { 28 }, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let days_in_month = *days.get(usize::try_from(month - 1).ok()?)?;
    if !(1..=days_in_month).contains(&day) || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let mut at = 19;
    let mut fraction_ns = 0_i64;
    let mut places = 0;
    if is(at, b".") {
        at += 1;
        while let Some(digit) = bytes.get(at).filter(|byte| byte.is_ascii_digit()) {
            if places < 9 {
                fraction_ns = fraction_ns * 10 + i64::from(digit - b'0');
            }
            places += 1;
            at += 1;
        }
        if places == 0 {
            return None;
        }
        fraction_ns *= 10_i64.pow(9 - places.min(9));
    }
    let offset_minutes = if is(at, b"Zz") {
        at += 1;
        0
    } else {
        if !(is(at, b"+-") && is(at + 3, b":")) {
            return None;
        }
        let (hours, minutes) = (number(at + 1..at + 3)?, number(at + 4..at + 6)?);
        if hours > 23 || minutes > 59 {
            return None;
        }
        let sign = if is(at, b"-") { -1 } else { 1 };
        at += 6;
        sign * (hours * 60 + minutes)
    };
    if at != bytes.len() {
        return None;
    }
    if !(1..9999).contains(&year) || second == 60 || places > 9 {
        return Some(Moment::Unsure);
    }
    // Days since 1970 by counting: slow, and plain.
    let leap_days = |year: i64| year / 4 - year / 100 + year / 400;
    let before_year = (year - 1970) * 365 + leap_days(year - 1) - leap_days(1969);
    let before_month: i64 = days.iter().take(usize::try_from(month - 1).ok()?).sum();
    let seconds = ((before_year + before_month + day - 1) * 24 + hour) * 3600 + (minute - offset_minutes) * 60 + second;
    let nanos = i128::from(seconds) * 1_000_000_000 + i128::from(fraction_ns);
    Some(Moment::Sure(i64::try_from(nanos / 1_000_000).ok()?))
}

fn content_types(input: &mut Input<'_>) {
    let left = String::from_utf8_lossy(input.bytes()).into_owned();
    let right = String::from_utf8_lossy(input.rest()).into_owned();
    let media = |text: &str| text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    assert_eq!(content_type::same(&left, &right), media(&left) == media(&right));
    let framing = match media(&left).as_str() {
        "application/json" => Framing::Json,
        text if text.starts_with("text/") => Framing::Text,
        _ => Framing::Binary,
    };
    assert_eq!(Framing::of(&left), framing);
    let stored = content_type::or_default(Some(&left));
    assert_eq!(content_type::or_default(Some(stored)), stored);
    assert!(content_type::is_valid(stored));
}

fn maps(input: &mut Input<'_>) {
    let names: [HeaderName; 7] = [
        headers::STREAM_TTL,
        headers::STREAM_EXPIRES_AT,
        headers::PRODUCER_ID,
        headers::PRODUCER_EPOCH,
        headers::PRODUCER_SEQ,
        header::RETRY_AFTER,
        header::DATE,
    ];
    let mut map = HeaderMap::new();
    while !input.is_empty() {
        let name = input.pick(&names);
        if let Ok(value) = HeaderValue::from_bytes(input.bytes()) {
            map.insert(name, value);
        }
    }
    let value = |name: &HeaderName| map.get(name).map(|value| value.as_bytes().to_vec());
    let number = |name: &HeaderName| value(name).and_then(|text| digits(&text));

    let parts = [headers::PRODUCER_ID, headers::PRODUCER_EPOCH, headers::PRODUCER_SEQ];
    let present = parts.iter().filter(|name| map.contains_key(*name)).count();
    match ProducerClaim::from_headers(&map) {
        Ok(None) => assert_eq!(present, 0),
        Ok(Some(claim)) => {
            assert_eq!(value(&headers::PRODUCER_ID).as_deref(), Some(&*claim.id));
            assert!(!claim.id.is_empty());
            assert_eq!(number(&headers::PRODUCER_EPOCH), Some(claim.state.epoch));
            assert_eq!(number(&headers::PRODUCER_SEQ), Some(claim.state.seq));
        }
        Err(_) => {
            let is_whole = present == 3
                && value(&headers::PRODUCER_ID).is_some_and(|id| !id.is_empty())
                && number(&headers::PRODUCER_EPOCH).is_some()
                && number(&headers::PRODUCER_SEQ).is_some();
            assert!(present > 0 && !is_whole);
        }
    }
    match Expiry::from_headers(&map) {
        Ok(None) => assert!(value(&headers::STREAM_TTL).is_none() && value(&headers::STREAM_EXPIRES_AT).is_none()),
        Ok(Some(Expiry::Ttl(seconds))) => assert_eq!(number(&headers::STREAM_TTL), Some(seconds)),
        Ok(Some(Expiry::At(deadline))) => {
            assert_eq!(value(&headers::STREAM_EXPIRES_AT), Some(deadline.text.clone().into_bytes()));
            assert!(rfc3339(&deadline.text).is_some());
        }
        Err(_) => {
            assert!(value(&headers::STREAM_TTL).is_some() || value(&headers::STREAM_EXPIRES_AT).is_some());
        }
    }
    let wait = retry_after(&map);
    assert!(wait.is_none_or(|wait| wait <= Duration::from_secs(3600)));
    if let Some(seconds) = number(&header::RETRY_AFTER) {
        assert_eq!(wait, Some(Duration::from_secs(seconds.min(3600))));
    }
}

fn controls(payload: &[u8]) {
    let Ok(event) = ControlEvent::parse(payload) else { return };
    serde_json::from_slice::<&RawValue>(payload).expect("an accepted control event is JSON");
    // JSON has numbers that a value cannot hold.
    let Ok(value) = serde_json::from_slice::<Value>(payload) else { return };
    let object = value.as_object().expect("and an object");
    let field = |name: &str| object.get(name).filter(|value| !value.is_null());
    assert_eq!(field("streamNextOffset").and_then(Value::as_str), Some(&*event.next_offset));
    assert_eq!(field("streamCursor").and_then(Value::as_str), event.cursor.as_deref());
    assert_eq!(field("upToDate").is_some_and(|flag| *flag == Value::Bool(true)), event.up_to_date);
    assert_eq!(field("streamClosed").is_some_and(|flag| *flag == Value::Bool(true)), event.stream_closed);
    assert_eq!(ControlEvent::parse(event.to_json().as_bytes()), Ok(event));
}

fn paths(text: &[u8]) {
    let text = String::from_utf8_lossy(text);
    let Ok(path) = StreamPath::parse(&text) else { return };
    let canonical = path.as_str();
    assert_eq!(StreamPath::parse(canonical).expect("a canonical path is one"), path);
    assert!(canonical.is_ascii() && canonical.starts_with('/') && canonical.len() <= 2048);
    assert!(
        canonical.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'?' | b'#' | b'\\')),
        "{canonical}"
    );
    if canonical != "/" {
        assert!(canonical[1..].split('/').all(|segment| !matches!(segment, "" | "." | "..")), "{canonical}");
    }
}
