//! JSON text to Ruby objects, as `JSON.parse` makes them.
//!
//! Streams hold messages of the same shape, so the keys of one message are tried in the order
//! in which the message before had them: a hit costs one comparison. Keys are interned strings,
//! which a hash takes without a copy, and a small object's pairs go into its hash in one call.
//!
//! Objects under construction, and the keys, stand on this thread's stack: the collector finds
//! them there, and only there, and leaves them where they are when it moves others together.

use std::{collections::HashMap, ptr};

use durable_streams_bindings::json::{
    number::{Number, number},
    text::{self, Invalid, Unescaped},
};
use magnus::rb_sys::protect;
use rb_sys::VALUE;

/// As `JSON.parse`: messages nested deeper are refused.
const MAX_DEPTH: usize = 100;
/// How many keys of one message are expected again in the next.
const MAX_TRAIL: usize = 256;
/// How many different keys of one batch are kept.
const MAX_KEYS: usize = 1024;
/// Values of the pairs that go into a hash in one call: as many as its first form holds.
const PAIRS: usize = 16;
/// Elements that go into an array in one call.
const ELEMENTS: usize = 32;

/// Messages of a batch, as a Ruby array; and the place of the rest, if there is one.
pub(crate) type Part = (VALUE, Option<usize>);

/// The next messages of a batch, from a place on that an earlier call gave, 0 first, and this
/// many at most. Part by part, what was decoded is used while it is still in the processor's
/// cache. A text that is no array counts as one message.
/// Errors: what is wrong and where, or the exception of Ruby that came meanwhile.
pub(crate) fn decode(data: &[u8], at: usize, most: usize) -> Result<Part, Failed> {
    if at == 0 && std::str::from_utf8(data).is_err() {
        return Err(Failed::Invalid("not UTF-8".to_owned()));
    }
    let mut outcome = Err(Wrong { at, what: "not decoded" });
    // The array is also what comes back, so that it stays on the stack until it is used.
    let array = protect(|| {
        // SAFETY: the thread holds the lock of Ruby's threads, and `protect` catches jumps.
        let messages = unsafe { rb_sys::rb_ary_new() };
        let mut kept = [0; MAX_KEYS];
        let mut decoder =
            Decoder { data, at, depth: 0, kept: &mut kept, trail: Vec::new(), step: 0, keys: HashMap::new() };
        outcome = decoder.part(messages, most);
        messages
    })
    .map_err(Failed::Raised)?;
    let rest = outcome.map_err(|Wrong { at, what }| Failed::Invalid(format!("{what} at byte {at}")))?;
    Ok((array, rest))
}

/// Why a batch could not be decoded.
pub(crate) enum Failed {
    /// The text is no JSON.
    Invalid(String),
    /// Ruby had no memory left.
    Raised(magnus::Error),
}

struct Wrong {
    at: usize,
    what: &'static str,
}

struct Decoder<'d> {
    data: &'d [u8],
    at: usize,
    depth: usize,
    /// Every key, on the stack. An array of Ruby's would not do: the collector may move what only
    /// such arrays refer to, and changes the reference in the array, but not those below.
    kept: &'d mut [VALUE; MAX_KEYS],
    /// The keys of the latest message, in order.
    trail: Vec<Expected<'d>>,
    /// Which of them is expected next.
    step: usize,
    keys: HashMap<&'d [u8], VALUE>,
}

/// A key that may come again.
struct Expected<'d> {
    raw: &'d [u8],
    key: VALUE,
    /// The key with its last quote, if that fits, and which bits it takes: a comparison of one
    /// word is a fifth of one of slices.
    word: u64,
    mask: u64,
}

/// Elements on their way into an array.
struct Elements {
    array: VALUE,
    values: [VALUE; ELEMENTS],
    count: usize,
}

/// Pairs on their way into a hash.
struct Pairs {
    hash: VALUE,
    values: [VALUE; PAIRS],
    count: usize,
}

impl<'d> Decoder<'d> {
    fn part(&mut self, messages: VALUE, most: usize) -> Result<Option<usize>, Wrong> {
        if self.at == 0 {
            self.skip_space();
            if self.peek() != Some(b'[') {
                let value = self.value()?;
                push(messages, value);
                return self.end().map(|()| None);
            }
            self.at += 1;
            self.skip_space();
            if self.peek() == Some(b']') {
                self.at += 1;
                return self.end().map(|()| None);
            }
        }
        if self.elements(messages, most)? { self.end().map(|()| None) } else { Ok(Some(self.at)) }
    }

    fn end(&mut self) -> Result<(), Wrong> {
        self.skip_space();
        if self.at < self.data.len() { Err(self.wrong("more data")) } else { Ok(()) }
    }

    fn value(&mut self) -> Result<VALUE, Wrong> {
        match self.peek() {
            Some(b'"') => {
                self.at += 1;
                self.string()
            }
            Some(b'{') => self.nested(Self::object),
            Some(b'[') => self.nested(Self::array),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b't') => self.literal(b"true", rb_sys::Qtrue.into()),
            Some(b'f') => self.literal(b"false", rb_sys::Qfalse.into()),
            Some(b'n') => self.literal(b"null", rb_sys::Qnil.into()),
            _ => Err(self.wrong("expected a value")),
        }
    }

    fn nested(&mut self, read: fn(&mut Self) -> Result<VALUE, Wrong>) -> Result<VALUE, Wrong> {
        if self.depth == MAX_DEPTH {
            return Err(self.wrong("nested too deeply"));
        }
        self.depth += 1;
        self.at += 1;
        let value = read(self);
        self.depth -= 1;
        value
    }

    fn array(&mut self) -> Result<VALUE, Wrong> {
        // SAFETY: as in `decode`.
        let array = unsafe { rb_sys::rb_ary_new() };
        self.skip_space();
        if self.peek() == Some(b']') {
            self.at += 1;
            return Ok(array);
        }
        self.elements(array, usize::MAX)?;
        Ok(array)
    }

    /// Adds elements to an array, this many at most; says whether the array is over.
    fn elements(&mut self, array: VALUE, most: usize) -> Result<bool, Wrong> {
        let is_batch = self.depth == 0;
        let mut elements = Elements { array, values: [0; ELEMENTS], count: 0 };
        for _ in 0..most {
            if is_batch {
                self.step = 0;
            }
            let value = self.value()?;
            elements.add(value);
            self.skip_space();
            match self.peek() {
                Some(b',') => {
                    self.at += 1;
                    self.skip_space();
                }
                Some(b']') => {
                    self.at += 1;
                    elements.flush();
                    return Ok(true);
                }
                _ => return Err(self.wrong("expected ',' or ']'")),
            }
        }
        elements.flush();
        Ok(false)
    }

    fn object(&mut self) -> Result<VALUE, Wrong> {
        let mut pairs = Pairs::new();
        self.skip_space();
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(pairs.hash);
        }
        loop {
            if self.peek() != Some(b'"') {
                return Err(self.wrong("expected a key in double quotes"));
            }
            self.at += 1;
            let key = self.key()?;
            self.skip_space();
            if self.peek() != Some(b':') {
                return Err(self.wrong("expected ':'"));
            }
            self.at += 1;
            self.skip_space();
            let value = self.value()?;
            pairs.add(key, value);
            self.skip_space();
            match self.peek() {
                Some(b',') => {
                    self.at += 1;
                    self.skip_space();
                }
                Some(b'}') => {
                    self.at += 1;
                    return Ok(pairs.hash());
                }
                _ => return Err(self.wrong("expected ',' or '}'")),
            }
        }
    }

    /// A key, behind its first quote.
    fn key(&mut self) -> Result<VALUE, Wrong> {
        let step = self.step;
        self.step += 1;
        let rest = self.data.get(self.at..).unwrap_or_default();
        if let Some(expected) = self.trail.get(step)
            && expected.is_first_of(rest)
        {
            self.at += expected.raw.len() + 1;
            return Ok(expected.key);
        }
        let end = text::special(rest);
        if rest.get(end) != Some(&b'"') {
            // With escapes: rare, and not worth remembering.
            return self.escaped(interned);
        }
        let raw = rest.get(..end).unwrap_or_default();
        self.at += end + 1;
        let key = match self.keys.get(raw) {
            Some(known) => *known,
            None => {
                let key = interned(raw);
                if let Some(place) = self.kept.get_mut(self.keys.len()) {
                    // SAFETY: a place of our own. Volatile, because nobody but the collector reads it.
                    unsafe { ptr::write_volatile(place, key) };
                    self.keys.insert(raw, key);
                }
                key
            }
        };
        // Only what is kept may be remembered.
        if self.keys.len() < MAX_KEYS {
            if let Some(place) = self.trail.get_mut(step) {
                *place = Expected::new(raw, key);
            } else if step == self.trail.len() && step < MAX_TRAIL {
                self.trail.push(Expected::new(raw, key));
            }
        }
        Ok(key)
    }

    /// A string, behind its first quote.
    fn string(&mut self) -> Result<VALUE, Wrong> {
        let rest = self.data.get(self.at..).unwrap_or_default();
        let end = text::special(rest);
        if rest.get(end) != Some(&b'"') {
            return self.escaped(string);
        }
        self.at += end + 1;
        Ok(string(rest.get(..end).unwrap_or_default()))
    }

    /// A string with escapes, or one that is none.
    #[cold]
    fn escaped(&mut self, make: fn(&[u8]) -> VALUE) -> Result<VALUE, Wrong> {
        let mut unescaped = Vec::new();
        match text::unescape(self.data.get(self.at..).unwrap_or_default(), &mut unescaped) {
            // Half a surrogate pair passes, as `JSON.parse` lets it: a string that is not valid.
            Ok(Unescaped { length, .. }) => {
                self.at += length;
                Ok(make(&unescaped))
            }
            Err(Invalid { at, what }) => Err(Wrong { at: self.at + at, what }),
        }
    }

    fn number(&mut self) -> Result<VALUE, Wrong> {
        let rest = self.data.get(self.at..).unwrap_or_default();
        let Some((number, length)) = number(rest) else {
            return Err(self.wrong("not a number"));
        };
        self.at += length;
        // SAFETY: as in `decode`.
        Ok(unsafe {
            match number {
                Number::Int(value) => rb_sys::rb_ll2inum(value),
                Number::Float(value) => rb_sys::rb_float_new(value),
                Number::Large => rb_sys::rb_str_to_inum(string(rest.get(..length).unwrap_or_default()), 10, 0),
            }
        })
    }

    fn literal(&mut self, word: &[u8], value: VALUE) -> Result<VALUE, Wrong> {
        if self.data.get(self.at..).is_some_and(|rest| rest.starts_with(word)) {
            self.at += word.len();
            return Ok(value);
        }
        Err(self.wrong("expected a value"))
    }

    fn peek(&self) -> Option<u8> {
        self.data.get(self.at).copied()
    }

    fn skip_space(&mut self) {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.peek() {
            self.at += 1;
        }
    }

    #[cold]
    fn wrong(&self, what: &'static str) -> Wrong {
        Wrong { at: self.at, what }
    }
}

impl<'d> Expected<'d> {
    fn new(raw: &'d [u8], key: VALUE) -> Self {
        let mut quoted = [0; 8];
        let Some((quote, place)) = quoted.get_mut(..=raw.len()).and_then(<[u8]>::split_last_mut) else {
            return Self { raw, key, word: 0, mask: 0 };
        };
        place.copy_from_slice(raw);
        *quote = b'"';
        let mask = u64::MAX >> (56 - 8 * raw.len());
        Self { raw, key, word: u64::from_le_bytes(quoted), mask }
    }

    /// Whether the text goes on with this key and its last quote.
    fn is_first_of(&self, text: &[u8]) -> bool {
        match text.first_chunk() {
            Some(eight) if self.mask != 0 => u64::from_le_bytes(*eight) & self.mask == self.word,
            _ => text.starts_with(self.raw) && text.get(self.raw.len()) == Some(&b'"'),
        }
    }
}

impl Elements {
    fn add(&mut self, value: VALUE) {
        if self.count == ELEMENTS {
            self.flush();
        }
        if let Some(place) = self.values.get_mut(self.count) {
            *place = value;
            self.count += 1;
        }
    }

    fn flush(&mut self) {
        // SAFETY: as in `decode`; the first `count` values are objects of Ruby.
        unsafe { rb_sys::rb_ary_cat(self.array, self.values.as_ptr(), self.count as std::ffi::c_long) };
        self.count = 0;
    }
}

impl Pairs {
    fn new() -> Self {
        // SAFETY: as in `decode`.
        Self { hash: unsafe { rb_sys::rb_hash_new() }, values: [0; PAIRS], count: 0 }
    }

    fn add(&mut self, key: VALUE, value: VALUE) {
        if self.count == PAIRS {
            self.flush();
        }
        if let Some([place_of_key, place_of_value]) = self.values.get_mut(self.count..self.count + 2) {
            *place_of_key = key;
            *place_of_value = value;
            self.count += 2;
        }
    }

    fn flush(&mut self) {
        // SAFETY: as in `decode`; the first `count` values are objects of Ruby.
        unsafe { rb_sys::rb_hash_bulk_insert(self.count as std::ffi::c_long, self.values.as_ptr(), self.hash) };
        self.count = 0;
    }

    fn hash(mut self) -> VALUE {
        self.flush();
        self.hash
    }
}

fn push(array: VALUE, value: VALUE) {
    // SAFETY: as in `decode`; `array` is an array.
    unsafe { rb_sys::rb_ary_push(array, value) };
}

fn string(text: &[u8]) -> VALUE {
    const SHIFT: u32 = rb_sys::ruby_encoding_consts::RUBY_ENCODING_SHIFT as u32;
    // SAFETY: as in `decode`; the bytes are copied. The encoding's bits of a new string are 0;
    // writing them is what `RB_ENCODING_SET_INLINED` of Ruby's headers does, and spares the
    // checks of `rb_utf8_str_new`.
    unsafe {
        let string = rb_sys::rb_str_new(text.as_ptr().cast(), text.len() as std::ffi::c_long);
        (*(string as *mut rb_sys::RBasic)).flags |= (rb_sys::rb_utf8_encindex() as VALUE) << SHIFT;
        string
    }
}

fn interned(text: &[u8]) -> VALUE {
    // SAFETY: as in `decode`; the bytes are copied.
    unsafe {
        rb_sys::rb_enc_interned_str(text.as_ptr().cast(), text.len() as std::ffi::c_long, rb_sys::rb_utf8_encoding())
    }
}
