//! JSON text to terms, in one pass: objects become maps with binary keys, `null` becomes `nil`.
//!
//! Half a surrogate pair becomes the three bytes that strict UTF-8 refuses, and a number that the
//! VM cannot hold its text: nothing is lost, and nothing that is valid JSON is refused.
//!
//! Long strings are parts of the text's binary; short ones are copied, so that keeping one
//! message does not keep the whole batch.

use std::mem::MaybeUninit;

use durable_streams_bindings::json::{
    number::{Number, number},
    text,
};
use rustler::{
    BigInt, Binary, Encoder, Env, Term,
    sys::{
        ErlNifTerm, enif_make_double, enif_make_int64, enif_make_list_from_array, enif_make_map_from_arrays,
        enif_make_map_put, enif_make_new_binary, enif_make_new_map, enif_make_sub_binary,
    },
    types::atom,
};

/// What is wrong with a text.
pub(crate) struct Invalid {
    /// Where. Units: bytes from the start.
    pub(crate) at: usize,
    /// What people read.
    pub(crate) what: &'static str,
}

/// Values inside values, at most: each level is a frame of the stack.
const MOST_LEVELS: usize = 512;
/// Digits of an integer, at most: the time to convert grows with their square.
const MOST_DIGITS: usize = 10_000;
/// Longest string that the VM keeps on a process's heap. Units: bytes.
const SHORT: usize = 64;
/// Keys that are made once; a power of two.
const KEYS: usize = 64;

/// The one value in `text`.
pub(crate) fn decode<'a>(env: Env<'a>, text: Binary<'a>) -> Result<Term<'a>, Invalid> {
    let data = text.as_slice();
    if let Err(error) = std::str::from_utf8(data) {
        return Err(Invalid { at: error.valid_up_to(), what: "not UTF-8" });
    }
    let mut decoder = Decoder {
        env,
        source: text.to_term(env),
        data,
        at: 0,
        values: Vec::new(),
        keys: Vec::new(),
        known: [const { None }; KEYS],
        scratch: Vec::new(),
        nil: atom::nil().as_c_arg(),
        yes: atom::true_().as_c_arg(),
        no: atom::false_().as_c_arg(),
    };
    let value = decoder.value(0)?;
    decoder.space();
    if decoder.at < data.len() {
        return Err(decoder.wrong("text after the value"));
    }
    // SAFETY: the value was made in this environment.
    Ok(unsafe { Term::new(env, value) })
}

struct Decoder<'a, 'b> {
    env: Env<'a>,
    source: Term<'a>,
    data: &'b [u8],
    at: usize,
    /// Values of the arrays and objects that are being read, innermost last.
    values: Vec<ErlNifTerm>,
    keys: Vec<ErlNifTerm>,
    /// Keys met before. Messages of a stream tend to have the same ones.
    known: [Option<(&'b [u8], ErlNifTerm)>; KEYS],
    scratch: Vec<u8>,
    nil: ErlNifTerm,
    yes: ErlNifTerm,
    no: ErlNifTerm,
}

impl<'b> Decoder<'_, 'b> {
    fn value(&mut self, level: usize) -> Result<ErlNifTerm, Invalid> {
        self.space();
        match self.data.get(self.at) {
            Some(b'"') => {
                self.at += 1;
                self.string()
            }
            Some(b'{') => self.object(level),
            Some(b'[') => self.array(level),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b't') => self.word(b"true", self.yes),
            Some(b'f') => self.word(b"false", self.no),
            Some(b'n') => self.word(b"null", self.nil),
            Some(_) => Err(self.wrong("unexpected character")),
            None => Err(self.wrong("unexpected end")),
        }
    }

    fn array(&mut self, level: usize) -> Result<ErlNifTerm, Invalid> {
        let level = self.deeper(level)?;
        let start = self.values.len();
        if !self.is_empty(b']') {
            loop {
                let value = self.value(level)?;
                self.values.push(value);
                if self.ends(b']')? {
                    break;
                }
            }
        }
        let items = &self.values[start..];
        let count = u32::try_from(items.len()).map_err(|_| self.wrong("too many elements"))?;
        // SAFETY: the terms belong to this environment, and there are so many.
        let list = unsafe { enif_make_list_from_array(self.env.as_c_arg(), items.as_ptr(), count) };
        self.values.truncate(start);
        Ok(list)
    }

    fn object(&mut self, level: usize) -> Result<ErlNifTerm, Invalid> {
        let level = self.deeper(level)?;
        let (first_value, first_key) = (self.values.len(), self.keys.len());
        if !self.is_empty(b'}') {
            loop {
                self.space();
                if self.data.get(self.at) != Some(&b'"') {
                    return Err(self.wrong("a key was expected"));
                }
                self.at += 1;
                let key = self.key()?;
                self.space();
                if self.data.get(self.at) != Some(&b':') {
                    return Err(self.wrong("a colon was expected"));
                }
                self.at += 1;
                let value = self.value(level)?;
                self.keys.push(key);
                self.values.push(value);
                if self.ends(b'}')? {
                    break;
                }
            }
        }
        let map = self.map(first_key, first_value);
        self.keys.truncate(first_key);
        self.values.truncate(first_value);
        Ok(map)
    }

    fn map(&self, first_key: usize, first_value: usize) -> ErlNifTerm {
        let (keys, values) = (&self.keys[first_key..], &self.values[first_value..]);
        let env = self.env.as_c_arg();
        let mut made = MaybeUninit::uninit();
        // SAFETY: the terms belong to this environment; there are as many keys as values.
        let is_made =
            unsafe { enif_make_map_from_arrays(env, keys.as_ptr(), values.as_ptr(), keys.len(), made.as_mut_ptr()) };
        if is_made != 0 {
            // SAFETY: set where the call succeeds.
            return unsafe { made.assume_init() };
        }
        // A key stands there twice: the last one counts.
        // SAFETY: as above.
        let mut map = unsafe { enif_make_new_map(env) };
        for (key, value) in keys.iter().zip(values) {
            let mut next = map;
            // SAFETY: as above; `map` is a map.
            unsafe { enif_make_map_put(env, map, *key, *value, &raw mut next) };
            map = next;
        }
        map
    }

    fn key(&mut self) -> Result<ErlNifTerm, Invalid> {
        let start = self.at;
        let rest = &self.data[start..];
        let length = text::special(rest);
        if rest.get(length) != Some(&b'"') {
            return self.string();
        }
        let text = &rest[..length];
        let ends =
            text.first().zip(text.last()).map_or(0, |(first, last)| usize::from(*first) * 31 + usize::from(*last));
        let place = (ends + length * 7) % KEYS;
        if let Some((known, term)) = self.known[place]
            && known == text
        {
            self.at += length + 1;
            return Ok(term);
        }
        let term = self.string()?;
        self.known[place] = Some((text, term));
        Ok(term)
    }

    /// The string whose first quote has been read.
    fn string(&mut self) -> Result<ErlNifTerm, Invalid> {
        let data: &'b [u8] = self.data;
        let start = self.at;
        let rest = &data[start..];
        let length = text::special(rest);
        if rest.get(length) == Some(&b'"') {
            self.at += length + 1;
            if length <= SHORT {
                return Ok(self.copy(&rest[..length]));
            }
            // SAFETY: the part lies inside the binary, which belongs to this environment.
            return Ok(unsafe { enif_make_sub_binary(self.env.as_c_arg(), self.source.as_c_arg(), start, length) });
        }
        let mut scratch = std::mem::take(&mut self.scratch);
        scratch.clear();
        let unescaped =
            text::unescape(rest, &mut scratch).map_err(|wrong| Invalid { at: start + wrong.at, what: wrong.what })?;
        self.at += unescaped.length;
        let term = self.copy(&scratch);
        self.scratch = scratch;
        Ok(term)
    }

    fn copy(&self, bytes: &[u8]) -> ErlNifTerm {
        let mut term = MaybeUninit::uninit();
        // SAFETY: the call gives room for so many bytes and sets the term.
        unsafe {
            let room = enif_make_new_binary(self.env.as_c_arg(), bytes.len(), term.as_mut_ptr());
            std::ptr::copy_nonoverlapping(bytes.as_ptr(), room, bytes.len());
            term.assume_init()
        }
    }

    fn number(&mut self) -> Result<ErlNifTerm, Invalid> {
        let (value, length) = number(&self.data[self.at..]).ok_or_else(|| self.wrong("invalid number"))?;
        let text = &self.data[self.at..self.at + length];
        let env = self.env.as_c_arg();
        let term = match value {
            // SAFETY: numbers need nothing but the environment.
            Number::Int(value) => unsafe { enif_make_int64(env, value) },
            Number::Float(value) if value.is_finite() => {
                // SAFETY: as above; the VM knows finite numbers only.
                unsafe { enif_make_double(env, value) }
            }
            // Nothing of the VM holds it: one odd number must not stop the reading of a stream.
            Number::Float(_) => self.copy(text),
            Number::Large if length > MOST_DIGITS => self.copy(text),
            Number::Large => {
                BigInt::parse_bytes(text, 10).ok_or_else(|| self.wrong("invalid number"))?.encode(self.env).as_c_arg()
            }
        };
        self.at += length;
        Ok(term)
    }

    fn word(&mut self, word: &[u8], term: ErlNifTerm) -> Result<ErlNifTerm, Invalid> {
        if !self.data[self.at..].starts_with(word) {
            return Err(self.wrong("unexpected character"));
        }
        self.at += word.len();
        Ok(term)
    }

    fn deeper(&mut self, level: usize) -> Result<usize, Invalid> {
        if level >= MOST_LEVELS {
            return Err(self.wrong("nested too deeply"));
        }
        self.at += 1;
        Ok(level + 1)
    }

    fn is_empty(&mut self, end: u8) -> bool {
        self.space();
        let is_empty = self.data.get(self.at) == Some(&end);
        self.at += usize::from(is_empty);
        is_empty
    }

    /// Whether the array or object ends here; otherwise a further element follows.
    fn ends(&mut self, end: u8) -> Result<bool, Invalid> {
        self.space();
        let byte = self.data.get(self.at).copied();
        self.at += 1;
        match byte {
            Some(b',') => Ok(false),
            Some(byte) if byte == end => Ok(true),
            Some(_) => Err(Invalid { at: self.at - 1, what: "a comma was expected" }),
            None => Err(Invalid { at: self.at - 1, what: "unexpected end" }),
        }
    }

    fn space(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.data.get(self.at) {
            self.at += 1;
        }
    }

    const fn wrong(&self, what: &'static str) -> Invalid {
        Invalid { at: self.at, what }
    }
}
