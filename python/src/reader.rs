//! Reading, batch by batch.

use std::{borrow::Cow, sync::Arc};

use durable_streams_bindings::reader::{Batch as CoreBatch, Carried, ReadConfig, Reader as CoreReader, live_mode};
use pyo3::{
    prelude::*,
    types::{PyBytes, PyDict, PyList},
};

use crate::{
    bytes::gathered,
    call::Call,
    error::{headers as header_dict, to_python},
    host::Shared,
    json,
    kept::Kept,
    stream::{Pairs, RetryNumbers, Stream},
};

/// A read. One pull at a time; others wait their turn.
#[pyclass(frozen, module = "durable_streams._durable_streams")]
pub(crate) struct Reader {
    reader: Kept<CoreReader>,
    host: Option<Arc<Shared>>,
}

/// One piece of a stream.
#[pyclass(frozen, module = "durable_streams._durable_streams")]
pub(crate) struct Batch {
    batch: CoreBatch,
}

#[pymethods]
impl Reader {
    #[new]
    #[pyo3(signature = (
        stream, *, offset=None, live="off", cursor=None, if_none_match=None, content_type=None,
        headers=vec![], params=vec![], timeout=None, max_batch_bytes=None, retry=None
    ))]
    #[expect(clippy::too_many_arguments, reason = "keyword arguments of one call")]
    fn new(
        py: Python<'_>,
        stream: &Stream,
        offset: Option<String>,
        live: &str,
        cursor: Option<String>,
        if_none_match: Option<String>,
        content_type: Option<String>,
        headers: Pairs,
        params: Pairs,
        timeout: Option<f64>,
        max_batch_bytes: Option<usize>,
        retry: Option<RetryNumbers>,
    ) -> PyResult<Self> {
        let config = ReadConfig {
            offset,
            live: live_mode(live).map_err(|error| to_python(py, &error))?,
            cursor,
            if_none_match,
            content_type,
            headers,
            params,
            timeout_ms: timeout.map(|seconds| seconds * 1000.0),
            max_batch_bytes,
            retry: retry.map(Into::into),
            settle_now: true,
            vectored: true,
            ..ReadConfig::default()
        };
        let reader = CoreReader::open(stream.handle.get(py)?, config).map_err(|error| to_python(py, &error))?;
        Ok(Self { reader: Kept::new("reader", reader), host: stream.host.clone() })
    }

    /// The next batch; `None` when the read is over.
    fn next(&self, py: Python<'_>) -> PyResult<Call> {
        let reader = self.reader.get(py)?.clone();
        let work = async move { reader.carry().await };
        Ok(Call::new(self.host.as_ref(), work, |py, carried| match carried.and_then(Carried::arrived) {
            Some(batch) => Ok(Bound::new(py, Batch { batch })?.into_any()),
            None => Ok(py.None().into_bound(py)),
        }))
    }

    /// Waits for the first answer, and not for its data.
    fn opened(&self, py: Python<'_>) -> PyResult<Call> {
        let reader = self.reader.get(py)?.clone();
        Ok(Call::unit(self.host.as_ref(), async move { reader.opened().await }))
    }

    /// Ends the read and aborts its connection; a pull under way ends with an error.
    fn close(&self, py: Python<'_>) {
        // In the child of a fork there is nothing to abort.
        if let Ok(reader) = self.reader.ours() {
            py.detach(|| reader.close());
        }
    }

    /// Headers of the answer the last batch came in.
    fn headers<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        header_dict(py, &self.reader.get(py)?.headers())
    }

    /// The stream's content type as the last answer says.
    #[getter]
    fn content_type(&self, py: Python<'_>) -> PyResult<Option<String>> {
        Ok(self.reader.get(py)?.content_type())
    }

    /// Status of the latest answer; 0 before the first.
    #[getter]
    fn status(&self, py: Python<'_>) -> PyResult<u16> {
        Ok(self.reader.get(py)?.status().unwrap_or_default())
    }
}

impl Batch {
    fn joined(&self) -> Cow<'_, [u8]> {
        if self.batch.rest.is_empty() {
            return Cow::Borrowed(&self.batch.data);
        }
        Cow::Owned(self.batch.pieces().map(|piece| &piece[..]).collect::<Vec<_>>().concat())
    }
}

#[pymethods]
impl Batch {
    /// The bytes as they came; on a JSON stream the text of one array.
    fn bytes<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        gathered(py, &self.batch)
    }

    /// The values of a JSON text: a list if it is an array.
    fn json<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        json::decode::decode(py, &self.joined())
    }

    /// The next messages of a JSON stream's batch, from a place on; and the place of the rest.
    fn messages<'py>(&self, py: Python<'py>, at: usize, most: usize) -> PyResult<(Bound<'py, PyList>, Option<usize>)> {
        json::decode::decode_part(py, &self.batch.data, at, most)
    }

    #[getter]
    fn next_offset(&self) -> &str {
        self.batch.next_offset.to_query_value()
    }

    #[getter]
    const fn up_to_date(&self) -> bool {
        self.batch.up_to_date
    }

    #[getter]
    const fn stream_closed(&self) -> bool {
        self.batch.stream_closed
    }

    #[getter]
    fn cursor(&self) -> Option<&str> {
        self.batch.cursor.as_deref()
    }

    #[getter]
    const fn status(&self) -> u16 {
        self.batch.status
    }

    #[getter]
    const fn is_json(&self) -> bool {
        self.batch.is_json
    }

    #[getter]
    const fn is_empty(&self) -> bool {
        self.batch.is_empty
    }
}
