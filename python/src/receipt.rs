//! The fate of a single message.

use std::sync::Arc;

use durable_streams_bindings::{
    BoxFuture,
    producer::{Acknowledged, Receipt as CoreReceipt},
};
use futures_util::future::{FutureExt as _, Shared};
use pyo3::{prelude::*, types::PyDict};

use crate::{call::Call, error::Outcome, host::Shared as Host, kept::Kept};

/// Tells what became of a message, as often as it is asked.
#[pyclass(frozen, module = "durable_streams._durable_streams")]
pub(crate) struct Receipt {
    fate: Kept<Shared<BoxFuture<'static, Outcome<Acknowledged>>>>,
    host: Option<Arc<Host>>,
}

impl Receipt {
    pub(crate) fn new(receipt: CoreReceipt, host: Option<Arc<Host>>) -> Self {
        let fate: BoxFuture<'static, Outcome<Acknowledged>> = Box::pin(receipt.acknowledged());
        Self { fate: Kept::new("receipt", fate.shared()), host }
    }
}

#[pymethods]
impl Receipt {
    /// Waits until the server has stored the message; its batch's numbers.
    fn stored(&self, py: Python<'_>) -> PyResult<Call> {
        let fate = self.fate.get(py)?.clone();
        Ok(Call::new(self.host.as_ref(), fate, |py, stored| acknowledged(py, Some(stored))))
    }
}

/// What the server said to a batch, if there was one.
pub(crate) fn acknowledged(py: Python<'_>, batch: Option<Acknowledged>) -> PyResult<Bound<'_, PyAny>> {
    let Some(batch) = batch else { return Ok(py.None().into_bound(py)) };
    let dict = PyDict::new(py);
    dict.set_item("offset", batch.offset)?;
    dict.set_item("duplicate", batch.duplicate)?;
    dict.set_item("epoch", batch.epoch)?;
    dict.set_item("seq", batch.seq)?;
    Ok(dict.into_any())
}
