//! Bytes that cross the border as one copy.

use durable_streams_bindings::Bytes;
use uniffi::{FfiConverter, MetadataBuffer, RustBuffer, TypeId, deps::bytes::Buf as _, deps::bytes::BufMut as _};

/// Bytes, which both hosts see as their own byte array. UniFFI writes and reads a `Vec<u8>`
/// byte by byte, at a tenth of the speed of memory; these go as a whole.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Blob(pub Bytes);

// SAFETY: the layout is that of `Vec<u8>`, whose type this states: a length of 32 bits, then so
// many bytes; reading never goes beyond the buffer it is given.
unsafe impl FfiConverter<crate::UniFfiTag> for Blob {
    type FfiType = RustBuffer;

    const TYPE_ID_META: MetadataBuffer = <Vec<u8> as TypeId<crate::UniFfiTag>>::TYPE_ID_META;

    fn lower(blob: Self) -> RustBuffer {
        <Self as uniffi::Lower<crate::UniFfiTag>>::lower_into_rust_buffer(blob)
    }

    fn try_lift(buffer: RustBuffer) -> uniffi::Result<Self> {
        <Self as uniffi::Lift<crate::UniFfiTag>>::try_lift_from_rust_buffer(buffer)
    }

    fn write(blob: Self, buffer: &mut Vec<u8>) {
        // As UniFFI does it: hosts count to 2³¹ − 1, and there is no way to refuse. A panic here
        // reaches the host as an exception.
        let length = i32::try_from(blob.0.len()).expect("a batch is smaller than 2 GiB");
        buffer.reserve(blob.0.len() + 64);
        buffer.put_i32(length);
        buffer.extend_from_slice(&blob.0);
    }

    fn try_read(buffer: &mut &[u8]) -> uniffi::Result<Self> {
        uniffi::check_remaining(buffer, 4)?;
        let length = usize::try_from(buffer.get_i32())?;
        uniffi::check_remaining(buffer, length)?;
        let (bytes, rest) = buffer.split_at(length);
        let blob = Self(Bytes::copy_from_slice(bytes));
        *buffer = rest;
        Ok(blob)
    }
}

uniffi::derive_ffi_traits!(local Blob);

impl From<Bytes> for Blob {
    fn from(bytes: Bytes) -> Self {
        Self(bytes)
    }
}

impl From<Blob> for Bytes {
    fn from(blob: Blob) -> Self {
        blob.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_cross_as_those_of_a_vector() {
        for length in [0_usize, 1, 200, 100_000] {
            let bytes: Vec<u8> = (0..length).map(|n| n.to_le_bytes()[0]).collect();
            let (mut ours, mut theirs) = (Vec::new(), Vec::new());
            <Blob as FfiConverter<crate::UniFfiTag>>::write(Blob(bytes.clone().into()), &mut ours);
            <Vec<u8> as uniffi::Lower<crate::UniFfiTag>>::write(bytes.clone(), &mut theirs);
            assert_eq!(ours, theirs);
            let read = <Blob as FfiConverter<crate::UniFfiTag>>::try_read(&mut theirs.as_slice());
            assert_eq!(read.expect("whole"), Blob(bytes.into()));
        }
    }

    #[test]
    fn a_length_beyond_the_buffer_is_refused() {
        for text in [&b"\0\0\0\x05abcd"[..], b"\xff\xff\xff\xff", b"\0\0"] {
            assert!(<Blob as FfiConverter<crate::UniFfiTag>>::try_read(&mut &*text).is_err(), "{text:?}");
        }
    }
}
