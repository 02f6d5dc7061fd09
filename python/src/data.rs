//! What Python programs append: bytes, text, or values.

use bytes::Bytes;
use durable_streams_bindings::message::Message;
use pyo3::{
    exceptions::PyTypeError,
    prelude::*,
    types::{PyByteArray, PyBytes, PyMemoryView, PyString},
};

use crate::json::encode::encode;

/// Bytes and text as they are; anything else as a JSON value. With `always`, everything is a
/// JSON value. `is_json` is what is known of the stream.
/// Errors: `TypeError` for what has no JSON form, and for a value on a stream of another type.
pub(crate) fn message(data: &Bound<'_, PyAny>, always: bool, is_json: Option<bool>) -> PyResult<Message> {
    if !always {
        if let Ok(bytes) = data.cast::<PyBytes>() {
            return Ok(Message::Text(Bytes::copy_from_slice(bytes.as_bytes())));
        }
        if let Ok(text) = data.cast::<PyString>() {
            return Ok(Message::Text(Bytes::copy_from_slice(text.to_str()?.as_bytes())));
        }
        if is_buffer(data) {
            return Ok(Message::Text(Bytes::copy_from_slice(buffer(data)?.as_bytes())));
        }
    }
    check_value(data, is_json)?;
    let mut text = Vec::new();
    encode(data, &mut text)?;
    Ok(Message::Value(Bytes::from(text)))
}

/// The bytes of a request's body: bytes and text as they are, a value as its JSON text.
pub(crate) fn body(data: &Bound<'_, PyAny>, is_json: Option<bool>) -> PyResult<Bytes> {
    message(data, false, is_json).map(|message| message.bytes().clone())
}

/// Whether it is a writable buffer, of which only a copy can leave.
pub(crate) fn is_buffer(data: &Bound<'_, PyAny>) -> bool {
    data.is_instance_of::<PyByteArray>() || data.is_instance_of::<PyMemoryView>()
}

/// A copy of a buffer's bytes.
pub(crate) fn buffer<'py>(data: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyBytes>> {
    data.py().get_type::<PyBytes>().call1((data,))?.cast_into::<PyBytes>().map_err(Into::into)
}

/// Refuses a value on a stream that is known not to be JSON.
pub(crate) fn check_value(data: &Bound<'_, PyAny>, is_json: Option<bool>) -> PyResult<()> {
    if is_json == Some(false) {
        let name = data.get_type().name()?;
        return Err(PyTypeError::new_err(format!(
            "data: a {name} can be appended to a JSON stream only; this one takes bytes or str"
        )));
    }
    Ok(())
}
