//! The caller's own HTTP client as the core's transport. The handler's `send` gives status,
//! headers and an object that stands for the answer; `chunk` gives the body's next piece,
//! `None` at its end.

use std::sync::Arc;

use bytes::Bytes;
use durable_streams_bindings::{
    BoxFuture, Reply, ReplyBody, ReplyHead, Transport, TransportFailure, TransportFailureKind,
    client::header_map,
    error::HostError,
    http::{Request, StatusCode, request::Parts},
};
use pyo3::{
    prelude::*,
    types::{PyBytes, PyTuple},
};

use crate::host::Shared;

/// Sends requests through a handler.
pub(crate) struct HostTransport(pub(crate) Arc<Shared>);

/// The body of an answer; closed when dropped.
struct HostBody {
    host: Arc<Shared>,
    answer: Option<Arc<Py<PyAny>>>,
}

impl Transport for HostTransport {
    fn send(&self, request: Request<Bytes>) -> BoxFuture<'_, Result<Reply, TransportFailure>> {
        Box::pin(async move {
            let (parts, body) = request.into_parts();
            let read = |answer: Bound<'_, PyAny>| answer.extract::<(u16, Vec<(String, String)>, Py<PyAny>)>();
            let asked = self.0.ask("send", move |py| arguments(py, &parts, &body), read).await;
            let (status, headers, answer) = asked.map_err(failure)?;
            let mut body = HostBody { host: Arc::clone(&self.0), answer: Some(Arc::new(answer)) };
            let broken = |what: String| TransportFailure::new(TransportFailureKind::Broken, what);
            let status = StatusCode::from_u16(status).map_err(|_| broken(format!("{status} is no HTTP status")))?;
            let headers = header_map(&headers).map_err(|error| broken(error.to_string()))?;
            if status == StatusCode::NO_CONTENT || status == StatusCode::NOT_MODIFIED {
                body.close();
            }
            Ok(Reply { head: ReplyHead { status, headers }, body: Box::new(body) })
        })
    }
}

fn arguments<'py>(py: Python<'py>, parts: &Parts, body: &[u8]) -> PyResult<Bound<'py, PyTuple>> {
    let headers = parts.headers.iter().map(|(name, value)| (name.as_str(), PyBytes::new(py, value.as_bytes())));
    let headers: Vec<_> = headers.collect();
    (parts.method.as_str(), parts.uri.to_string(), headers, PyBytes::new(py, body)).into_pyobject(py)
}

impl ReplyBody for HostBody {
    fn chunk(&mut self) -> BoxFuture<'_, Result<Option<Bytes>, TransportFailure>> {
        Box::pin(async move {
            let Some(answer) = self.answer.clone() else { return Ok(None) };
            let read = |piece: Bound<'_, PyAny>| {
                let piece: Option<Bound<'_, PyBytes>> = piece.extract()?;
                Ok(piece.map(|piece| Bytes::copy_from_slice(piece.as_bytes())))
            };
            let piece =
                self.host.ask("chunk", move |py| PyTuple::new(py, [answer.bind(py)]), read).await.map_err(failure)?;
            if piece.is_none() {
                // The handler has closed what it had at its end.
                self.answer = None;
            }
            Ok(piece)
        })
    }
}

impl HostBody {
    fn close(&mut self) {
        if let Some(answer) = self.answer.take() {
            self.host.tell("close", move |py| PyTuple::new(py, [answer.bind(py)]));
        }
    }
}

impl Drop for HostBody {
    fn drop(&mut self) {
        self.close();
    }
}

/// What an exception means is said by its attribute `transport_kind`, which the handler sets
/// on exceptions it knows; any other is the caller's and comes out as it was.
fn failure(error: HostError) -> TransportFailure {
    let told = error.downcast_ref::<PyErr>().and_then(|raised| {
        Python::try_attach(|py| {
            let value = raised.value(py);
            let kind: String = value.getattr("transport_kind").ok()?.extract().ok()?;
            Some((kind, value.to_string()))
        })
        .flatten()
    });
    let (kind, detail) = match told {
        Some((kind, detail)) => match kind.as_str() {
            "connect" => (TransportFailureKind::Connect, detail),
            "timeout" => (TransportFailureKind::Timeout, detail),
            _ => (TransportFailureKind::Broken, detail),
        },
        None => (TransportFailureKind::Local, error.to_string()),
    };
    TransportFailure::new(kind, detail).caused_by(error)
}
