//! Appending one message by numbers alone. A call by UniFFI's conventions passes structures, and
//! JNA makes memory outside the heap for each, with somebody to free it: more than a message of
//! a hundred bytes is worth.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    ptr::{from_ref, with_exposed_provenance},
    slice,
};

use crate::producer::FfiProducer;

/// The message is taken.
const TAKEN: i32 = 0;
/// The message is taken, and the queue is full.
const FULL: i32 = 1;
/// The message is not taken.
const REFUSED: i32 = 2;

#[uniffi::export]
impl FfiProducer {
    /// Where this object is, for `durable_streams_append`. Valid as long as the object lives.
    pub fn address(&self) -> u64 {
        from_ref(self).expose_provenance() as u64
    }
}

/// Takes a message at once, in the order of the calls. Returns 0 when it is taken; 1 when the
/// queue is full with it: the caller calls `FfiProducer::room` once before it appends more; 2
/// when it is not taken: `FfiProducer::take` of the same says why.
///
/// # Safety
///
/// `producer` is what `FfiProducer::address` returned for an object that lives until this returns.
/// At `data` there are `length` bytes that nobody writes to until then.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn durable_streams_append(producer: u64, data: u64, length: u64) -> i32 {
    let (Ok(producer), Ok(data), Ok(length)) =
        (usize::try_from(producer), usize::try_from(data), usize::try_from(length))
    else {
        return REFUSED;
    };
    if producer == 0 || data == 0 || length == 0 {
        return REFUSED;
    }
    // SAFETY: the caller vouches for both, and neither is null.
    let (producer, message) = unsafe {
        (
            &*with_exposed_provenance::<FfiProducer>(producer),
            slice::from_raw_parts(with_exposed_provenance(data), length),
        )
    };
    // A panic must not unwind into a caller of another language.
    catch_unwind(AssertUnwindSafe(|| take(producer, message))).unwrap_or(REFUSED)
}

fn take(producer: &FfiProducer, message: &[u8]) -> i32 {
    match producer.inner.append(message) {
        Ok(None) => TAKEN,
        Ok(Some(receipt)) => {
            producer.full.0.lock().push_back(receipt);
            FULL
        }
        Err(_) => REFUSED,
    }
}
