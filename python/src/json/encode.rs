//! Python objects to JSON text, as `json.dumps` understands them: dict, list, tuple, str,
//! int, float, bool, None and their subclasses. Compact, UTF-8. What JSON cannot say, such
//! as NaN, is refused instead of being written anyway.

use pyo3::{
    exceptions::{PyRecursionError, PyTypeError, PyValueError},
    prelude::*,
    sync::PyOnceLock,
    types::{PyBool, PyBytes, PyDict, PyFloat, PyInt, PyList, PyString, PyTuple},
};

use super::text;

/// As deep as decoding goes. Also what ends a circular reference.
const MAX_DEPTH: usize = 512;

/// Writes a Python object as JSON text behind what `out` holds.
/// Errors: `TypeError` for what JSON has no form for, `ValueError` for NaN and infinities,
/// `RecursionError` beyond 512 levels. `out` then ends in the middle.
pub(crate) fn encode(value: &Bound<'_, PyAny>, out: &mut Vec<u8>) -> PyResult<()> {
    any(value, out, 0)
}

fn any(value: &Bound<'_, PyAny>, out: &mut Vec<u8>, depth: usize) -> PyResult<()> {
    if let Ok(string) = value.cast_exact::<PyString>() {
        return quoted(string, out);
    }
    if let Ok(int) = value.cast_exact::<PyInt>() {
        return integer(int, out);
    }
    if let Ok(dict) = value.cast_exact::<PyDict>() {
        return object(dict, out, depth);
    }
    if let Ok(float) = value.cast_exact::<PyFloat>() {
        return number(float.value(), out);
    }
    if let Ok(list) = value.cast_exact::<PyList>() {
        return array(list.iter(), out, depth);
    }
    if let Ok(bool) = value.cast::<PyBool>() {
        out.extend_from_slice(if bool.is_true() { b"true" } else { b"false" });
        return Ok(());
    }
    if value.is_none() {
        out.extend_from_slice(b"null");
        return Ok(());
    }
    rare(value, out, depth)
}

/// Tuples, and subclasses of everything.
#[cold]
fn rare(value: &Bound<'_, PyAny>, out: &mut Vec<u8>, depth: usize) -> PyResult<()> {
    if let Ok(tuple) = value.cast::<PyTuple>() {
        return array(tuple.iter(), out, depth);
    }
    if let Ok(string) = value.cast::<PyString>() {
        return quoted(string, out);
    }
    if let Ok(int) = value.cast::<PyInt>() {
        return integer(int, out);
    }
    if let Ok(float) = value.cast::<PyFloat>() {
        return number(float.value(), out);
    }
    if let Ok(dict) = value.cast::<PyDict>() {
        return object(dict, out, depth);
    }
    if let Ok(list) = value.cast::<PyList>() {
        return array(list.iter(), out, depth);
    }
    let name = value.get_type().name()?;
    Err(PyTypeError::new_err(format!("Object of type {name} is not JSON serializable")))
}

fn object(dict: &Bound<'_, PyDict>, out: &mut Vec<u8>, depth: usize) -> PyResult<()> {
    check_depth(depth)?;
    out.push(b'{');
    if can_change_meanwhile(dict.py())? {
        for (index, entry) in dict.items().iter().enumerate() {
            let (key, value) = entry.extract()?;
            member(index, &key, &value, out, depth)?;
        }
    } else {
        for (index, (key, value)) in dict.iter().enumerate() {
            member(index, &key, &value, out, depth)?;
        }
    }
    out.push(b'}');
    Ok(())
}

/// Whether another thread can change an object while this one walks through it. Walking through a
/// dict that changes is a panic: where it is possible, a copy of the moment is taken.
fn can_change_meanwhile(py: Python<'_>) -> PyResult<bool> {
    static KNOWN: PyOnceLock<bool> = PyOnceLock::new();
    KNOWN
        .get_or_try_init(py, || {
            Ok(py.import("sys")?.getattr("version")?.extract::<String>()?.contains("free-threading"))
        })
        .copied()
}

fn member(
    index: usize,
    key: &Bound<'_, PyAny>,
    value: &Bound<'_, PyAny>,
    out: &mut Vec<u8>,
    depth: usize,
) -> PyResult<()> {
    if index > 0 {
        out.push(b',');
    }
    match key.cast_exact::<PyString>() {
        Ok(key) => quoted(key, out)?,
        Err(_) => rare_key(key, out)?,
    }
    out.push(b':');
    any(value, out, depth + 1)
}

/// Keys that `json.dumps` turns into text: numbers, booleans, None.
#[cold]
fn rare_key(key: &Bound<'_, PyAny>, out: &mut Vec<u8>) -> PyResult<()> {
    if let Ok(key) = key.cast::<PyString>() {
        return quoted(key, out);
    }
    let is_literal = key.is_none() || key.is_instance_of::<PyInt>() || key.is_instance_of::<PyFloat>();
    if !is_literal {
        let name = key.get_type().name()?;
        return Err(PyTypeError::new_err(format!("keys must be str, int, float, bool or None, not {name}")));
    }
    out.push(b'"');
    any(key, out, 0)?;
    out.push(b'"');
    Ok(())
}

fn array<'py>(elements: impl Iterator<Item = Bound<'py, PyAny>>, out: &mut Vec<u8>, depth: usize) -> PyResult<()> {
    check_depth(depth)?;
    out.push(b'[');
    for (index, element) in elements.enumerate() {
        if index > 0 {
            out.push(b',');
        }
        any(&element, out, depth + 1)?;
    }
    out.push(b']');
    Ok(())
}

fn integer(int: &Bound<'_, PyInt>, out: &mut Vec<u8>) -> PyResult<()> {
    if let Ok(small) = int.extract::<i64>() {
        return to_json(&small, out);
    }
    // Not `str(int)`: a subclass may have words of its own, as enums do.
    static REPR: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let py = int.py();
    let repr = REPR.get_or_try_init(py, || py.get_type::<PyInt>().getattr("__repr__").map(Bound::unbind))?;
    let text = repr.bind(py).call1((int,))?;
    out.extend_from_slice(text.cast::<PyString>()?.to_str()?.as_bytes());
    Ok(())
}

fn number(value: f64, out: &mut Vec<u8>) -> PyResult<()> {
    if !value.is_finite() {
        return Err(PyValueError::new_err(format!("{value} has no form in JSON")));
    }
    to_json(&value, out)
}

fn to_json(value: &impl serde::Serialize, out: &mut Vec<u8>) -> PyResult<()> {
    serde_json::to_writer(out, value).map_err(|error| PyValueError::new_err(error.to_string()))
}

fn quoted(string: &Bound<'_, PyString>, out: &mut Vec<u8>) -> PyResult<()> {
    out.push(b'"');
    match string.to_str() {
        Ok(text) => text::escape(text.as_bytes(), out),
        // Half a surrogate pair cannot be UTF-8, but it can be an escape.
        Err(_) => {
            // Not the method of a subclass, which could change the dict that is walked through.
            let class = string.py().get_type::<PyString>();
            let bytes = class.call_method1("encode", (string, "utf-16-le", "surrogatepass"))?;
            text::escape_utf16(bytes.cast::<PyBytes>()?.as_bytes(), out);
        }
    }
    out.push(b'"');
    Ok(())
}

fn check_depth(depth: usize) -> PyResult<()> {
    if depth >= MAX_DEPTH {
        return Err(PyRecursionError::new_err(format!(
            "nested deeper than {MAX_DEPTH} levels, or a circular reference"
        )));
    }
    Ok(())
}
