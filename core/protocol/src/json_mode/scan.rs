//! The scanner: one pass over JSON text that checks the whole grammar of RFC 8259
//! and builds nothing. What to do with insignificant white space is the
//! [`Gaps`] parameter's business.
//!
//! Places are passed and returned by value, never kept behind a reference: the next
//! step waits for the last one's place, and a trip through memory would double that
//! wait.

use super::{
    JsonError, MAX_DEPTH,
    find::{self, Window},
};

/// Is told where insignificant white space lies.
pub(super) trait Gaps {
    /// Takes one run of white space outside strings: `text[from..to]`, never empty.
    fn gap(&mut self, text: &[u8], from: usize, to: usize);
}

/// For callers that only validate.
pub(super) struct Ignore;

impl Gaps for Ignore {
    #[inline(always)]
    fn gap(&mut self, _: &[u8], _: usize, _: usize) {}
}

/// What is wrong, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Fault {
    at: usize,
    /// `None`: too deep.
    reason: Option<&'static str>,
}

impl Fault {
    #[cold]
    const fn syntax(at: usize, reason: &'static str) -> Self {
        Self { at, reason: Some(reason) }
    }

    /// The fault as callers see it, in a text that starts `by` bytes earlier.
    pub(super) fn in_text_from(self, by: usize) -> JsonError {
        self.reason.map_or(JsonError::TooDeep(MAX_DEPTH), |reason| JsonError::Syntax { at: self.at + by, reason })
    }
}

/// The place after a step, or what is wrong.
pub(super) type Step = Result<usize, Fault>;

/// Passes one whole value and the white space before it. The window must not start
/// behind `at`; it moves along.
#[inline]
pub(super) fn value<G: Gaps>(text: &[u8], at: usize, window: &mut Window, gaps: &mut G) -> Step {
    let at = space(text, at, gaps);
    match text.get(at) {
        Some(b'"') => string(text, at, window),
        Some(b'{' | b'[') => container(text, at, window, gaps),
        _ => scalar(text, at, window),
    }
}

/// Passes what stands between two elements of an array: gives the place after the comma,
/// or `None` and the place after the closing bracket.
#[inline(always)]
pub(super) fn separator<G: Gaps>(text: &[u8], at: usize, gaps: &mut G) -> Result<(usize, bool), Fault> {
    let at = space(text, at, gaps);
    match text.get(at) {
        Some(b',') => Ok((at + 1, true)),
        Some(b']') => Ok((at + 1, false)),
        _ => Err(Fault::syntax(at, UNSEPARATED_ELEMENT)),
    }
}

/// Checks that nothing but white space is left.
#[inline]
pub(super) fn end<G: Gaps>(text: &[u8], at: usize, gaps: &mut G) -> Step {
    let at = space(text, at, gaps);
    if at == text.len() { Ok(at) } else { Err(Fault::syntax(at, "text follows the value")) }
}

/// Passes white space.
#[inline(always)]
pub(super) fn space<G: Gaps>(text: &[u8], at: usize, gaps: &mut G) -> usize {
    if text.get(at).is_some_and(|&byte| byte <= b' ') { some_space(text, at, gaps) } else { at }
}

#[inline]
fn some_space<G: Gaps>(text: &[u8], at: usize, gaps: &mut G) -> usize {
    let end = at + find::space_end(&text[at..]);
    if end > at {
        gaps.gap(text, at, end);
    }
    end
}

/// Passes an object or array, starting at its bracket.
fn container<G: Gaps>(text: &[u8], at: usize, window: &mut Window, gaps: &mut G) -> Step {
    // A copy stays in registers.
    let mut local = *window;
    let end = nested(text, at, &mut local, gaps);
    *window = local;
    end
}

#[inline(always)]
fn nested<G: Gaps>(text: &[u8], mut at: usize, window: &mut Window, gaps: &mut G) -> Step {
    let mut nesting = Nesting::default();
    loop {
        // Here a value is due.
        at = space(text, at, gaps);
        match text.get(at) {
            Some(b'"') => at = string(text, at, window)?,
            Some(b'{') => {
                nesting.enter(at, true)?;
                at = space(text, at + 1, gaps);
                if text.get(at) != Some(&b'}') {
                    at = key(text, at, window, gaps)?;
                    continue;
                }
                at += 1;
                if nesting.leave() {
                    return Ok(at);
                }
            }
            Some(b'[') => {
                nesting.enter(at, false)?;
                at = space(text, at + 1, gaps);
                if text.get(at) != Some(&b']') {
                    continue;
                }
                at += 1;
                if nesting.leave() {
                    return Ok(at);
                }
            }
            _ => at = scalar(text, at, window)?,
        }
        // Here a value has ended, inside the container on top of `nesting`.
        loop {
            at = space(text, at, gaps);
            let next = text.get(at);
            if nesting.in_object {
                match next {
                    Some(b',') => {
                        at = space(text, at + 1, gaps);
                        at = key(text, at, window, gaps)?;
                        break;
                    }
                    Some(b'}') => {}
                    _ => return Err(Fault::syntax(at, "',' or '}' is missing in an object")),
                }
            } else {
                match next {
                    Some(b',') => {
                        at += 1;
                        break;
                    }
                    Some(b']') => {}
                    _ => return Err(Fault::syntax(at, UNSEPARATED_ELEMENT)),
                }
            }
            at += 1;
            if nesting.leave() {
                return Ok(at);
            }
        }
    }
}

/// Passes an object's key and the colon after it.
#[inline(always)]
fn key<G: Gaps>(text: &[u8], at: usize, window: &mut Window, gaps: &mut G) -> Step {
    if text.get(at) != Some(&b'"') {
        return Err(Fault::syntax(at, "a key in double quotes is missing in an object"));
    }
    let at = string(text, at, window)?;
    let at = space(text, at, gaps);
    if text.get(at) == Some(&b':') { Ok(at + 1) } else { Err(Fault::syntax(at, "':' is missing after a key")) }
}

/// Passes a string, starting at its opening quote.
#[inline(always)]
fn string(text: &[u8], at: usize, window: &mut Window) -> Step {
    let mut at = at + 1;
    loop {
        at = window.string_end(text, at);
        match text.get(at) {
            Some(b'"') => return Ok(at + 1),
            Some(b'\\') => at = escape(text, at)?,
            Some(_) => return Err(Fault::syntax(at, "a control character in a string must be escaped")),
            None => return Err(Fault::syntax(at, UNCLOSED_STRING)),
        }
    }
}

/// Passes an escape sequence. A lone surrogate (`\ud800`) passes: the grammar allows
/// it, and tokens are kept as sent.
#[inline]
fn escape(text: &[u8], at: usize) -> Step {
    match text.get(at + 1) {
        Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => Ok(at + 2),
        Some(b'u') if text.get(at + 2..at + 6).is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit)) => {
            Ok(at + 6)
        }
        Some(b'u') => Err(Fault::syntax(at, "\\u is not followed by four hexadecimal digits")),
        Some(_) => Err(Fault::syntax(at, "a string has an unknown escape")),
        None => Err(Fault::syntax(at, UNCLOSED_STRING)),
    }
}

/// Passes a number, `true`, `false` or `null`.
#[inline(always)]
fn scalar(text: &[u8], at: usize, window: &mut Window) -> Step {
    match text.get(at) {
        Some(b'-' | b'0'..=b'9') => number(text, at, window),
        Some(b't') => literal(text, at, b"true"),
        Some(b'f') => literal(text, at, b"false"),
        Some(b'n') => literal(text, at, b"null"),
        Some(_) => Err(Fault::syntax(at, NOT_A_VALUE)),
        None => Err(Fault::syntax(at, "the text ends where a value is due")),
    }
}

#[inline(always)]
fn literal(text: &[u8], at: usize, name: &[u8]) -> Step {
    // What follows is checked by the caller, who accepts no letter there.
    if text[at..].starts_with(name) { Ok(at + name.len()) } else { Err(Fault::syntax(at, NOT_A_VALUE)) }
}

/// Passes a number: `-? (0 | [1-9][0-9]*) (. [0-9]+)? ([eE] [+-]? [0-9]+)?`.
#[inline(always)]
fn number(text: &[u8], at: usize, window: &mut Window) -> Step {
    let start = at + usize::from(text[at] == b'-');
    let mut at = digits(text, start, window)?;
    if text[start] == b'0' && at > start + 1 {
        return Err(Fault::syntax(start, "a number has a leading zero"));
    }
    if text.get(at) == Some(&b'.') {
        at = digits(text, at + 1, window)?;
    }
    if let Some(b'e' | b'E') = text.get(at) {
        at += 1;
        at += usize::from(matches!(text.get(at), Some(b'+' | b'-')));
        at = digits(text, at, window)?;
    }
    Ok(at)
}

/// Passes one or more digits.
#[inline(always)]
fn digits(text: &[u8], at: usize, window: &mut Window) -> Step {
    let end = window.digits_end(text, at);
    if end == at { Err(Fault::syntax(at, "a number lacks a digit")) } else { Ok(end) }
}

const NOT_A_VALUE: &str = "a value cannot start like this";
const UNCLOSED_STRING: &str = "a string is not closed";
const UNSEPARATED_ELEMENT: &str = "',' or ']' is missing in an array";

// One whole word of bits per 64 levels.
const _: () = assert!(MAX_DEPTH.is_multiple_of(64));

/// The containers around the current place: one bit each, so that depth costs no memory.
struct Nesting {
    /// Whether the innermost container is an object.
    in_object: bool,
    depth: usize,
    /// Kind of container n at bit n: 1 = object.
    kinds: [u64; MAX_DEPTH.div_ceil(64)],
}

impl Default for Nesting {
    fn default() -> Self {
        Self { in_object: false, depth: 0, kinds: [0; MAX_DEPTH.div_ceil(64)] }
    }
}

impl Nesting {
    #[inline(always)]
    fn enter(&mut self, at: usize, is_object: bool) -> Result<(), Fault> {
        let Some(kinds) = self.kinds.get_mut(self.depth / 64) else { return Err(Fault { at, reason: None }) };
        let bit = 1 << (self.depth % 64);
        *kinds = if is_object { *kinds | bit } else { *kinds & !bit };
        self.depth += 1;
        self.in_object = is_object;
        Ok(())
    }

    /// Leaves the innermost container; tells whether it was the outermost.
    #[inline(always)]
    fn leave(&mut self) -> bool {
        self.depth -= 1;
        let Some(outer) = self.depth.checked_sub(1) else { return true };
        self.in_object = self.kinds[outer / 64] >> (outer % 64) & 1 == 1;
        false
    }
}
