//! Producers: messages cross in chunks, everything else is a promise.

use std::sync::Arc;

use bytes::Bytes;
use durable_streams::producer::BatchNumbers;
use durable_streams_bindings::{
    ErrorCode, ErrorInfo,
    producer::{Acknowledged, Producer, ProducerConfig, Receipt},
};
use napi::{Env, bindgen_prelude::Unknown};
use napi_derive::napi;
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::{
    cancel::Cancel,
    error::{Rejection, number, thrown},
    js_loop::Link,
    stream::{NativeStream, RetrySettings},
};

/// Settings of a producer.
#[napi(object, object_to_js = false)]
#[derive(Debug)]
pub struct ProducerSettings {
    /// Who writes.
    pub producer_id: String,
    /// First epoch.
    pub epoch: Option<f64>,
    /// Whether to claim the next epoch when a newer one is in force.
    pub auto_claim: bool,
    /// Most bytes of a batch.
    pub max_batch_bytes: Option<f64>,
    /// Most messages of a batch.
    pub max_batch_items: Option<f64>,
    /// Most batches under way.
    pub max_in_flight: Option<f64>,
    /// How long a batch waits for more messages. Units: ms.
    pub linger_ms: Option<f64>,
    /// Most undelivered bytes before appends should wait.
    pub max_queued_bytes: Option<f64>,
    /// Most undelivered messages before appends should wait.
    pub max_queued_messages: Option<f64>,
    /// Content type, instead of the handle's.
    pub content_type: Option<String>,
    /// Headers of every request.
    pub headers: Vec<(String, String)>,
    /// How requests are repeated.
    pub retry: RetrySettings,
}

/// A producer.
#[napi]
#[derive(Debug)]
pub struct NativeProducer {
    link: Arc<Link>,
    /// Gone once abandoned.
    inner: Mutex<Option<Producer>>,
    losses: Arc<Losses>,
    /// Messages of the last chunk that were not taken.
    refused: Mutex<Vec<ErrorInfo>>,
    /// Of the last message that found the queue full.
    full: Mutex<Option<Receipt>>,
}

/// Failures nobody has fetched yet.
#[derive(Debug, Default)]
struct Losses {
    list: Mutex<Vec<ErrorInfo>>,
    news: Notify,
}

/// What a producer has to tell.
#[napi(object, object_from_js = false)]
#[derive(Debug)]
pub struct ProducerNews {
    /// Whether nothing is left to deliver; else there are failures to fetch.
    pub is_settled: bool,
}

/// Where a producer stands.
#[napi(object, object_from_js = false)]
#[derive(Debug, Default)]
pub struct ProducerState {
    /// The epoch in use.
    pub epoch: f64,
    /// The sequence number the next batch will get.
    pub next_seq: f64,
    /// Messages neither acknowledged nor given up.
    pub pending_messages: f64,
    /// The same in bytes.
    pub pending_bytes: f64,
    /// Batches sent and not yet answered for good.
    pub in_flight_batches: u32,
    /// Tail after the latest acknowledged batch.
    pub acknowledged_offset: Option<String>,
}

/// What the server said to a batch.
#[napi(object, object_from_js = false)]
#[derive(Debug)]
pub struct BatchAnswer {
    /// Tail after the batch.
    pub offset: Option<String>,
    /// Whether the server had accepted the batch before.
    pub duplicate: bool,
    /// Epoch of the batch.
    pub epoch: f64,
    /// Sequence number of the batch.
    pub seq: f64,
}

/// A closed stream.
#[napi(object, object_from_js = false)]
#[derive(Debug)]
pub struct StreamEnd {
    /// The tail, which no longer moves.
    pub final_offset: String,
}

#[napi]
impl NativeStream {
    /// Starts a producer. Nothing is sent before the first append.
    #[napi]
    pub fn producer(&self, settings: ProducerSettings) -> napi::Result<NativeProducer> {
        let losses = Arc::new(Losses::default());
        let report = Arc::clone(&losses);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates, and NaN is 0")]
        let config = ProducerConfig {
            producer_id: settings.producer_id,
            numbers: BatchNumbers {
                epoch: settings.epoch,
                max_batch_bytes: settings.max_batch_bytes,
                max_batch_items: settings.max_batch_items,
                max_in_flight: settings.max_in_flight,
                linger_ms: settings.linger_ms,
            },
            auto_claim: settings.auto_claim,
            max_queued_bytes: settings.max_queued_bytes.map(|bytes| bytes as usize),
            max_queued_messages: settings.max_queued_messages.map(|messages| messages as u64),
            content_type: settings.content_type,
            headers: settings.headers,
            retry: settings.retry.into(),
            on_error: Some(Arc::new(move |error| report.add(error))),
        };
        let inner = Producer::open(&self.inner, config).map_err(|info| thrown(&info))?;
        let (refused, full) = (Mutex::default(), Mutex::default());
        Ok(NativeProducer { link: Arc::clone(&self.link), inner: Mutex::new(Some(inner)), losses, refused, full })
    }
}

#[napi]
impl NativeProducer {
    /// Takes messages: one behind the other in `data`, each up to its place in `ends`.
    /// `take_refused` tells of those that were not taken. Returns whether the queue is full.
    #[napi]
    pub fn append_chunk(&self, data: &[u8], ends: &[u32]) -> bool {
        let inner = self.inner.lock();
        let Some(producer) = &*inner else {
            self.refused.lock().push(abandoned());
            return false;
        };
        let (mut start, mut rest) = (0_usize, ends);
        let mut shifted: Vec<u32>;
        loop {
            let (taken, outcome) = producer.append_all(data.get(start..).unwrap_or_default(), rest);
            match outcome {
                Ok(None) => return false,
                Ok(Some(receipt)) => {
                    *self.full.lock() = Some(receipt);
                    return true;
                }
                // A message that is no JSON does not concern the others; an ended producer does.
                Err(refused) => {
                    let is_about_one = refused.code() == ErrorCode::InvalidArgument;
                    self.refused.lock().push(refused);
                    if !is_about_one {
                        return false;
                    }
                    let Some(end) = rest.get(taken) else { return false };
                    let (end, behind) = (*end, &rest[taken + 1..]);
                    shifted = behind.iter().map(|place| place.saturating_sub(end)).collect();
                    start += end as usize;
                }
            }
            rest = &shifted;
        }
    }

    /// Takes one message and resolves when the server has stored it. Whoever waits for it is
    /// told what went wrong with it.
    #[napi]
    pub fn append_acknowledged(
        &self,
        env: Env,
        data: &[u8],
        cancel: Option<&Cancel>,
    ) -> napi::Result<Unknown<'static>> {
        // Taken at once, in the order of the calls, and kept in flight by the promise.
        let receipt = self.producer().and_then(|producer| {
            let receipt = producer.append_with_receipt(data)?;
            Ok((producer, receipt))
        });
        let stored = async move {
            let (_producer, receipt) = receipt?;
            receipt.acknowledged().await.map(BatchAnswer::from)
        };
        self.link.start(env, stored, cancel)
    }

    /// Messages of the last chunk that were not taken.
    #[napi]
    pub fn take_refused(&self) -> Vec<Rejection> {
        std::mem::take(&mut *self.refused.lock()).into_iter().map(Rejection::from).collect()
    }

    /// Resolves when the queue has room again.
    #[napi]
    pub fn room(&self, env: Env, cancel: Option<&Cancel>) -> napi::Result<Unknown<'static>> {
        let receipt = self.full.lock().take();
        let room = async move {
            if let Some(receipt) = receipt {
                // Why a message was given up is told by `news`; there is room then, too.
                let _ = receipt.room().await;
            }
            Ok(())
        };
        self.link.start(env, room, cancel)
    }

    /// Resolves at the first failure, or when nothing is left to deliver.
    #[napi]
    pub fn news(&self, env: Env, cancel: Option<&Cancel>) -> napi::Result<Unknown<'static>> {
        let (producer, losses) = (self.producer(), Arc::clone(&self.losses));
        let news = async move {
            let producer = producer?;
            let is_settled = tokio::select! {
                biased;
                () = producer.settled() => true,
                () = losses.some() => false,
            };
            Ok(ProducerNews { is_settled })
        };
        self.link.start(env, news, cancel)
    }

    /// Failures that nobody has fetched.
    #[napi]
    pub fn take_failures(&self) -> Vec<Rejection> {
        self.losses.take()
    }

    /// Sends what is collected and waits until all of it is acknowledged.
    #[napi]
    pub fn flush(&self, env: Env, cancel: Option<&Cancel>) -> napi::Result<Unknown<'static>> {
        let producer = self.producer();
        self.link.start(env, async move { producer?.flush().await }, cancel)
    }

    /// Flushes, then ends the stream for everyone, with a last message if there is one.
    #[napi]
    pub fn close_stream(
        &self,
        env: Env,
        last: Option<&[u8]>,
        cancel: Option<&Cancel>,
    ) -> napi::Result<Unknown<'static>> {
        let (producer, last) = (self.producer(), last.map(Bytes::copy_from_slice));
        let close = async move { Ok(StreamEnd { final_offset: producer?.close_stream(last).await?.final_offset }) };
        self.link.start(env, close, cancel)
    }

    /// Flushes and stops; the stream stays open.
    #[napi]
    pub fn detach(&self, env: Env, cancel: Option<&Cancel>) -> napi::Result<Unknown<'static>> {
        let producer = self.producer();
        self.link.start(env, async move { producer?.detach().await }, cancel)
    }

    /// Flushes and goes on in the next epoch.
    #[napi]
    pub fn restart(&self, env: Env, cancel: Option<&Cancel>) -> napi::Result<Unknown<'static>> {
        let producer = self.producer();
        self.link.start(env, async move { producer?.restart().await }, cancel)
    }

    /// Gives everything undelivered up. The stream stays open.
    #[napi]
    pub fn abandon(&self) {
        self.inner.lock().take();
        self.full.lock().take();
    }

    /// Where the producer stands.
    #[napi]
    pub fn state(&self) -> ProducerState {
        let inner = self.inner.lock();
        let Some(producer) = &*inner else { return ProducerState::default() };
        ProducerState {
            epoch: number(producer.epoch()),
            next_seq: number(producer.next_seq()),
            pending_messages: number(producer.pending_messages()),
            pending_bytes: number(producer.pending_bytes()),
            in_flight_batches: u32::try_from(producer.in_flight_batches()).unwrap_or(u32::MAX),
            acknowledged_offset: producer.acknowledged_offset(),
        }
    }

    /// What the server said to the newest batch it acknowledged.
    #[napi]
    pub fn last_acknowledged(&self) -> Option<BatchAnswer> {
        self.inner.lock().as_ref()?.last_acknowledged().map(BatchAnswer::from)
    }

    fn producer(&self) -> Result<Producer, ErrorInfo> {
        self.inner.lock().clone().ok_or_else(abandoned)
    }
}

impl From<Acknowledged> for BatchAnswer {
    fn from(acknowledged: Acknowledged) -> Self {
        let Acknowledged { offset, duplicate, epoch, seq } = acknowledged;
        Self { offset, duplicate, epoch: number(epoch), seq: number(seq) }
    }
}

fn abandoned() -> ErrorInfo {
    ErrorInfo::new(ErrorCode::AlreadyClosed, "the producer was aborted")
}

impl Losses {
    fn add(&self, error: ErrorInfo) {
        self.list.lock().push(error);
        self.news.notify_one();
    }

    fn take(&self) -> Vec<Rejection> {
        std::mem::take(&mut *self.list.lock()).into_iter().map(Rejection::from).collect()
    }

    async fn some(&self) {
        while self.list.lock().is_empty() {
            self.news.notified().await;
        }
    }
}
