//! Ruby objects to JSON text, as `JSON.generate` writes them: what JSON has a form for, and of
//! exactly those classes. Everything else (subclasses, objects with a `to_json` of their own,
//! text in other encodings, NaN, what is nested too deeply) is left to `JSON.generate`, which
//! is slower and knows.

use std::ffi::{c_int, c_void};

use durable_streams_bindings::json::text;
use rb_sys::{
    FIX2LONG, FIXNUM_P, FLONUM_P, RARRAY_AREF, RARRAY_LEN, RB_BUILTIN_TYPE, RSTRING_LEN, RSTRING_PTR, SPECIAL_CONST_P,
    STATIC_SYM_P, VALUE, ruby_value_type,
};

/// As `JSON.generate`.
const MAX_DEPTH: usize = 100;
/// Between these Ruby writes a float without an exponent. Outside they are rare.
const PLAIN: std::ops::Range<f64> = 1e-4..1e16;

/// Writes an object behind what `out` holds. Runs nothing of Ruby's own, so nothing changes
/// meanwhile. `None`: that is left to `JSON.generate`, and `out` ends in the middle.
pub(crate) fn encode(value: VALUE, out: &mut Vec<u8>) -> Option<()> {
    any(value, out, 0)
}

fn any(value: VALUE, out: &mut Vec<u8>, depth: usize) -> Option<()> {
    if SPECIAL_CONST_P(value) {
        return immediate(value, out);
    }
    // SAFETY: here and below, `value` is an object of the kind its type says, and the thread
    // holds the lock of Ruby's threads.
    let (kind, class) = unsafe { (RB_BUILTIN_TYPE(value), rb_sys::rb_obj_class(value)) };
    // SAFETY: set once, before any extension is loaded.
    let (strings, hashes, arrays) = unsafe { (rb_sys::rb_cString, rb_sys::rb_cHash, rb_sys::rb_cArray) };
    if kind == ruby_value_type::RUBY_T_STRING && class == strings {
        string(value, out)
    } else if kind == ruby_value_type::RUBY_T_HASH && class == hashes {
        object(value, out, depth)
    } else if kind == ruby_value_type::RUBY_T_ARRAY && class == arrays {
        array(value, out, depth)
    } else if kind == ruby_value_type::RUBY_T_FLOAT {
        // SAFETY: a float.
        float(unsafe { rb_sys::rb_float_value(value) }, out)
    } else if kind == ruby_value_type::RUBY_T_SYMBOL {
        symbol(value, out)
    } else {
        None
    }
}

fn immediate(value: VALUE, out: &mut Vec<u8>) -> Option<()> {
    if FIXNUM_P(value) {
        // SAFETY: a small integer.
        let number = unsafe { FIX2LONG(value) };
        out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
    } else if FLONUM_P(value) {
        // SAFETY: a float.
        return float(unsafe { rb_sys::rb_float_value(value) }, out);
    } else if STATIC_SYM_P(value) {
        return symbol(value, out);
    } else if value == rb_sys::Qnil as VALUE {
        out.extend_from_slice(b"null");
    } else if value == rb_sys::Qtrue as VALUE {
        out.extend_from_slice(b"true");
    } else if value == rb_sys::Qfalse as VALUE {
        out.extend_from_slice(b"false");
    } else {
        return None;
    }
    Some(())
}

fn float(value: f64, out: &mut Vec<u8>) -> Option<()> {
    if value != 0.0 && !PLAIN.contains(&value.abs()) {
        return None;
    }
    out.extend_from_slice(zmij::Buffer::new().format_finite(value).as_bytes());
    Some(())
}

fn symbol(value: VALUE, out: &mut Vec<u8>) -> Option<()> {
    // SAFETY: a symbol.
    string(unsafe { rb_sys::rb_sym2str(value) }, out)
}

fn string(value: VALUE, out: &mut Vec<u8>) -> Option<()> {
    // SAFETY: a string, which nothing changes while the slice is in use.
    let (encoding, bytes) = unsafe {
        let length = usize::try_from(RSTRING_LEN(value)).ok()?;
        (rb_sys::rb_enc_get_index(value), std::slice::from_raw_parts(RSTRING_PTR(value).cast::<u8>(), length))
    };
    // SAFETY: numbers that never change.
    let (utf8, ascii) = unsafe { (rb_sys::rb_utf8_encindex(), rb_sys::rb_usascii_encindex()) };
    let is_text =
        if encoding == utf8 { std::str::from_utf8(bytes).is_ok() } else { encoding == ascii && bytes.is_ascii() };
    if !is_text {
        return None;
    }
    out.push(b'"');
    text::escape(bytes, out);
    out.push(b'"');
    Some(())
}

fn array(value: VALUE, out: &mut Vec<u8>, depth: usize) -> Option<()> {
    if depth == MAX_DEPTH {
        return None;
    }
    out.push(b'[');
    // SAFETY: an array, which nothing changes meanwhile.
    let length = unsafe { RARRAY_LEN(value) };
    for index in 0..isize::try_from(length).ok()? {
        if index > 0 {
            out.push(b',');
        }
        // SAFETY: as above.
        any(unsafe { RARRAY_AREF(value, index) }, out, depth + 1)?;
    }
    out.push(b']');
    Some(())
}

/// What a hash's walk carries from pair to pair.
struct Walk<'a> {
    out: &'a mut Vec<u8>,
    depth: usize,
    is_first: bool,
    written: Option<()>,
}

fn object(value: VALUE, out: &mut Vec<u8>, depth: usize) -> Option<()> {
    const GO_ON: c_int = rb_sys::st_retval::ST_CONTINUE as c_int;
    const STOP: c_int = rb_sys::st_retval::ST_STOP as c_int;

    unsafe extern "C" fn pair(key: VALUE, value: VALUE, walk: VALUE) -> c_int {
        // SAFETY: the walk below, which is borrowed by nobody else.
        let walk = unsafe { &mut *(walk as *mut c_void).cast::<Walk<'_>>() };
        walk.written = walk.pair(key, value);
        if walk.written.is_some() { GO_ON } else { STOP }
    }

    if depth == MAX_DEPTH {
        return None;
    }
    out.push(b'{');
    let mut walk = Walk { out, depth, is_first: true, written: Some(()) };
    // SAFETY: a hash, which nothing changes meanwhile: the walk never raises.
    unsafe { rb_sys::rb_hash_foreach(value, Some(pair), (&raw mut walk) as VALUE) };
    walk.written?;
    out.push(b'}');
    Some(())
}

impl Walk<'_> {
    fn pair(&mut self, key: VALUE, value: VALUE) -> Option<()> {
        if !self.is_first {
            self.out.push(b',');
        }
        self.is_first = false;
        // SAFETY: as in `any`.
        let is_string = !SPECIAL_CONST_P(key) && unsafe { rb_sys::rb_obj_class(key) == rb_sys::rb_cString };
        // SAFETY: any value may be asked.
        let is_symbol = unsafe { rb_sys::RB_SYMBOL_P(key) };
        match (is_string, is_symbol) {
            (true, _) => string(key, self.out)?,
            (_, true) => symbol(key, self.out)?,
            // Its `to_s` is asked.
            (false, false) => return None,
        }
        self.out.push(b':');
        any(value, self.out, self.depth + 1)
    }
}
