//! Exactly-once writing.

use std::{fmt, sync::Arc};

use durable_streams_bindings::{
    ErrorInfo,
    producer::{self, BatchNumbers, OnError},
};
use tokio::sync::Mutex;

use crate::{
    blob::Blob,
    call::{FfiCancel, run},
    error::{CoreError, ErrorDetails},
    settings::{NameValue, RetrySettings, tuples},
    stream::FfiStream,
    taking::Full,
};

/// Is told of every batch that is given up. It must not block.
#[uniffi::export(foreign)]
pub trait ErrorListener: Send + Sync {
    /// A batch was given up.
    fn on_error(&self, error: ErrorDetails);
}

/// Settings of a producer; absent ones keep the core's defaults.
#[derive(Clone, uniffi::Record)]
pub struct ProducerSettings {
    /// Who writes; not empty.
    pub producer_id: String,
    /// First epoch.
    #[uniffi(default = None)]
    pub epoch: Option<f64>,
    /// Takes the stream over from an earlier writer of the same id.
    #[uniffi(default = false)]
    pub auto_claim: bool,
    /// A batch is sealed before it would outgrow this. Units: bytes.
    #[uniffi(default = None)]
    pub max_batch_bytes: Option<f64>,
    /// A batch is sealed at so many messages.
    #[uniffi(default = None)]
    pub max_batch_items: Option<f64>,
    /// Unacknowledged batches under way at once.
    #[uniffi(default = None)]
    pub max_in_flight: Option<f64>,
    /// How long a batch may wait for more messages. Units: ms.
    #[uniffi(default = None)]
    pub linger_ms: Option<f64>,
    /// Most bytes in the queue before the host is asked to wait.
    #[uniffi(default = None)]
    pub max_queued_bytes: Option<u64>,
    /// Most messages in the queue before the host is asked to wait.
    #[uniffi(default = None)]
    pub max_queued_messages: Option<u64>,
    /// Content type; default: the handle's, else what one HEAD answers.
    #[uniffi(default = None)]
    pub content_type: Option<String>,
    /// Headers of every request.
    #[uniffi(default = [])]
    pub headers: Vec<NameValue>,
    /// How requests are repeated.
    #[uniffi(default = None)]
    pub retry: Option<RetrySettings>,
    /// Is told of every batch that is given up.
    #[uniffi(default = None)]
    pub on_error: Option<Arc<dyn ErrorListener>>,
}

/// What the server said to the batch of a message.
#[derive(Debug, Clone, uniffi::Record)]
pub struct Acknowledgement {
    /// Offset after the batch.
    pub offset: Option<String>,
    /// Whether the server had accepted the batch before.
    pub duplicate: bool,
    /// Epoch of the batch.
    pub epoch: u64,
    /// Sequence number of the batch.
    pub seq: u64,
}

/// A producer.
#[derive(Debug, uniffi::Object)]
pub struct FfiProducer {
    pub(crate) inner: producer::Producer,
    /// Who has yet to wait for room.
    pub(crate) full: Full,
}

/// The receipt of a message.
#[derive(Debug, uniffi::Object)]
pub struct FfiReceipt {
    inner: Arc<Mutex<Option<producer::Receipt>>>,
}

#[uniffi::export]
impl FfiProducer {
    /// Starts a producer. Nothing is sent before the first append.
    /// Errors: `INVALID_ARGUMENT` naming the setting.
    #[uniffi::constructor]
    pub fn new(stream: Arc<FfiStream>, settings: ProducerSettings) -> Result<Arc<Self>, CoreError> {
        let inner = producer::Producer::open(&stream.inner, settings.into())?;
        Ok(Arc::new(Self { inner, full: Full::default() }))
    }

    /// Takes messages, at once and in the order of the calls, in one crossing: each in `data` behind
    /// its length, 4 bytes, the least first. With a receipt the queue is full: wait on its `room`
    /// before appending more.
    /// Errors: why one was refused; those before it are taken.
    pub fn append_framed(&self, data: &[u8]) -> Result<Option<Arc<FfiReceipt>>, CoreError> {
        let (mut rest, mut full) = (data, None);
        while !rest.is_empty() {
            let (message, behind) = first_framed(rest)?;
            full = self.inner.append(message)?;
            rest = behind;
        }
        Ok(full.map(FfiReceipt::new))
    }

    /// Takes a message and always returns its receipt.
    pub fn append_with_receipt(&self, message: &[u8]) -> Result<Arc<FfiReceipt>, CoreError> {
        Ok(FfiReceipt::new(self.inner.append_with_receipt(message)?))
    }

    /// Sends what is collected and waits until all of it is acknowledged.
    /// Errors: the first failure since the last flush that reported one.
    pub async fn flush(&self, cancel: Option<Arc<FfiCancel>>) -> Result<(), CoreError> {
        let inner = self.inner.clone();
        run(cancel, async move { inner.flush().await }).await
    }

    /// Flushes, then ends the stream for everyone. Returns the final offset.
    pub async fn close_stream(&self, last: Option<Blob>, cancel: Option<Arc<FfiCancel>>) -> Result<String, CoreError> {
        let inner = self.inner.clone();
        let close = async move { inner.close_stream(last.map(Into::into)).await };
        Ok(run(cancel, close).await?.final_offset)
    }

    /// Flushes and stops; the stream stays open.
    pub async fn detach(&self, cancel: Option<Arc<FfiCancel>>) -> Result<(), CoreError> {
        let inner = self.inner.clone();
        run(cancel, async move { inner.detach().await }).await
    }

    /// Flushes and goes on in the next epoch, from sequence number 0.
    pub async fn restart(&self, cancel: Option<Arc<FfiCancel>>) -> Result<(), CoreError> {
        let inner = self.inner.clone();
        run(cancel, async move { inner.restart().await }).await
    }

    /// The epoch in use.
    pub fn epoch(&self) -> u64 {
        self.inner.epoch()
    }

    /// The sequence number the next batch will get.
    pub fn next_seq(&self) -> u64 {
        self.inner.next_seq()
    }

    /// Messages taken that are neither acknowledged nor given up.
    pub fn pending_messages(&self) -> u64 {
        self.inner.pending_messages()
    }

    /// The same in bytes of messages.
    pub fn pending_bytes(&self) -> u64 {
        self.inner.pending_bytes()
    }

    /// What the server said to the newest batch it acknowledged.
    pub fn last_acknowledged(&self) -> Option<Acknowledgement> {
        self.inner.last_acknowledged().map(Into::into)
    }

    /// Batches sent and not yet answered for good.
    pub fn in_flight_batches(&self) -> u64 {
        self.inner.in_flight_batches() as u64
    }

    /// Tail after the latest acknowledged batch.
    pub fn acknowledged_offset(&self) -> Option<String> {
        self.inner.acknowledged_offset()
    }
}

#[uniffi::export]
impl FfiReceipt {
    /// Waits until the message is within the queue's limits. A receipt answers once.
    pub async fn room(&self, cancel: Option<Arc<FfiCancel>>) -> Result<(), CoreError> {
        let inner = Arc::clone(&self.inner);
        run(cancel, async move { take(&inner).await?.room().await }).await
    }

    /// Waits until the server has stored the message. A receipt answers once.
    pub async fn acknowledged(&self, cancel: Option<Arc<FfiCancel>>) -> Result<Acknowledgement, CoreError> {
        let inner = Arc::clone(&self.inner);
        Ok(run(cancel, async move { take(&inner).await?.acknowledged().await }).await?.into())
    }
}

impl FfiReceipt {
    fn new(receipt: producer::Receipt) -> Arc<Self> {
        Arc::new(Self { inner: Arc::new(Mutex::new(Some(receipt))) })
    }
}

impl From<producer::Acknowledged> for Acknowledgement {
    fn from(told: producer::Acknowledged) -> Self {
        Self { offset: told.offset, duplicate: told.duplicate, epoch: told.epoch, seq: told.seq }
    }
}

async fn take(receipt: &Mutex<Option<producer::Receipt>>) -> Result<producer::Receipt, ErrorInfo> {
    receipt.lock().await.take().ok_or_else(|| ErrorInfo::invalid("receipt", "was used before"))
}

/// Parts the first message from what is behind it.
fn first_framed(data: &[u8]) -> Result<(&[u8], &[u8]), ErrorInfo> {
    let parted = data.split_first_chunk().and_then(|(length, rest)| {
        let length = u32::from_le_bytes(*length) as usize;
        rest.split_at_checked(length)
    });
    parted.ok_or_else(|| ErrorInfo::invalid("data", format!("{} bytes are no message behind its length", data.len())))
}

impl From<ProducerSettings> for producer::ProducerConfig {
    fn from(settings: ProducerSettings) -> Self {
        let on_error = settings
            .on_error
            .map(|listener| Arc::new(move |error: ErrorInfo| listener.on_error((&error).into())) as OnError);
        Self {
            producer_id: settings.producer_id,
            numbers: BatchNumbers {
                epoch: settings.epoch,
                max_batch_bytes: settings.max_batch_bytes,
                max_batch_items: settings.max_batch_items,
                max_in_flight: settings.max_in_flight,
                linger_ms: settings.linger_ms,
            },
            auto_claim: settings.auto_claim,
            max_queued_bytes: settings.max_queued_bytes.map(|bytes| usize::try_from(bytes).unwrap_or(usize::MAX)),
            max_queued_messages: settings.max_queued_messages,
            content_type: settings.content_type,
            headers: tuples(settings.headers),
            retry: settings.retry.map(Into::into).unwrap_or_default(),
            on_error,
        }
    }
}

impl fmt::Debug for ProducerSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProducerSettings").field("producer_id", &self.producer_id).finish_non_exhaustive()
    }
}
