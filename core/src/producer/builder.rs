//! Building a producer.

use std::{fmt, sync::Arc, time::Duration};

use durable_streams_protocol::{
    content_type,
    produce::{
        options::{BatchNumbers, BatchOptions},
        window::{DEFAULT_RETRY, ProducerWindow, WindowOptions},
    },
    request::append::ProducerTag,
    retry::RetryPolicy,
};

use super::{
    Handle, Producer, Shared,
    batch::BatchKind,
    state::{QueueLimits, State},
};
use crate::{
    client::Client,
    driver::{exchange::Extras, produce},
    error::{Failure, ProducerError},
    options::UserHeaders,
    stream::DurableStream,
};

/// Settings of a producer.
#[must_use]
pub struct ProducerBuilder {
    stream: Option<DurableStream>,
    client: Option<Client>,
    url: Option<String>,
    producer_id: String,
    batch: BatchOptions,
    numbers: BatchNumbers,
    auto_claim: bool,
    content_type: Option<String>,
    retry: RetryPolicy,
    headers: UserHeaders,
    limits: QueueLimits,
    on_error: Option<OnError>,
}

pub(super) type OnError = Box<dyn Fn(Failure, ProducerError) + Send + Sync>;

impl ProducerBuilder {
    pub(crate) fn new(stream: Option<DurableStream>, producer_id: String) -> Self {
        Self {
            stream,
            client: None,
            url: None,
            producer_id,
            batch: BatchOptions::DEFAULT,
            numbers: BatchNumbers::default(),
            auto_claim: false,
            content_type: None,
            retry: DEFAULT_RETRY,
            headers: UserHeaders::default(),
            limits: QueueLimits { bytes: 64 * 1024 * 1024, messages: 1_000_000 },
            on_error: None,
        }
    }

    /// Sets the stream's URL, or its name below the client's base URL.
    pub fn url(mut self, url: impl Into<String>) -> Self {
        self.url = Some(url.into());
        self
    }

    /// Sends through this client. Default: a new one.
    pub fn client(mut self, client: Client) -> Self {
        self.client = Some(client);
        self
    }

    /// Sets the producer id. Two instances that write at the same time need different
    /// ids, or different epochs, of which only the higher one then writes.
    pub fn producer_id(mut self, producer_id: impl Into<String>) -> Self {
        self.producer_id = producer_id.into();
        self
    }

    /// Sets the first epoch. A fresh producer with the same id needs a higher one than its
    /// predecessor, or [`auto_claim`](ProducerBuilder::auto_claim); with the same one its
    /// first batches count as duplicates and are dropped by the server. Default: 0.
    pub fn epoch(mut self, epoch: u64) -> Self {
        self.batch.epoch = epoch;
        self
    }

    /// Claims the next epoch when a newer one is in force, instead of failing. A batch whose
    /// outcome was unknown may then be stored twice. Default: off.
    pub fn auto_claim(mut self, auto_claim: bool) -> Self {
        self.auto_claim = auto_claim;
        self
    }

    /// Seals a batch before its body would outgrow this; a single larger message travels
    /// alone. Units: bytes. Default: 1 MiB.
    pub fn max_batch_bytes(mut self, bytes: usize) -> Self {
        self.batch.max_batch_bytes = bytes;
        self
    }

    /// Seals a batch at so many messages. Default: no limit.
    pub fn max_batch_items(mut self, items: u64) -> Self {
        self.batch.max_batch_items = Some(items);
        self
    }

    /// Limits the unacknowledged batches under way at once. Default: 5.
    pub fn max_in_flight(mut self, batches: usize) -> Self {
        self.batch.max_in_flight = batches;
        self
    }

    /// Sets how long a batch may wait for more messages. Default: 5 ms.
    pub fn linger(mut self, linger: Duration) -> Self {
        self.batch.linger = linger;
        self
    }

    /// Sets the numbers above as host languages give them; a bad one fails
    /// [`build`](ProducerBuilder::build) and is named as every language spells it.
    pub fn numbers(mut self, numbers: BatchNumbers) -> Self {
        self.numbers = numbers;
        self
    }

    /// Lets awaited appends wait while more than this is undelivered. Appends that nobody
    /// awaits are refused beyond four times the limit. Units: bytes of messages.
    /// Default: 64 MiB.
    pub fn max_queued_bytes(mut self, bytes: usize) -> Self {
        self.limits.bytes = bytes as u64;
        self
    }

    /// The same in messages. Default: 1,000,000.
    pub fn max_queued_messages(mut self, messages: u64) -> Self {
        self.limits.messages = messages;
        self
    }

    /// States the stream's content type. Default: the handle's, else what one HEAD answers.
    pub fn content_type(mut self, content_type: impl Into<String>) -> Self {
        self.content_type = Some(content_type.into());
        self
    }

    /// Sets how requests are repeated; every repeat carries the same epoch, seq and body.
    /// Default: 10 tries in all, 100 ms doubling up to 30 s.
    pub fn retry(mut self, policy: RetryPolicy) -> Self {
        self.retry = policy;
        self
    }

    /// Adds a header to every request of this producer.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.add(name, value);
        self
    }

    /// Is told of every batch that is given up and of refused messages whose receipts
    /// nobody looked at. Runs on the producer's task or in `append`; must not block.
    pub fn on_error(mut self, on_error: impl Fn(ProducerError) + Send + Sync + 'static) -> Self {
        self.on_error = Some(Box::new(move |_, error| on_error(error)));
        self
    }

    /// The same with failures that know code, facts and URL, for bindings.
    pub fn on_failure(mut self, on_failure: impl Fn(Failure) + Send + Sync + 'static) -> Self {
        self.on_error = Some(Box::new(move |failure, _| on_failure(failure)));
        self
    }

    /// Starts the producer. Nothing is sent before the first append.
    /// Errors: [`ProducerError::Config`] naming the setting, also when there is no Tokio
    /// runtime to work on.
    pub fn build(self) -> Result<Producer, ProducerError> {
        let batch = self.numbers.check(&self.batch)?;
        batch.validate()?;
        let producer_id = ProducerTag::id(&self.producer_id)?;
        self.retry.validate()?;
        let config = |error: &dyn std::error::Error| ProducerError::Config(error.to_string());
        let headers = self.headers.checked().map_err(|error| config(&error))?.clone();
        let stream = stream(self.stream, self.client, self.url)?;
        let url = Arc::clone(stream.target().map_err(|failure| config(&failure))?.display());
        let content_type = self.content_type.or_else(|| stream.content_type().map(str::to_owned));
        if let Some(invalid) = content_type.as_deref().filter(|value| !content_type::is_valid(value)) {
            return Err(ProducerError::Config(format!("content_type: {invalid:?} is not a media type")));
        }
        let kind = content_type.as_deref().map(BatchKind::of);
        let window = ProducerWindow::new(WindowOptions {
            producer_id,
            epoch: batch.epoch,
            auto_claim: self.auto_claim,
            max_in_flight: batch.max_in_flight,
            content_type: content_type.unwrap_or_default(),
            retry: self.retry,
            seed: stream.exchange().host.entropy(),
        });
        let shared = Arc::new(Shared::new(
            State::new(batch, self.limits, url, kind, window),
            stream,
            Extras { headers, ..Extras::default() },
            self.retry,
            self.on_error,
        ));
        let host = Arc::clone(&shared.stream.exchange().host);
        host.spawn(Box::pin(produce::run(Arc::clone(&shared)))).map_err(|error| config(&error))?;
        Ok(Producer::new(Handle::new(shared)))
    }
}

fn stream(
    stream: Option<DurableStream>,
    client: Option<Client>,
    url: Option<String>,
) -> Result<DurableStream, ProducerError> {
    if let (Some(stream), None, None) = (&stream, &client, &url) {
        return Ok(stream.clone());
    }
    let name = match (url, &stream) {
        (Some(url), _) => url,
        (None, Some(stream)) => stream.url().to_owned(),
        (None, None) => return Err(ProducerError::Config("url: is missing; say where to write".to_owned())),
    };
    let client = match (client, stream) {
        (Some(client), _) => client,
        (None, Some(stream)) => stream.client().clone(),
        (None, None) => default_client()?,
    };
    Ok(client.stream(&name))
}

#[cfg(feature = "rustls")]
fn default_client() -> Result<Client, ProducerError> {
    Client::builder().build().map_err(|error| ProducerError::Config(format!("client: {error}")))
}

#[cfg(not(feature = "rustls"))]
fn default_client() -> Result<Client, ProducerError> {
    Err(ProducerError::Config("client: is missing, and no transport is built in".to_owned()))
}

impl fmt::Debug for ProducerBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProducerBuilder")
            .field("stream", &self.stream)
            .field("url", &self.url)
            .field("producer_id", &self.producer_id)
            .field("batch", &self.batch)
            .field("auto_claim", &self.auto_claim)
            .finish_non_exhaustive()
    }
}
