//! The scanner: one pass over JSON text that checks the whole grammar of RFC 8259
//! and builds nothing. What to do with insignificant white space is the
//! [`Gaps`] parameter's business.

use super::{JsonError, MAX_DEPTH, find};

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

/// A place in a text.
pub(super) struct Scanner<'a, G> {
    text: &'a [u8],
    /// Index of the next byte to look at; on a fault, of the byte at fault.
    pub(super) at: usize,
    gaps: G,
}

/// What is wrong at [`Scanner::at`].
#[derive(Clone, Copy)]
pub(super) enum Fault {
    Syntax(&'static str),
    TooDeep,
}

impl<'a, G: Gaps> Scanner<'a, G> {
    /// Starts at the beginning of `text`, which must be valid UTF-8 for the grammar check
    /// to be complete: bytes above 0x7f pass inside strings.
    pub(super) const fn new(text: &'a [u8], gaps: G) -> Self {
        Self { text, at: 0, gaps }
    }

    /// What was told where white space lies.
    pub(super) fn into_gaps(self) -> G {
        self.gaps
    }

    /// The fault at the current place, as callers see it.
    #[cold]
    pub(super) const fn error(&self, fault: Fault) -> JsonError {
        match fault {
            Fault::Syntax(reason) => JsonError::Syntax { at: self.at, reason },
            Fault::TooDeep => JsonError::TooDeep(MAX_DEPTH),
        }
    }

    /// The next byte that is not white space, without passing it.
    #[inline(always)]
    pub(super) fn peek(&mut self) -> Option<u8> {
        let byte = self.text.get(self.at).copied();
        if byte.is_some_and(|byte| byte <= b' ') { self.peek_after_space() } else { byte }
    }

    #[inline]
    fn peek_after_space(&mut self) -> Option<u8> {
        let from = self.at;
        self.at += find::space_end(&self.text[from..]);
        if self.at > from {
            self.gaps.gap(self.text, from, self.at);
        }
        self.text.get(self.at).copied()
    }

    /// Passes one whole value and the white space before it.
    #[inline]
    pub(super) fn value(&mut self) -> Result<(), Fault> {
        match self.peek() {
            Some(b'"') => self.string(),
            Some(b'{' | b'[') => self.container(),
            Some(first) => self.scalar(first),
            None => Err(MISSING_VALUE),
        }
    }

    /// Passes a comma between elements of an array and tells that there was one; stays
    /// before the closing bracket.
    #[inline(always)]
    pub(super) fn separator(&mut self) -> Result<bool, Fault> {
        match self.peek() {
            Some(b',') => {
                self.at += 1;
                Ok(true)
            }
            Some(b']') => Ok(false),
            _ => Err(UNSEPARATED_ELEMENT),
        }
    }

    /// Checks that nothing but white space is left.
    #[inline]
    pub(super) fn end(&mut self) -> Result<(), Fault> {
        if self.peek().is_none() { Ok(()) } else { Err(Fault::Syntax("text follows the value")) }
    }

    /// Passes an object or array, starting at its bracket.
    fn container(&mut self) -> Result<(), Fault> {
        let mut nesting = Nesting::default();
        loop {
            // Here a value is due; `at` is at its first byte.
            match self.peek() {
                Some(b'"') => self.string()?,
                Some(b'{') => {
                    nesting.enter(true)?;
                    self.at += 1;
                    if self.peek() == Some(b'}') {
                        self.at += 1;
                        if nesting.leave() {
                            return Ok(());
                        }
                    } else {
                        self.key()?;
                        continue;
                    }
                }
                Some(b'[') => {
                    nesting.enter(false)?;
                    self.at += 1;
                    if self.peek() == Some(b']') {
                        self.at += 1;
                        if nesting.leave() {
                            return Ok(());
                        }
                    } else {
                        continue;
                    }
                }
                Some(first) => self.scalar(first)?,
                None => return Err(MISSING_VALUE),
            }
            // Here a value has ended, inside the container on top of `nesting`.
            loop {
                let next = self.peek();
                if nesting.in_object {
                    match next {
                        Some(b',') => {
                            self.at += 1;
                            self.key()?;
                            break;
                        }
                        Some(b'}') => self.at += 1,
                        _ => return Err(Fault::Syntax("',' or '}' is missing in an object")),
                    }
                } else {
                    match next {
                        Some(b',') => {
                            self.at += 1;
                            break;
                        }
                        Some(b']') => self.at += 1,
                        _ => return Err(UNSEPARATED_ELEMENT),
                    }
                }
                if nesting.leave() {
                    return Ok(());
                }
            }
        }
    }

    /// Passes an object's key and the colon after it.
    #[inline(always)]
    fn key(&mut self) -> Result<(), Fault> {
        if self.peek() != Some(b'"') {
            return Err(Fault::Syntax("a key in double quotes is missing in an object"));
        }
        self.string()?;
        if self.peek() != Some(b':') {
            return Err(Fault::Syntax("':' is missing after a key"));
        }
        self.at += 1;
        Ok(())
    }

    /// Passes a string, starting at its opening quote.
    #[inline(always)]
    fn string(&mut self) -> Result<(), Fault> {
        self.at += 1;
        loop {
            self.at += find::string_special(&self.text[self.at..]);
            match self.text.get(self.at) {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(());
                }
                Some(b'\\') => self.escape()?,
                Some(_) => return Err(Fault::Syntax("a control character in a string must be escaped")),
                None => return Err(Fault::Syntax("a string is not closed")),
            }
        }
    }

    /// Passes an escape sequence. A lone surrogate (`\ud800`) passes: the grammar allows
    /// it, and tokens are kept as sent.
    #[inline]
    fn escape(&mut self) -> Result<(), Fault> {
        match self.text.get(self.at + 1) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => self.at += 2,
            Some(b'u') => {
                let digits = self.text.get(self.at + 2..self.at + 6);
                if !digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit)) {
                    return Err(Fault::Syntax("\\u is not followed by four hexadecimal digits"));
                }
                self.at += 6;
            }
            Some(_) => return Err(Fault::Syntax("a string has an unknown escape")),
            None => return Err(Fault::Syntax("a string is not closed")),
        }
        Ok(())
    }

    /// Passes a number, `true`, `false` or `null`.
    #[inline(always)]
    fn scalar(&mut self, first: u8) -> Result<(), Fault> {
        match first {
            b'-' | b'0'..=b'9' => self.number(first),
            b't' => self.literal(b"true"),
            b'f' => self.literal(b"false"),
            b'n' => self.literal(b"null"),
            _ => Err(Fault::Syntax("a value cannot start like this")),
        }
    }

    #[inline(always)]
    fn literal(&mut self, name: &[u8]) -> Result<(), Fault> {
        if !self.text[self.at..].starts_with(name) {
            return Err(Fault::Syntax("a value cannot start like this"));
        }
        self.at += name.len();
        // What follows is checked by the caller, who accepts no letter there.
        Ok(())
    }

    /// Passes a number: `-? (0 | [1-9][0-9]*) (. [0-9]+)? ([eE] [+-]? [0-9]+)?`.
    #[inline(always)]
    fn number(&mut self, first: u8) -> Result<(), Fault> {
        if first == b'-' {
            self.at += 1;
        }
        let leading_zero = self.text.get(self.at) == Some(&b'0');
        let digits = self.digits()?;
        if leading_zero && digits > 1 {
            self.at -= digits;
            return Err(Fault::Syntax("a number has a leading zero"));
        }
        if self.text.get(self.at) == Some(&b'.') {
            self.at += 1;
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.text.get(self.at) {
            self.at += 1;
            if let Some(b'+' | b'-') = self.text.get(self.at) {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok(())
    }

    /// Passes one or more digits and returns how many.
    #[inline(always)]
    fn digits(&mut self) -> Result<usize, Fault> {
        let digits = find::digits_end(&self.text[self.at..]);
        self.at += digits;
        if digits == 0 { Err(Fault::Syntax("a number lacks a digit")) } else { Ok(digits) }
    }
}

const MISSING_VALUE: Fault = Fault::Syntax("the text ends where a value is due");
const UNSEPARATED_ELEMENT: Fault = Fault::Syntax("',' or ']' is missing in an array");

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
    fn enter(&mut self, is_object: bool) -> Result<(), Fault> {
        let Some(kinds) = self.kinds.get_mut(self.depth / 64) else { return Err(Fault::TooDeep) };
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
