//! Stream data on its way to JavaScript: one string or one `Uint8Array` per batch.

use std::{ffi::c_void, ptr};

use bytes::Bytes;
use napi::{bindgen_prelude::ToNapiValue, check_status, sys};

/// From this length on bytes are lent to JavaScript instead of copied. Below it the copy
/// costs less than the finalizer. Units: bytes.
const LENT_FROM: usize = 64 * 1024;

/// The data of a batch.
#[derive(Debug)]
pub struct Payload {
    data: Bytes,
    shape: Shape,
}

#[derive(Debug, Clone, Copy)]
enum Shape {
    /// ASCII only: each byte is one character of a JavaScript string.
    Ascii,
    /// Text in UTF-8.
    Text,
    /// Bytes.
    Bytes,
}

impl Payload {
    /// Data that becomes a string. Call it off the JavaScript thread: it looks at every byte.
    pub(crate) fn text(data: Bytes) -> Self {
        let shape = if data.is_ascii() { Shape::Ascii } else { Shape::Text };
        Self { data, shape }
    }

    /// Data that becomes a `Uint8Array`.
    pub(crate) const fn bytes(data: Bytes) -> Self {
        Self { data, shape: Shape::Bytes }
    }
}

impl ToNapiValue for Payload {
    unsafe fn to_napi_value(env: sys::napi_env, payload: Self) -> napi::Result<sys::napi_value> {
        let Self { data, shape } = payload;
        let length = isize::try_from(data.len()).map_err(|_| crate::js_loop::invalid("the batch is too long"))?;
        let (text, mut value) = (data.as_ptr().cast(), ptr::null_mut());
        // SAFETY: the caller vouches for `env`; texts are copied, `length` bytes from `text`.
        unsafe {
            match shape {
                Shape::Ascii => check_status!(sys::napi_create_string_latin1(env, text, length, &mut value))?,
                Shape::Text => check_status!(sys::napi_create_string_utf8(env, text, length, &mut value))?,
                Shape::Bytes => value = uint8_array(env, &data)?,
            }
        }
        Ok(value)
    }
}

/// # Safety
/// `env` is the environment of the call we are in.
unsafe fn uint8_array(env: sys::napi_env, data: &Bytes) -> napi::Result<sys::napi_value> {
    let mut array = ptr::null_mut();
    // SAFETY: `buffer` is an ArrayBuffer of this environment, as long as the data.
    unsafe {
        let buffer = match lent(env, data)? {
            Some(buffer) => buffer,
            None => copied(env, data)?,
        };
        let kind = sys::TypedarrayType::uint8_array;
        check_status!(sys::napi_create_typedarray(env, kind, data.len(), buffer, 0, &mut array))?;
    }
    Ok(array)
}

/// An ArrayBuffer over the data itself; `None` where the host forbids that or it does not pay.
///
/// # Safety
/// `env` is the environment of the call we are in.
unsafe fn lent(env: sys::napi_env, data: &Bytes) -> napi::Result<Option<sys::napi_value>> {
    if data.len() < LENT_FROM {
        return Ok(None);
    }
    // JavaScript may write to what it gets. A batch is handed out once and nobody else looks
    // at its bytes, even where the allocation is shared with the next batch's.
    let owner = Box::into_raw(Box::new(data.clone()));
    let mut buffer = ptr::null_mut();
    // SAFETY: the owner keeps the memory in place until the finalizer drops it.
    let status = unsafe {
        sys::napi_create_external_arraybuffer(
            env,
            data.as_ptr().cast_mut().cast(),
            data.len(),
            Some(give_back),
            owner.cast(),
            &mut buffer,
        )
    };
    if status == sys::Status::napi_ok {
        return Ok(Some(buffer));
    }
    // SAFETY: the host did not take it.
    drop(unsafe { Box::from_raw(owner) });
    if status == sys::Status::napi_no_external_buffers_allowed {
        return Ok(None);
    }
    check_status!(status).map(|()| None)
}

unsafe extern "C" fn give_back(_env: sys::napi_env, _data: *mut c_void, owner: *mut c_void) {
    // SAFETY: made by `lent`, given back once.
    drop(unsafe { Box::from_raw(owner.cast::<Bytes>()) });
}

/// # Safety
/// `env` is the environment of the call we are in.
unsafe fn copied(env: sys::napi_env, data: &Bytes) -> napi::Result<sys::napi_value> {
    let (mut buffer, mut target) = (ptr::null_mut(), ptr::null_mut());
    // SAFETY: `target` points to `data.len()` fresh bytes, if there are any.
    check_status!(unsafe { sys::napi_create_arraybuffer(env, data.len(), &mut target, &mut buffer) })?;
    if !data.is_empty() {
        // SAFETY: as above; fresh memory overlaps nothing.
        unsafe { ptr::copy_nonoverlapping(data.as_ptr(), target.cast::<u8>(), data.len()) };
    }
    Ok(buffer)
}
