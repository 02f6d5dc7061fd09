//! The extension module behind the Python package `durable_streams`.
//!
//! What it is: handles, readers and producers as Python objects, each method convert, call,
//! convert; [`call`] and [`port`], by which operations reach threads and event loops; JSON in
//! one step per batch. What it is not: the API people see, which is Python and lives in
//! `python/durable_streams`.
//!
//! Two rules hold everywhere. No lock is held while attaching to the interpreter. And threads
//! of the runtime never attach: they leave word at a [`port`], or ask a thread that may wait
//! ([`host`]).
//!
//! Read next: [`call`], [`stream`], [`reader`], [`producer`].

mod bytes;
mod call;
mod data;
mod error;
mod host;
mod json;
mod kept;
mod pieces;
mod port;
mod producer;
mod reader;
mod receipt;
mod server;
mod stream;
mod transport;

use durable_streams_bindings::runtime;
use pyo3::prelude::*;

/// Turns JSON text into Python objects.
#[pyfunction]
fn json_loads<'py>(py: Python<'py>, data: &[u8]) -> PyResult<Bound<'py, PyAny>> {
    json::decode::decode(py, data)
}

/// Turns Python objects into compact JSON text.
#[pyfunction]
fn json_dumps<'py>(value: &Bound<'py, PyAny>) -> PyResult<Bound<'py, pyo3::types::PyBytes>> {
    let mut text = Vec::new();
    json::encode::encode(value, &mut text)?;
    Ok(pyo3::types::PyBytes::new(value.py(), &text))
}

/// The interpreter ends. The runtime is left as it is: its threads never attach, and ending
/// what they do would only wake threads that are about to be stopped, to tell them of it.
#[pyfunction]
fn begin_exit() {
    call::begin_exit();
}

/// Which generation of forked processes this is.
#[pyfunction]
fn generation() -> u64 {
    runtime::generation()
}

// Objects are frozen and lock what changes inside them, and unsafe code touches only an object that
// nobody has yet: interpreters without a lock of their own need not bring it back for this module.
#[pymodule(gil_used = false)]
fn _durable_streams(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    module.add_class::<call::Call>()?;
    module.add_class::<host::Host>()?;
    module.add_class::<host::Job>()?;
    module.add_class::<pieces::Left>()?;
    module.add_class::<pieces::Pieces>()?;
    module.add_class::<port::Port>()?;
    module.add_class::<producer::Producer>()?;
    module.add_class::<reader::Batch>()?;
    module.add_class::<reader::Reader>()?;
    module.add_class::<receipt::Receipt>()?;
    module.add_class::<server::Server>()?;
    module.add_class::<stream::Stream>()?;
    module.add_function(wrap_pyfunction!(json_loads, module)?)?;
    module.add_function(wrap_pyfunction!(json_dumps, module)?)?;
    module.add_function(wrap_pyfunction!(begin_exit, module)?)?;
    module.add_function(wrap_pyfunction!(generation, module)?)?;
    Ok(())
}
