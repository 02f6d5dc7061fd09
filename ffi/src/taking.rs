//! Appends whose answer is a number: nothing is allocated for it on either side of the border.

use std::{collections::VecDeque, sync::Arc};

use durable_streams_bindings::producer::Receipt;
use parking_lot::Mutex;

use crate::{
    call::{FfiCancel, run},
    error::CoreError,
    producer::FfiProducer,
};

/// Receipts of messages that filled the queue, whose takers have yet to wait. One waits for one:
/// whose receipt it is makes no difference.
#[derive(Debug, Default)]
pub(crate) struct Full(pub(crate) Mutex<VecDeque<Receipt>>);

#[uniffi::export]
impl FfiProducer {
    /// Takes a message as `append` does, and says whether there is room for more. If not, and
    /// the caller said that it waits, it calls `room` once.
    pub fn take(&self, message: &[u8], waits: bool) -> Result<bool, CoreError> {
        let full = self.inner.append(message)?;
        let has_room = full.is_none();
        if let Some(receipt) = full.filter(|_| waits) {
            self.full.0.lock().push_back(receipt);
        }
        Ok(has_room)
    }

    /// Waits until there is room again.
    /// Errors: why the message that filled the queue was given up.
    pub async fn room(&self, cancel: Option<Arc<FfiCancel>>) -> Result<(), CoreError> {
        let receipt = self.full.0.lock().pop_front();
        let room = async move {
            match receipt {
                Some(receipt) => receipt.room().await,
                None => Ok(()),
            }
        };
        run(cancel, room).await
    }
}
