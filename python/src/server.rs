//! The embedded server, for tests.

use std::sync::Arc;

use durable_streams_bindings::server::{FaultConfig, ServerConfig, TestServer};
use parking_lot::Mutex;
use pyo3::{exceptions::PyRuntimeError, prelude::*};

use crate::{call::Call, kept::Kept};

/// A server that runs in this process.
#[pyclass(frozen, module = "durable_streams._durable_streams")]
pub(crate) struct Server {
    config: ServerConfig,
    running: Kept<Arc<Mutex<Option<TestServer>>>>,
}

#[pymethods]
impl Server {
    #[new]
    #[pyo3(signature = (*, host=None, port=None, data_dir=None, prefix=None, long_poll_timeout_ms=None))]
    fn new(
        host: Option<String>,
        port: Option<u16>,
        data_dir: Option<String>,
        prefix: Option<String>,
        long_poll_timeout_ms: Option<u64>,
    ) -> Self {
        let config = ServerConfig { host, port, data_dir, prefix, long_poll_timeout_ms };
        Self { config, running: Kept::new("server", Arc::default()) }
    }

    /// Listens and serves.
    fn start(&self, py: Python<'_>) -> PyResult<Call> {
        let (config, slot) = (self.config.clone(), Arc::clone(self.running.get(py)?));
        Ok(Call::unit(None, async move {
            let server = TestServer::start(config).await?;
            let earlier = slot.lock().replace(server);
            drop(earlier);
            Ok(())
        }))
    }

    /// Stops in order.
    fn stop(&self, py: Python<'_>) -> PyResult<Call> {
        let server = self.running.get(py)?.lock().take();
        Ok(Call::unit(None, async move {
            match server {
                Some(server) => server.stop().await,
                None => Ok(()),
            }
        }))
    }

    #[getter]
    fn url(&self, py: Python<'_>) -> PyResult<String> {
        self.server(py).map(|server| server.url().to_owned())
    }

    #[getter]
    fn streams_url(&self, py: Python<'_>) -> PyResult<String> {
        self.server(py).map(|server| server.streams_url().to_owned())
    }

    #[getter]
    fn port(&self, py: Python<'_>) -> PyResult<u16> {
        self.server(py).map(|server| server.port())
    }

    #[pyo3(signature = (
        path, *, status=None, delay_ms=None, jitter_ms=0, drop_connection=false, truncate_body_bytes=None,
        corrupt_body=false, inject_sse_event=None, count=None, retry_after=None, probability=None, method=None
    ))]
    #[expect(clippy::too_many_arguments, reason = "keyword arguments of one call")]
    fn inject_fault(
        &self,
        py: Python<'_>,
        path: String,
        status: Option<u16>,
        delay_ms: Option<u64>,
        jitter_ms: u64,
        drop_connection: bool,
        truncate_body_bytes: Option<usize>,
        corrupt_body: bool,
        inject_sse_event: Option<(String, String)>,
        count: Option<u64>,
        retry_after: Option<u64>,
        probability: Option<f64>,
        method: Option<String>,
    ) -> PyResult<Call> {
        let server = self.server(py)?;
        let fault = FaultConfig {
            path,
            status,
            delay_ms,
            jitter_ms,
            drop_connection,
            truncate_body_bytes,
            corrupt_body,
            inject_sse_event,
            count,
            retry_after,
            probability,
            method,
        };
        Ok(Call::unit(None, async move { server.inject_fault(fault).await }))
    }

    fn clear_faults(&self, py: Python<'_>) -> PyResult<Call> {
        let server = self.server(py)?;
        Ok(Call::unit(None, async move { server.clear_faults().await }))
    }

    fn clear(&self, py: Python<'_>) -> PyResult<Call> {
        let server = self.server(py)?;
        Ok(Call::unit(None, async move { server.clear().await }))
    }

    fn live_readers(&self, py: Python<'_>) -> PyResult<Call> {
        let server = self.server(py)?;
        Ok(Call::new(None, async move { server.live_readers().await }, |py, count: usize| {
            Ok(count.into_pyobject(py)?.into_any())
        }))
    }
}

impl Server {
    fn server(&self, py: Python<'_>) -> PyResult<TestServer> {
        self.running
            .get(py)?
            .lock()
            .clone()
            .ok_or_else(|| PyRuntimeError::new_err("the server is not running: start() it"))
    }
}
