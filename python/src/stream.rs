//! A handle to one stream.

use std::sync::Arc;

use bytes::Bytes;
use durable_streams_bindings::{
    BoxError,
    client::ClientConfig,
    error::HostError,
    message::is_json,
    stream::{AppendConfig, Appended, Batching, CreateConfig, Stream as Handle, Told},
};
use futures_util::stream;
use pyo3::{
    prelude::*,
    types::{PyBytes, PyDict, PyTuple},
};

use crate::{
    call::Call,
    data,
    error::{headers as header_dict, to_python},
    host::{Host, Shared, Source},
    kept::Kept,
    transport::HostTransport,
};

/// Headers or parameters, in order.
pub(crate) type Pairs = Vec<(String, String)>;

/// A handle to one stream; every operation is a [`Call`].
#[pyclass(frozen, module = "durable_streams._durable_streams")]
pub(crate) struct Stream {
    pub(crate) handle: Kept<Handle>,
    pub(crate) host: Option<Arc<Shared>>,
}

/// The numbers of a retry policy; absent ones are defaults.
#[derive(FromPyObject)]
pub(crate) struct RetryNumbers {
    max_retries: Option<f64>,
    initial_delay_ms: Option<f64>,
    max_delay_ms: Option<f64>,
    multiplier: Option<f64>,
}

impl From<RetryNumbers> for durable_streams_bindings::client::RetryNumbers {
    fn from(numbers: RetryNumbers) -> Self {
        Self {
            max_retries: numbers.max_retries,
            initial_delay_ms: numbers.initial_delay_ms,
            max_delay_ms: numbers.max_delay_ms,
            multiplier: numbers.multiplier,
        }
    }
}

#[pymethods]
impl Stream {
    #[new]
    #[pyo3(signature = (
        url, *, headers, params, content_type=None, host=None, is_dynamic=false, is_transport=false,
        timeout=None, long_poll_timeout=None, sse_idle_timeout=None, retry=None, batching=false
    ))]
    #[expect(clippy::too_many_arguments, reason = "keyword arguments of one call")]
    fn new(
        py: Python<'_>,
        url: &str,
        headers: Pairs,
        params: Pairs,
        content_type: Option<&str>,
        host: Option<&Host>,
        is_dynamic: bool,
        is_transport: bool,
        timeout: Option<f64>,
        long_poll_timeout: Option<f64>,
        sse_idle_timeout: Option<f64>,
        retry: Option<RetryNumbers>,
        batching: bool,
    ) -> PyResult<Self> {
        let host = host.map(|host| Arc::clone(&host.0));
        let ms = |seconds: Option<f64>| seconds.map(|seconds| seconds * 1000.0);
        let mut config = ClientConfig {
            headers,
            params,
            timeout_ms: ms(timeout),
            long_poll_timeout_ms: ms(long_poll_timeout),
            sse_idle_timeout_ms: ms(sse_idle_timeout),
            retry: retry.map(Into::into).unwrap_or_default(),
            ..ClientConfig::default()
        };
        if let Some(host) = &host {
            if is_dynamic {
                config.dynamic.push(Arc::new(Source(Arc::clone(host))));
            }
            if is_transport {
                config.transport = Some(Arc::new(HostTransport(Arc::clone(host))));
            }
        }
        let batching = if batching { Batching::Shared } else { Batching::Off };
        // The first handle starts the runtime and reads the trusted roots.
        let handle = py.detach(|| Handle::new(&config, url, content_type));
        let handle = handle.map_err(|error| to_python(py, &error))?.with_batching(batching);
        Ok(Self { handle: Kept::new("stream handle", handle), host })
    }

    /// The URL, without credentials.
    #[getter]
    fn url(&self, py: Python<'_>) -> PyResult<&str> {
        Ok(self.handle.get(py)?.url())
    }

    /// The content type, if it was stated or learned.
    #[getter]
    fn content_type(&self, py: Python<'_>) -> PyResult<Option<&str>> {
        Ok(self.handle.get(py)?.content_type())
    }

    #[pyo3(signature = (
        *, content_type=None, ttl_seconds=None, expires_at=None, body=None, closed=false,
        fork_from=None, fork_offset=None, fork_sub_offset=None, headers=vec![]
    ))]
    #[expect(clippy::too_many_arguments, reason = "keyword arguments of one call")]
    fn create(
        &self,
        py: Python<'_>,
        content_type: Option<String>,
        ttl_seconds: Option<f64>,
        expires_at: Option<String>,
        body: Option<&Bound<'_, PyAny>>,
        closed: bool,
        fork_from: Option<String>,
        fork_offset: Option<String>,
        fork_sub_offset: Option<u64>,
        headers: Pairs,
    ) -> PyResult<Call> {
        let handle = self.handle.get(py)?.clone();
        let is_json = content_type.as_deref().or_else(|| handle.content_type()).map(is_json);
        let config = CreateConfig {
            body: body.map(|body| data::body(body, is_json)).transpose()?,
            content_type,
            ttl_seconds,
            expires_at,
            closed,
            fork_from,
            fork_offset,
            fork_sub_offset,
            headers,
        };
        Ok(Call::new(self.host.as_ref(), async move { handle.create(config).await }, |py, created| {
            let dict = PyDict::new(py);
            dict.set_item("created", created.is_new)?;
            dict.set_item("content_type", created.content_type)?;
            dict.set_item("next_offset", created.next_offset)?;
            dict.set_item("stream_closed", created.closed)?;
            add_told(&dict, &created.told)?;
            Ok(dict.into_any())
        }))
    }

    #[pyo3(signature = (
        data, *, encode=false, seq=None, content_type=None, if_match=None, producer=None, headers=vec![]
    ))]
    #[expect(clippy::too_many_arguments, reason = "keyword arguments of one call")]
    fn append(
        &self,
        data: &Bound<'_, PyAny>,
        encode: bool,
        seq: Option<String>,
        content_type: Option<String>,
        if_match: Option<String>,
        producer: Option<(String, u64, u64)>,
        headers: Pairs,
    ) -> PyResult<Call> {
        let handle = self.handle.get(data.py())?.clone();
        let is_json = content_type.as_deref().or_else(|| handle.content_type()).map(is_json);
        let message = data::message(data, encode, is_json)?;
        let config = AppendConfig { seq, if_match, content_type, producer, headers };
        Ok(Call::new(self.host.as_ref(), async move { handle.append(message, config).await }, appended))
    }

    /// Appends what the source's handler gives when it is asked for a `piece`, until `None`.
    #[pyo3(signature = (source, *, seq=None, content_type=None, if_match=None, headers=vec![]))]
    fn append_stream(
        &self,
        py: Python<'_>,
        source: &Host,
        seq: Option<String>,
        content_type: Option<String>,
        if_match: Option<String>,
        headers: Pairs,
    ) -> PyResult<Call> {
        let handle = self.handle.get(py)?.clone();
        let config = AppendConfig { seq, if_match, content_type, producer: None, headers };
        let pieces = pieces(Arc::clone(&source.0));
        let work = async move { handle.append_streaming(Box::pin(pieces), config).await };
        Ok(Call::new(self.host.as_ref(), work, appended))
    }

    #[pyo3(signature = (*, data=None, content_type=None, headers=vec![]))]
    fn close_stream(
        &self,
        py: Python<'_>,
        data: Option<&Bound<'_, PyAny>>,
        content_type: Option<String>,
        headers: Pairs,
    ) -> PyResult<Call> {
        let handle = self.handle.get(py)?.clone();
        let is_json = content_type.as_deref().or_else(|| handle.content_type()).map(is_json);
        let last = data.map(|data| data::message(data, false, is_json)).transpose()?;
        let work = async move { handle.close_stream(last, content_type.as_deref(), &headers).await };
        Ok(Call::new(self.host.as_ref(), work, |py, closed| {
            let dict = PyDict::new(py);
            dict.set_item("final_offset", closed.final_offset)?;
            add_told(&dict, &closed.told)?;
            Ok(dict.into_any())
        }))
    }

    #[pyo3(signature = (*, headers=vec![]))]
    fn delete(&self, py: Python<'_>, headers: Pairs) -> PyResult<Call> {
        let handle = self.handle.get(py)?.clone();
        Ok(Call::unit(self.host.as_ref(), async move { handle.delete(&headers).await.map(drop) }))
    }

    #[pyo3(signature = (*, headers=vec![]))]
    fn head(&self, py: Python<'_>, headers: Pairs) -> PyResult<Call> {
        let handle = self.handle.get(py)?.clone();
        Ok(Call::new(self.host.as_ref(), async move { handle.head(&headers).await }, |py, head| {
            let dict = PyDict::new(py);
            dict.set_item("exists", true)?;
            dict.set_item("content_type", head.content_type)?;
            dict.set_item("offset", head.offset)?;
            dict.set_item("etag", head.etag)?;
            dict.set_item("cache_control", head.cache_control)?;
            dict.set_item("stream_closed", head.closed)?;
            dict.set_item("ttl_seconds", head.ttl_seconds)?;
            dict.set_item("expires_at", head.expires_at)?;
            add_told(&dict, &head.told)?;
            Ok(dict.into_any())
        }))
    }
}

fn appended(py: Python<'_>, appended: Appended) -> PyResult<Bound<'_, PyAny>> {
    let dict = PyDict::new(py);
    dict.set_item("next_offset", appended.next_offset)?;
    dict.set_item("duplicate", appended.duplicate)?;
    dict.set_item("stream_closed", appended.closed)?;
    dict.set_item("etag", appended.etag)?;
    dict.set_item("producer_epoch", appended.producer_epoch)?;
    dict.set_item("producer_seq", appended.producer_seq)?;
    add_told(&dict, &appended.told)?;
    Ok(dict.into_any())
}

fn add_told(dict: &Bound<'_, PyDict>, told: &Told) -> PyResult<()> {
    dict.set_item("status", told.status)?;
    dict.set_item("headers", header_dict(dict.py(), &told.headers)?)?;
    dict.set_item("attempts", told.attempts)
}

/// The pieces of a body that Python makes.
fn pieces(source: Arc<Shared>) -> impl stream::Stream<Item = Result<Bytes, BoxError>> {
    stream::try_unfold(source, |source| async move {
        let read = |piece: Bound<'_, PyAny>| {
            let piece: Option<Bound<'_, PyBytes>> = piece.extract()?;
            Ok(piece.map(|piece| Bytes::copy_from_slice(piece.as_bytes())))
        };
        let piece = source.ask("piece", |py| Ok(PyTuple::empty(py)), read).await.map_err(HostError::boxed)?;
        Ok(piece.map(|piece| (piece, source)))
    })
}
