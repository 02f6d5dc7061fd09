//! Operations of the shared layer as futures that any executor can poll.

use std::{future::Future, sync::Arc};

use durable_streams_bindings::{CancelHandle, ErrorInfo, call};
use tokio::sync::oneshot;

use crate::error::CoreError;

/// Cancels the operations it was given to. Harmless to repeat.
#[derive(Debug, Default, uniffi::Object)]
pub struct FfiCancel(CancelHandle);

#[uniffi::export]
impl FfiCancel {
    /// A handle that nobody has used.
    #[uniffi::constructor]
    pub fn new() -> Arc<Self> {
        Arc::new(Self::default())
    }

    /// Cancels: pending operations end with `CANCELLED` at once.
    pub fn cancel(&self) {
        self.0.cancel();
    }

    /// Whether somebody cancelled.
    pub fn is_cancelled(&self) -> bool {
        self.0.is_cancelled()
    }
}

/// Runs an operation on the core's runtime. It is cancelled by `cancel`, and when this future
/// is dropped.
pub(crate) async fn run<T: Send + 'static>(
    cancel: Option<Arc<FfiCancel>>,
    operation: impl Future<Output = Result<T, ErrorInfo>> + Send + 'static,
) -> Result<T, CoreError> {
    let given = cancel.map_or_else(CancelHandle::new, |cancel| cancel.0.clone());
    let mine = CancelOnDrop(CancelHandle::new());
    let operation = async move { call::cancellable(&given, operation).await };
    let (tell, told) = oneshot::channel();
    // Who dropped this future does not listen any more.
    call::start(&mine.0, operation, move |outcome| drop(tell.send(outcome)));
    told.await.unwrap_or_else(|_| Err(ErrorInfo::cancelled())).map_err(CoreError::from)
}

struct CancelOnDrop(CancelHandle);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.cancel();
    }
}
