//! What a forked child must not touch. Sockets of the parent are registered with an epoll
//! instance that parent and child share: dropping them in the child would silence the parent.
//! And a lock that another thread held at the fork stays locked in the child for ever.

use durable_streams_bindings::{ErrorInfo, runtime};
use pyo3::prelude::*;

use crate::error::to_python;

/// A value that is used and dropped in the process that made it, and left alone in a forked
/// child.
pub(crate) struct Kept<T> {
    value: Option<T>,
    made_in: u64,
    what: &'static str,
}

impl<T> Kept<T> {
    /// Keeps a value; `what` is its name in errors.
    pub(crate) fn new(what: &'static str, value: T) -> Self {
        Self { value: Some(value), made_in: runtime::generation(), what }
    }

    /// The value.
    /// Errors: `INTERNAL_ERROR` in the child of a fork.
    pub(crate) fn get(&self, py: Python<'_>) -> PyResult<&T> {
        self.ours().map_err(|error| to_python(py, &error))
    }

    /// The same with the core's error.
    pub(crate) fn ours(&self) -> Result<&T, ErrorInfo> {
        runtime::check(self.made_in, self.what)?;
        self.value.as_ref().ok_or_else(|| ErrorInfo::internal("the object is gone"))
    }
}

impl<T> Drop for Kept<T> {
    fn drop(&mut self) {
        if self.made_in != runtime::generation() {
            std::mem::forget(self.value.take());
        }
    }
}
