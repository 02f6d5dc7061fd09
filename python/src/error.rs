//! Errors: from the core to Python exceptions, and from Python callbacks through the core.

use durable_streams_bindings::{
    ErrorInfo,
    error::{ErrorRecord, HostError},
};
use pyo3::{prelude::*, sync::PyOnceLock, types::PyDict};

/// What an operation ends with.
pub(crate) type Outcome<T> = Result<T, ErrorInfo>;

/// The exception of a failed operation. What a callback raised comes out as it was; only when
/// it was the caller's HTTP client that failed, it becomes the cause.
pub(crate) fn to_python(py: Python<'_>, error: &ErrorInfo) -> PyErr {
    let raised = error.host_error().and_then(HostError::downcast_ref::<PyErr>).map(|raised| raised.clone_ref(py));
    let record = error.record();
    let is_network = matches!(&*record.code, "NETWORK_ERROR" | "TIMEOUT");
    if let (Some(raised), false) = (&raised, is_network) {
        return raised.clone_ref(py);
    }
    let cause = match raised {
        Some(raised) => Some(raised.into_value(py).into_any()),
        None => error.cause().and_then(|text| text.into_pyobject(py).ok()).map(|text| text.into_any().unbind()),
    };
    exception(py, &record, cause).unwrap_or_else(|problem| problem)
}

fn exception(py: Python<'_>, record: &ErrorRecord, cause: Option<Py<PyAny>>) -> PyResult<PyErr> {
    static MAKE: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let make =
        MAKE.get_or_try_init(py, || py.import("durable_streams._errors")?.getattr("_from_native").map(Bound::unbind))?;
    let facts = PyDict::new(py);
    facts.set_item("code", &record.code)?;
    facts.set_item("text", &record.text)?;
    facts.set_item("detail", &record.detail)?;
    facts.set_item("status", record.status)?;
    facts.set_item("server_text", record.server_text.as_deref())?;
    facts.set_item("url", record.url.as_deref())?;
    facts.set_item("operation", record.operation.as_deref())?;
    facts.set_item("final_offset", record.final_offset.as_deref())?;
    facts.set_item("current_epoch", record.current_epoch)?;
    facts.set_item("expected_seq", record.expected_seq)?;
    facts.set_item("received_seq", record.received_seq)?;
    #[expect(clippy::cast_precision_loss, reason = "a delay")]
    facts.set_item("retry_after", record.retry_after_ms.map(|ms| ms as f64 / 1000.0))?;
    facts.set_item("headers", headers(py, &record.headers)?)?;
    facts.set_item("may_be_applied", record.may_be_applied)?;
    facts.set_item("attempts", record.attempts)?;
    facts.set_item("cause", cause)?;
    Ok(PyErr::from_value(make.bind(py).call1((facts,))?))
}

/// Headers as a dict; repeated ones are joined as HTTP allows.
pub(crate) fn headers<'py>(py: Python<'py>, pairs: &[(String, String)]) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    for (name, value) in pairs {
        match dict.get_item(name)? {
            Some(earlier) => dict.set_item(name, format!("{}, {value}", earlier.extract::<String>()?))?,
            None => dict.set_item(name, value)?,
        }
    }
    Ok(dict)
}

/// A Python exception for the core to carry.
pub(crate) fn carried(error: PyErr) -> HostError {
    HostError::new("a Python callback raised an exception", error)
}
