//! JSON text to Python objects, as `json.loads` makes them.
//!
//! Two things make it quick. Streams hold messages of the same shape, so the keys of one
//! message are tried in the order in which the message before had them: a hit costs one
//! comparison and no string. And nothing is built twice: text becomes `str` straight from
//! the batch's own memory unless it contains escapes.

use std::collections::HashMap;

use pyo3::{
    exceptions::{PyRecursionError, PyValueError},
    prelude::*,
    types::{PyBool, PyDict, PyInt, PyList, PyString},
};

use super::{
    number::{Number, number},
    text::{self, Unescaped},
};

/// Deeper nesting than any message has, and far from the end of a thread's stack.
const MAX_DEPTH: usize = 512;
/// How many keys of one message are expected again in the next.
const MAX_TRAIL: usize = 256;
/// How many different keys of one batch are kept.
const MAX_KEYS: usize = 2048;

/// Turns a JSON text into Python objects.
/// Errors: `ValueError` with the position, `RecursionError` beyond 512 levels.
pub(crate) fn decode<'py>(py: Python<'py>, data: &[u8]) -> PyResult<Bound<'py, PyAny>> {
    let mut decoder = Decoder::new(py, data, 0);
    decoder.skip_space();
    let value = decoder.value()?;
    decoder.end()?;
    Ok(value)
}

/// The next elements of the array that a JSON text is, from a place on that an earlier call
/// gave, 0 first; and the place of the rest, if there is one. Part by part, what was decoded
/// is used while it is still in the processor's cache.
/// Errors: those of [`decode`]; `ValueError` if the text is no array.
pub(crate) fn decode_part<'py>(
    py: Python<'py>,
    data: &[u8],
    at: usize,
    most: usize,
) -> PyResult<(Bound<'py, PyList>, Option<usize>)> {
    let mut decoder = Decoder::new(py, data, at);
    decoder.depth = 1;
    if at == 0 {
        decoder.skip_space();
        if decoder.peek() != Some(b'[') {
            return Err(decoder.invalid("expected an array"));
        }
        decoder.at += 1;
        decoder.skip_space();
        if decoder.peek() == Some(b']') {
            decoder.at += 1;
            decoder.end()?;
            return Ok((PyList::empty(py), None));
        }
    }
    let is_over = decoder.elements(0, most)?;
    let rest = if is_over {
        decoder.end()?;
        None
    } else {
        Some(decoder.at)
    };
    Ok((PyList::new(py, decoder.values.drain(..))?, rest))
}

struct Decoder<'py, 'd> {
    py: Python<'py>,
    data: &'d [u8],
    at: usize,
    depth: usize,
    /// Elements of the arrays under construction.
    values: Vec<Bound<'py, PyAny>>,
    /// The keys of the latest message, in order.
    trail: Vec<Key<'py, 'd>>,
    /// Which of them is expected next.
    step: usize,
    keys: HashMap<&'d [u8], Bound<'py, PyString>>,
    /// For strings with escapes.
    scratch: Vec<u8>,
}

struct Key<'py, 'd> {
    raw: &'d [u8],
    object: Bound<'py, PyString>,
}

impl<'py, 'd> Decoder<'py, 'd> {
    fn new(py: Python<'py>, data: &'d [u8], at: usize) -> Self {
        Self {
            py,
            data,
            at,
            depth: 0,
            values: Vec::new(),
            trail: Vec::new(),
            step: 0,
            keys: HashMap::new(),
            scratch: Vec::new(),
        }
    }

    fn end(&mut self) -> PyResult<()> {
        self.skip_space();
        if self.at < self.data.len() { Err(self.invalid("extra data")) } else { Ok(()) }
    }

    fn value(&mut self) -> PyResult<Bound<'py, PyAny>> {
        match self.peek() {
            Some(b'"') => {
                self.at += 1;
                self.string().map(Bound::into_any)
            }
            Some(b'{') => self.nested(Self::object),
            Some(b'[') => self.nested(Self::array),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b't') => self.literal(b"true", |py| PyBool::new(py, true).to_owned().into_any()),
            Some(b'f') => self.literal(b"false", |py| PyBool::new(py, false).to_owned().into_any()),
            Some(b'n') => self.literal(b"null", |py| py.None().into_bound(py)),
            _ => Err(self.invalid("expected a value")),
        }
    }

    fn nested(&mut self, read: impl FnOnce(&mut Self) -> PyResult<Bound<'py, PyAny>>) -> PyResult<Bound<'py, PyAny>> {
        if self.depth == MAX_DEPTH {
            return Err(PyRecursionError::new_err(format!("JSON nested deeper than {MAX_DEPTH} levels")));
        }
        self.depth += 1;
        self.at += 1;
        let value = read(self);
        self.depth -= 1;
        value
    }

    fn array(&mut self) -> PyResult<Bound<'py, PyAny>> {
        self.skip_space();
        if self.peek() == Some(b']') {
            self.at += 1;
            return Ok(PyList::empty(self.py).into_any());
        }
        let start = self.values.len();
        self.elements(start, usize::MAX)?;
        Ok(PyList::new(self.py, self.values.drain(start..))?.into_any())
    }

    /// Puts elements of an array behind the values there are, this many at most; says whether
    /// the array is over.
    fn elements(&mut self, start: usize, most: usize) -> PyResult<bool> {
        let is_batch = self.depth == 1;
        loop {
            if is_batch {
                self.step = 0;
            }
            let value = self.value()?;
            self.values.push(value);
            self.skip_space();
            match self.peek() {
                Some(b',') => {
                    self.at += 1;
                    self.skip_space();
                }
                Some(b']') => {
                    self.at += 1;
                    return Ok(true);
                }
                _ => return Err(self.invalid("expected ',' or ']'")),
            }
            if self.values.len() - start >= most {
                return Ok(false);
            }
        }
    }

    fn object(&mut self) -> PyResult<Bound<'py, PyAny>> {
        let dict = PyDict::new(self.py);
        self.skip_space();
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(dict.into_any());
        }
        loop {
            if self.peek() != Some(b'"') {
                return Err(self.invalid("expected a key in double quotes"));
            }
            self.at += 1;
            let key = self.key()?;
            self.skip_space();
            if self.peek() != Some(b':') {
                return Err(self.invalid("expected ':'"));
            }
            self.at += 1;
            self.skip_space();
            let value = self.value()?;
            dict.set_item(key, value)?;
            self.skip_space();
            match self.peek() {
                Some(b',') => {
                    self.at += 1;
                    self.skip_space();
                }
                Some(b'}') => {
                    self.at += 1;
                    return Ok(dict.into_any());
                }
                _ => return Err(self.invalid("expected ',' or '}'")),
            }
        }
    }

    /// A key, behind its first quote.
    fn key(&mut self) -> PyResult<Bound<'py, PyString>> {
        let step = self.step;
        self.step += 1;
        let rest = self.data.get(self.at..).unwrap_or_default();
        if let Some(known) = self.trail.get(step)
            && rest.starts_with(known.raw)
            && rest.get(known.raw.len()) == Some(&b'"')
        {
            self.at += known.raw.len() + 1;
            return Ok(known.object.clone());
        }
        let end = text::special(rest);
        if rest.get(end) != Some(&b'"') {
            // With escapes: rare, and not worth remembering.
            return self.string();
        }
        let raw = rest.get(..end).unwrap_or_default();
        let object = match self.keys.get(raw) {
            Some(known) => {
                self.at += end + 1;
                known.clone()
            }
            None => {
                let object = self.string()?;
                if self.keys.len() < MAX_KEYS {
                    self.keys.insert(raw, object.clone());
                }
                object
            }
        };
        let key = Key { raw, object: object.clone() };
        if let Some(place) = self.trail.get_mut(step) {
            *place = key;
        } else if step == self.trail.len() && step < MAX_TRAIL {
            self.trail.push(key);
        }
        Ok(object)
    }

    /// A string, behind its first quote.
    fn string(&mut self) -> PyResult<Bound<'py, PyString>> {
        let start = self.at;
        let rest = self.data.get(start..).unwrap_or_default();
        let end = start + text::special(rest);
        match self.data.get(end) {
            Some(b'"') => {
                self.at = end + 1;
                // Python checks that it is UTF-8, in the same step.
                PyString::from_bytes(self.py, self.data.get(start..end).unwrap_or_default())
                    .map_err(|_| self.invalid("not UTF-8"))
            }
            Some(b'\\') => self.escaped(),
            Some(_) => {
                self.at = end;
                Err(self.invalid("control character in a string"))
            }
            None => Err(self.invalid("a string without an end")),
        }
    }

    fn escaped(&mut self) -> PyResult<Bound<'py, PyString>> {
        let mut scratch = std::mem::take(&mut self.scratch);
        scratch.clear();
        let rest = self.data.get(self.at..).unwrap_or_default();
        let string = match text::unescape(rest, &mut scratch) {
            Ok(Unescaped { length, has_lone_surrogate }) => {
                self.at += length;
                if has_lone_surrogate {
                    let bytes = pyo3::types::PyBytes::new(self.py, &scratch);
                    PyString::from_encoded_object(&bytes, Some(c"utf-8"), Some(c"surrogatepass"))
                } else {
                    PyString::from_bytes(self.py, &scratch).map_err(|_| self.invalid("not UTF-8"))
                }
            }
            Err(text::Invalid { at, what }) => {
                self.at += at;
                Err(self.invalid(what))
            }
        };
        self.scratch = scratch;
        string
    }

    fn number(&mut self) -> PyResult<Bound<'py, PyAny>> {
        let rest = self.data.get(self.at..).unwrap_or_default();
        let Some((number, length)) = number(rest) else {
            return Err(self.invalid("not a number"));
        };
        let value = match number {
            Number::Int(value) => value.into_pyobject(self.py)?.into_any(),
            Number::Float(value) => value.into_pyobject(self.py)?.into_any(),
            // As `json.loads`: Python's own limit on digits applies.
            Number::Large => {
                let text = PyString::from_bytes(self.py, rest.get(..length).unwrap_or_default())?;
                self.py.get_type::<PyInt>().call1((text,))?
            }
        };
        self.at += length;
        Ok(value)
    }

    fn literal(
        &mut self,
        word: &[u8],
        make: impl FnOnce(Python<'py>) -> Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        if self.data.get(self.at..).is_some_and(|rest| rest.starts_with(word)) {
            self.at += word.len();
            return Ok(make(self.py));
        }
        Err(self.invalid("expected a value"))
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
    fn invalid(&self, what: &str) -> PyErr {
        PyValueError::new_err(format!("{what} at byte {}", self.at))
    }
}
