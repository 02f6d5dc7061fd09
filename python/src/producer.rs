//! Writing exactly once, in batches.

use std::{
    cell::RefCell,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use bytes::Bytes;
use durable_streams_bindings::{
    ErrorInfo,
    producer::{BatchNumbers, OnError, Producer as CoreProducer, ProducerConfig, Receipt as CoreReceipt},
    runtime,
};
use parking_lot::Mutex;
use pyo3::{
    prelude::*,
    types::{PyBytes, PyString, PyTuple},
};
use tokio::task::JoinHandle;

use crate::{
    call::Call,
    data,
    error::{Outcome, to_python},
    host::{Host, Shared},
    json::encode::encode,
    kept::Kept,
    receipt::{Receipt, acknowledged},
    stream::{RetryNumbers, Stream},
};

/// A producer. Taking a message never waits; everything else is a [`Call`].
#[pyclass(frozen, module = "durable_streams._durable_streams")]
pub(crate) struct Producer {
    producer: Kept<CoreProducer>,
    url: String,
    is_json: Option<bool>,
    /// Something was taken since the last flush.
    has_news: AtomicBool,
    /// The receipt of the message that found the queue full.
    full: Kept<Mutex<Option<CoreReceipt>>>,
    reports: Arc<Reports>,
    host: Option<Arc<Shared>>,
}

/// Failures on their way to the caller's function.
#[derive(Default)]
struct Reports(Mutex<Vec<JoinHandle<()>>>);

impl Reports {
    /// Waits until the function has heard of all failures there are.
    async fn heard(&self) {
        loop {
            let next = self.0.lock().pop();
            let Some(report) = next else { return };
            // One that could not be told has nobody to tell it to.
            drop(report.await);
        }
    }
}

thread_local!(static SCRATCH: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) });

#[pymethods]
impl Producer {
    #[new]
    #[pyo3(signature = (
        stream, producer_id, *, epoch=None, auto_claim=false, max_batch_bytes=None, max_batch_items=None,
        linger_ms=None, max_in_flight=None, max_queued_bytes=None, max_queued_messages=None,
        content_type=None, retry=None, reporter=None
    ))]
    #[expect(clippy::too_many_arguments, reason = "keyword arguments of one call")]
    fn new(
        py: Python<'_>,
        stream: &Stream,
        producer_id: String,
        epoch: Option<f64>,
        auto_claim: bool,
        max_batch_bytes: Option<f64>,
        max_batch_items: Option<f64>,
        linger_ms: Option<f64>,
        max_in_flight: Option<f64>,
        max_queued_bytes: Option<usize>,
        max_queued_messages: Option<u64>,
        content_type: Option<String>,
        retry: Option<RetryNumbers>,
        reporter: Option<&Host>,
    ) -> PyResult<Self> {
        let reports = Arc::new(Reports::default());
        let host = reporter.map(|host| Arc::clone(&host.0)).or_else(|| stream.host.clone());
        let handle = stream.handle.get(py)?;
        let known = content_type.as_deref().or_else(|| handle.content_type());
        let is_json = known.map(durable_streams_bindings::message::is_json);
        let config = ProducerConfig {
            producer_id,
            numbers: BatchNumbers { epoch, max_batch_bytes, max_batch_items, max_in_flight, linger_ms },
            auto_claim,
            max_queued_bytes,
            max_queued_messages,
            content_type,
            retry: retry.map(Into::into).unwrap_or_default(),
            on_error: reporter.map(|host| on_error(Arc::clone(&host.0), Arc::clone(&reports))),
            ..ProducerConfig::default()
        };
        let opened = py.detach(|| CoreProducer::open(handle, config));
        let producer = opened.map_err(|error| to_python(py, &error))?;
        let url = producer.url().to_owned();
        Ok(Self {
            producer: Kept::new("producer", producer),
            url,
            is_json,
            has_news: AtomicBool::new(false),
            full: Kept::new("producer", Mutex::default()),
            reports,
            host,
        })
    }

    /// Takes a message; says whether there is room for more.
    fn append(&self, data: &Bound<'_, PyAny>) -> PyResult<bool> {
        let full = self.with_message(data, CoreProducer::append)?;
        let has_room = full.is_none();
        if !has_room {
            let earlier = std::mem::replace(&mut *self.full.get(data.py())?.lock(), full);
            drop(earlier);
        }
        Ok(has_room)
    }

    /// Takes a message. With a call there is no room for it yet: until that has ended.
    fn append_in_turn(&self, data: &Bound<'_, PyAny>) -> PyResult<Option<Call>> {
        let full = self.with_message(data, CoreProducer::append)?;
        // Of its own: with one for all, a thread could find it taken by another, and not wait.
        Ok(full.map(|receipt| Call::unit(self.host.as_ref(), receipt.room())))
    }

    /// Takes a message, and gives what tells of its fate.
    fn append_with_receipt(&self, data: &Bound<'_, PyAny>) -> PyResult<Receipt> {
        let receipt = self.with_message(data, CoreProducer::append_with_receipt)?;
        Ok(Receipt::new(receipt, self.host.clone()))
    }

    /// Waits until there is room for more.
    fn room(&self, py: Python<'_>) -> PyResult<Call> {
        let full = self.full.get(py)?.lock().take();
        let work = async move {
            match full {
                Some(receipt) => receipt.room().await,
                None => Ok(()),
            }
        };
        Ok(Call::unit(self.host.as_ref(), work))
    }

    /// Sends everything and waits until it is acknowledged; the last batch's numbers.
    fn flush(&self, py: Python<'_>) -> PyResult<Call> {
        let (producer, reports) = (self.producer.get(py)?.clone(), Arc::clone(&self.reports));
        let has_news = self.has_news.swap(false, Ordering::AcqRel);
        let work = async move {
            let flushed = producer.flush().await;
            reports.heard().await;
            flushed.map(|()| producer.last_acknowledged().filter(|_| has_news))
        };
        Ok(Call::new(self.host.as_ref(), work, acknowledged))
    }

    /// Ends the stream for everyone; its final offset.
    #[pyo3(signature = (data=None))]
    fn close_stream(&self, py: Python<'_>, data: Option<&Bound<'_, PyAny>>) -> PyResult<Call> {
        let last: Option<Bytes> = data.map(|data| data::body(data, self.is_json)).transpose()?;
        let (producer, reports) = (self.producer.get(py)?.clone(), Arc::clone(&self.reports));
        let work = async move {
            let ended = producer.close_stream(last).await;
            reports.heard().await;
            Ok(ended?.final_offset)
        };
        Ok(Call::new(self.host.as_ref(), work, |py, offset: String| Ok(offset.into_pyobject(py)?.into_any())))
    }

    /// Sends everything and stops.
    fn detach(&self, py: Python<'_>) -> PyResult<Call> {
        let producer = self.producer.get(py)?.clone();
        Ok(self.unit(async move { producer.detach().await }))
    }

    /// Sends everything and begins the next epoch.
    fn restart(&self, py: Python<'_>) -> PyResult<Call> {
        let producer = self.producer.get(py)?.clone();
        Ok(self.unit(async move { producer.restart().await }))
    }

    #[getter]
    fn epoch(&self, py: Python<'_>) -> PyResult<u64> {
        Ok(self.producer.get(py)?.epoch())
    }

    #[getter]
    fn next_seq(&self, py: Python<'_>) -> PyResult<u64> {
        Ok(self.producer.get(py)?.next_seq())
    }

    #[getter]
    fn pending_count(&self, py: Python<'_>) -> PyResult<u64> {
        Ok(self.producer.get(py)?.pending_messages())
    }

    #[getter]
    fn pending_bytes(&self, py: Python<'_>) -> PyResult<u64> {
        Ok(self.producer.get(py)?.pending_bytes())
    }

    #[getter]
    fn in_flight_count(&self, py: Python<'_>) -> PyResult<usize> {
        Ok(self.producer.get(py)?.in_flight_batches())
    }

    #[getter]
    fn acknowledged_offset(&self, py: Python<'_>) -> PyResult<Option<String>> {
        Ok(self.producer.get(py)?.acknowledged_offset())
    }

    #[getter]
    fn has_closed_stream(&self, py: Python<'_>) -> PyResult<bool> {
        Ok(self.producer.get(py)?.has_closed_stream())
    }

    #[getter]
    fn url(&self) -> &str {
        &self.url
    }
}

impl Producer {
    /// Lets the producer take what is appended, as bytes.
    fn with_message<T>(
        &self,
        data: &Bound<'_, PyAny>,
        take: impl FnOnce(&CoreProducer, &[u8]) -> Outcome<T>,
    ) -> PyResult<T> {
        let py = data.py();
        let producer = self.producer.get(py)?;
        let take = |message: &[u8]| {
            let taken = take(producer, message).map_err(|error| to_python(py, &error))?;
            self.has_news.store(true, Ordering::Release);
            Ok(taken)
        };
        if let Ok(bytes) = data.cast_exact::<PyBytes>() {
            return take(bytes.as_bytes());
        }
        if let Ok(text) = data.cast::<PyString>() {
            return take(text.to_str()?.as_bytes());
        }
        if data.is_instance_of::<PyBytes>() || data::is_buffer(data) {
            return take(data::buffer(data)?.as_bytes());
        }
        data::check_value(data, self.is_json)?;
        // Encoding can run Python code of subclasses, which may append: take the buffer out.
        let mut text = SCRATCH.take();
        text.clear();
        let taken = encode(data, &mut text).and_then(|()| take(&text));
        SCRATCH.set(text);
        taken
    }

    fn unit(&self, work: impl Future<Output = Outcome<()>> + Send + 'static) -> Call {
        let reports = Arc::clone(&self.reports);
        let work = async move {
            let outcome = work.await;
            reports.heard().await;
            outcome
        };
        Call::unit(self.host.as_ref(), work)
    }
}

fn on_error(host: Arc<Shared>, reports: Arc<Reports>) -> OnError {
    Arc::new(move |error: ErrorInfo| {
        let Ok(handle) = runtime::handle() else { return };
        let host = Arc::clone(&host);
        let report = handle.spawn(async move {
            // A function that fails has nobody to hear it; the flush tells of the batch itself.
            drop(
                host.ask("report", move |py| PyTuple::new(py, [to_python(py, &error).into_value(py)]), |_| Ok(()))
                    .await,
            );
        });
        reports.0.lock().push(report);
    })
}
