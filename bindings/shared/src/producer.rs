//! Exactly-once writing. Taking a message never waits; waiting is a second step, which the
//! host takes when it is told that the queue is full.

use std::sync::Arc;

use bytes::Bytes;
use durable_streams::{
    Acknowledgement, AppendReceipt, Failure, Producer as CoreProducer, RetryPolicy, producer::WindowState,
    protocol::retry::RetryNumbers,
};

pub use durable_streams::producer::BatchNumbers;

use crate::{error::ErrorInfo, runtime, stream::Stream};

/// Is told of every batch that is given up.
pub type OnError = Arc<dyn Fn(ErrorInfo) + Send + Sync>;

/// Settings of a producer; absent ones keep the core's defaults.
#[derive(Clone, Default)]
pub struct ProducerConfig {
    /// Who writes; not empty.
    pub producer_id: String,
    /// `epoch`, `maxBatchBytes`, `maxBatchItems`, `maxInFlight`, `lingerMs`.
    pub numbers: BatchNumbers,
    /// Takes the stream over from an earlier writer of the same id.
    pub auto_claim: bool,
    /// Most bytes in the queue before the host is asked to wait.
    pub max_queued_bytes: Option<usize>,
    /// Most messages in the queue before the host is asked to wait.
    pub max_queued_messages: Option<u64>,
    /// Content type; default: the handle's, else what one HEAD answers.
    pub content_type: Option<String>,
    /// Headers of every request.
    pub headers: Vec<(String, String)>,
    /// How requests are repeated; open numbers are the producer's defaults.
    pub retry: RetryNumbers,
    /// Is told of every batch that is given up, on a thread of the runtime or in an append.
    /// It must not block.
    pub on_error: Option<OnError>,
}

/// A producer. Clones write through the same batches.
#[derive(Debug, Clone)]
pub struct Producer {
    inner: CoreProducer,
    made_in: u64,
}

/// The result of ending a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    /// The tail, which no longer moves.
    pub final_offset: String,
}

/// The receipt of a message that was taken while the queue was full.
#[derive(Debug)]
pub struct Receipt(AppendReceipt<'static>);

/// What the server said to the batch of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Acknowledged {
    /// Offset after the batch.
    pub offset: Option<String>,
    /// Whether the server had accepted the batch before.
    pub duplicate: bool,
    /// Epoch of the batch.
    pub epoch: u64,
    /// Sequence number of the batch.
    pub seq: u64,
}

impl Producer {
    /// The core's own retry numbers for producers: 10 tries in all, 100 ms doubling up to 30 s.
    const RETRY: RetryPolicy = RetryPolicy { max_retries: 9, ..RetryPolicy::DEFAULT };

    /// Starts a producer. Nothing is sent before the first append.
    /// Errors: `INVALID_ARGUMENT` naming the setting.
    pub fn open(stream: &Stream, config: ProducerConfig) -> Result<Self, ErrorInfo> {
        stream.check()?;
        let _entered = runtime::handle()?.enter();
        let mut builder =
            stream.core().producer(config.producer_id).numbers(config.numbers).auto_claim(config.auto_claim);
        if let Some(bytes) = config.max_queued_bytes {
            builder = builder.max_queued_bytes(bytes);
        }
        if let Some(messages) = config.max_queued_messages {
            builder = builder.max_queued_messages(messages);
        }
        if let Some(content_type) = config.content_type {
            builder = builder.content_type(content_type);
        }
        for (name, value) in &config.headers {
            builder = builder.header(name, value);
        }
        builder = builder.retry(config.retry.check(&Self::RETRY).map_err(Failure::from)?);
        if let Some(on_error) = config.on_error {
            builder = builder.on_failure(move |failure| on_error(failure.into()));
        }
        Ok(Self { inner: builder.build()?, made_in: runtime::generation() })
    }

    /// Takes a message, at once and in the order of the calls. With a receipt the queue is
    /// full: wait on [`Receipt::room`] before appending more.
    /// Shape: bytes; on JSON streams one JSON value, which stays one message even if it is an
    /// array. Errors: `INVALID_ARGUMENT`, `STREAM_CLOSED`, `STALE_EPOCH`, `ALREADY_CLOSED`,
    /// `BUSY` (far beyond the queue's limits); the message is not taken.
    pub fn append(&self, message: &[u8]) -> Result<Option<Receipt>, ErrorInfo> {
        runtime::check(self.made_in, "producer")?;
        Ok(Receipt::if_full(self.inner.append(message).checked()?))
    }

    /// Takes the text of one JSON value that the host's encoder has just written, without
    /// looking at it again. Otherwise as [`Producer::append`].
    pub fn append_json(&self, text: &[u8]) -> Result<Option<Receipt>, ErrorInfo> {
        runtime::check(self.made_in, "producer")?;
        Ok(Receipt::if_full(self.inner.append_json_text(text).checked()?))
    }

    /// Takes several messages: one behind the other in `data`, each up to its place in `ends`.
    /// Stops at the first that is refused. The count says how many were taken.
    pub fn append_all(&self, data: &[u8], ends: &[u32]) -> (usize, Result<Option<Receipt>, ErrorInfo>) {
        let (mut start, mut full) = (0, None);
        for (number, end) in ends.iter().enumerate() {
            let Some(message) = data.get(start..*end as usize) else {
                return (number, Err(ErrorInfo::invalid("ends", format!("{end} is not a place in the data"))));
            };
            match self.append(message) {
                Ok(receipt) => full = receipt,
                Err(error) => return (number, Err(error)),
            }
            start = *end as usize;
        }
        (ends.len(), Ok(full))
    }

    /// Takes a message and always returns its receipt.
    /// Errors: those of [`Producer::append`].
    pub fn append_with_receipt(&self, message: &[u8]) -> Result<Receipt, ErrorInfo> {
        runtime::check(self.made_in, "producer")?;
        Ok(Receipt(self.inner.append(message).checked()?.into_owned()))
    }

    /// Sends what is collected and waits until all of it is acknowledged.
    /// Errors: the first failure since the last flush that reported one.
    pub async fn flush(&self) -> Result<(), ErrorInfo> {
        runtime::check(self.made_in, "producer")?;
        Ok(self.inner.detailed().flush().await?)
    }

    /// Flushes, then ends the stream for everyone, with a last message if there is one.
    pub async fn close_stream(&self, last: Option<Bytes>) -> Result<Ended, ErrorInfo> {
        runtime::check(self.made_in, "producer")?;
        let closed = self.inner.detailed().close_stream(last).await?;
        Ok(Ended { final_offset: closed.final_offset.to_query_value().to_owned() })
    }

    /// Flushes and stops; the stream stays open.
    pub async fn detach(&self) -> Result<(), ErrorInfo> {
        runtime::check(self.made_in, "producer")?;
        Ok(self.inner.detailed().detach().await?)
    }

    /// Flushes and goes on in the next epoch, from sequence number 0.
    pub async fn restart(&self) -> Result<(), ErrorInfo> {
        runtime::check(self.made_in, "producer")?;
        Ok(self.inner.detailed().restart().await?)
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

    /// Waits until the fate of every message taken is known, also of those taken meanwhile.
    /// Tells no failure: the error callback and the next flush do.
    pub async fn settled(&self) {
        self.inner.settled().await;
    }

    /// What the server said to the newest batch it acknowledged.
    pub fn last_acknowledged(&self) -> Option<Acknowledged> {
        self.inner.last_acknowledgement().map(Acknowledged::from)
    }

    /// Batches sent and not yet answered for good.
    pub fn in_flight_batches(&self) -> usize {
        self.inner.in_flight_batches()
    }

    /// Tail after the latest acknowledged batch.
    pub fn acknowledged_offset(&self) -> Option<String> {
        self.inner.acknowledged_offset().map(|offset| offset.to_query_value().to_owned())
    }

    /// Whether the stream was closed through this producer.
    pub fn has_closed_stream(&self) -> bool {
        self.inner.state() == WindowState::Closed
    }

    /// The stream's URL.
    pub fn url(&self) -> &str {
        self.inner.stream().url()
    }
}

impl Receipt {
    fn if_full(receipt: AppendReceipt<'_>) -> Option<Self> {
        if receipt.has_room() { None } else { Some(Self(receipt.into_owned())) }
    }

    /// Whether the message was within the queue's limits when it was taken.
    pub const fn has_room(&self) -> bool {
        self.0.has_room()
    }

    /// Waits until the message is within the queue's limits.
    /// Errors: why it was given up.
    pub async fn room(self) -> Result<(), ErrorInfo> {
        Ok(self.0.accepted_detailed().await?)
    }

    /// Waits until the server has stored the message.
    /// Errors: why it was not, or may not have been, stored.
    pub async fn acknowledged(self) -> Result<Acknowledged, ErrorInfo> {
        Ok(self.0.acknowledged_detailed().await?.into())
    }
}

impl From<Acknowledgement> for Acknowledged {
    fn from(receipt: Acknowledgement) -> Self {
        Self {
            offset: receipt.offset.map(|offset| offset.to_query_value().to_owned()),
            duplicate: receipt.duplicate,
            epoch: receipt.epoch,
            seq: receipt.seq,
        }
    }
}

impl std::fmt::Debug for ProducerConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ProducerConfig")
            .field("producer_id", &self.producer_id)
            .field("numbers", &self.numbers)
            .field("auto_claim", &self.auto_claim)
            .finish_non_exhaustive()
    }
}
