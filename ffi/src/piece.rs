//! Batches whose bytes stay where they are. Swift looks at them in place; a copy of every byte
//! is what reading would mostly spend its time on.

use std::sync::Arc;

use bytes::BytesMut;
use durable_streams_bindings::Bytes;

use crate::{
    call::{FfiCancel, run},
    error::CoreError,
    reader::FfiReader,
};

/// Memory that belongs to whoever holds this object: nothing of the core looks at it any more.
#[derive(Debug, uniffi::Object)]
pub struct FfiBytes {
    address: u64,
    /// Keeps the memory; its bytes are left alone.
    bytes: BytesMut,
}

/// A batch with its bytes in place.
#[derive(Debug, Clone, uniffi::Record)]
pub struct Piece {
    /// The bytes; on a JSON stream one JSON array.
    pub bytes: Arc<FfiBytes>,
    /// Whether the bytes are a JSON array.
    pub is_json: bool,
    /// Whether there is nothing to deliver.
    pub is_empty: bool,
    /// Where to resume after this batch.
    pub next_offset: String,
    /// Everything available has been read.
    pub up_to_date: bool,
    /// The stream is closed and this is its end.
    pub stream_closed: bool,
    /// Cursor for a later live read.
    pub cursor: Option<String>,
    /// HTTP status of the answer.
    pub status: u16,
}

#[uniffi::export]
impl FfiBytes {
    /// Where the bytes are; they may be written to. Valid as long as this object lives, and
    /// pointing nowhere if there are none.
    pub fn address(&self) -> u64 {
        self.address
    }

    /// How many there are.
    pub fn count(&self) -> u64 {
        self.bytes.len() as u64
    }
}

impl FfiBytes {
    fn new(bytes: Bytes) -> Arc<Self> {
        // Nobody else has a batch that was handed out: there is nothing to copy.
        let mut bytes = bytes.try_into_mut().unwrap_or_else(|shared| shared.as_ref().into());
        // Taken once, from the only reference there ever is.
        let address = bytes.as_mut_ptr().expose_provenance() as u64;
        Arc::new(Self { address, bytes })
    }
}

#[uniffi::export]
impl FfiReader {
    /// The next batch, possibly without data; `None` when the read is over.
    /// Errors: whatever stopped the read; the next call asks again from the same offset.
    pub async fn next_piece(&self, cancel: Option<Arc<FfiCancel>>) -> Result<Option<Piece>, CoreError> {
        let inner = self.inner.clone();
        let batch = run(cancel, async move { inner.next().await }).await?;
        Ok(batch.map(|batch| Piece {
            bytes: FfiBytes::new(batch.data),
            is_json: batch.is_json,
            is_empty: batch.is_empty,
            next_offset: batch.next_offset.to_query_value().to_owned(),
            up_to_date: batch.up_to_date,
            stream_closed: batch.stream_closed,
            cursor: batch.cursor,
            status: batch.status,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::{Bytes, FfiBytes};

    #[test]
    fn bytes_are_copied_only_if_somebody_else_has_them() {
        let place = |bytes: &Bytes| bytes.as_ptr().addr() as u64;
        let alone = Bytes::from(vec![1; 1000]).slice(10..);
        let before = place(&alone);
        let kept = FfiBytes::new(alone);
        assert_eq!((kept.address(), kept.count()), (before, 990));
        let shared = Bytes::from(vec![1; 1000]);
        let other = shared.clone();
        assert_ne!(FfiBytes::new(shared).address(), place(&other));
        assert_eq!(FfiBytes::new(Bytes::new()).count(), 0);
    }
}
