//! Cancellation: one explicit call, harmless to repeat, that settles what is pending at once.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use tokio::sync::Notify;

/// Cancels one operation or everything of one object. Clones cancel the same.
#[derive(Debug, Clone, Default)]
pub struct CancelHandle(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    is_cancelled: AtomicBool,
    notify: Notify,
}

impl CancelHandle {
    /// A handle that nobody has used.
    pub fn new() -> Self {
        Self::default()
    }

    /// Cancels; repeating does nothing.
    pub fn cancel(&self) {
        if !self.0.is_cancelled.swap(true, Ordering::AcqRel) {
            self.0.notify.notify_waiters();
        }
    }

    /// Whether somebody cancelled.
    pub fn is_cancelled(&self) -> bool {
        self.0.is_cancelled.load(Ordering::Acquire)
    }

    /// Resolves when somebody cancels; at once if that has happened.
    pub async fn cancelled(&self) {
        // A `Notified` hears everything from its creation on: look after making it.
        let notified = self.0.notify.notified();
        if !self.is_cancelled() {
            notified.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_late_waiter_sees_an_early_cancel() {
        let handle = CancelHandle::new();
        handle.cancel();
        handle.cancel();
        handle.clone().cancelled().await;
        assert!(handle.is_cancelled());
    }
}
