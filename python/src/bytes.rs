//! The bytes of a batch as one Python object, copied once from where they arrived.

use durable_streams_bindings::reader::Batch;
use pyo3::{ffi, prelude::*, types::PyBytes};

/// All pieces of a batch, in order.
/// Errors: `MemoryError`.
pub(crate) fn gathered<'py>(py: Python<'py>, batch: &Batch) -> PyResult<Bound<'py, PyBytes>> {
    if batch.rest.is_empty() {
        return Ok(PyBytes::new(py, &batch.data));
    }
    let len = isize::try_from(batch.byte_len())?;
    // SAFETY: without a source the object has room for `len` bytes, which nobody sees before this
    // returns, and the pieces, which do not change, are that many. `PyBytes::new_with` would fill
    // the room with zeros first, which costs half as much as the copy.
    unsafe {
        let object = ffi::PyBytes_FromStringAndSize(std::ptr::null(), len);
        let bytes = Bound::from_owned_ptr_or_err(py, object)?;
        let mut room = ffi::PyBytes_AsString(object).cast::<u8>();
        for piece in batch.pieces() {
            std::ptr::copy_nonoverlapping(piece.as_ptr(), room, piece.len());
            room = room.add(piece.len());
        }
        Ok(bytes.cast_into_unchecked())
    }
}
