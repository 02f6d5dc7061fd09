//! Reading, batch by batch, pulled by the host.

use std::sync::Arc;

pub use durable_streams::reader::{Batch, SseFallbackNumbers};
use durable_streams::{
    LiveMode, Offset, protocol::retry::RetryNumbers, reader::Reader as CoreReader, transport::ReplyHead,
};
use parking_lot::Mutex as StateMutex;
use tokio::{
    sync::{Mutex, OwnedMutexGuard, oneshot},
    task::JoinHandle,
};

use crate::{
    CancelHandle,
    call::cancellable,
    client::span,
    error::{ErrorInfo, header_pairs},
    runtime,
    stream::Stream,
};

/// Settings of a read; absent ones keep the core's defaults.
#[derive(Debug, Clone, Default)]
pub struct ReadConfig {
    /// Where to start; absent or empty = the beginning.
    pub offset: Option<String>,
    /// How to go on at the tail.
    pub live: LiveMode,
    /// Cursor of an earlier live read.
    pub cursor: Option<String>,
    /// Entity tag of data that the caller holds for the start offset.
    pub if_none_match: Option<String>,
    /// Content type, for a live read from `now`.
    pub content_type: Option<String>,
    /// Whether a live read from `now` asks first where that is, so that its first batch comes
    /// at once.
    pub settle_now: bool,
    /// Headers of every request of this read.
    pub headers: Vec<(String, String)>,
    /// Query parameters of every request of this read.
    pub params: Vec<(String, String)>,
    /// Limit of every wait for the server. Units: ms.
    pub timeout_ms: Option<f64>,
    /// Bound of one batch of a byte stream. Units: bytes.
    pub max_batch_bytes: Option<usize>,
    /// Whether batches of byte streams come in pieces, for hosts that copy them.
    pub vectored: bool,
    /// Whether catch-up runs one batch ahead of the caller. Default: yes.
    pub read_ahead: Option<bool>,
    /// How requests are repeated.
    pub retry: Option<RetryNumbers>,
    /// When server-sent events give way to long-poll.
    pub sse_fallback: SseFallbackNumbers,
}

/// How a host language spells a live mode.
/// Errors: `INVALID_ARGUMENT` naming the value.
pub fn live_mode(text: &str) -> Result<LiveMode, ErrorInfo> {
    match text {
        "off" | "false" | "none" => Ok(LiveMode::Off),
        "auto" | "true" => Ok(LiveMode::Auto),
        "long-poll" | "long_poll" => Ok(LiveMode::LongPoll),
        "sse" => Ok(LiveMode::Sse),
        other => Err(ErrorInfo::invalid("live", format!("{other:?} is none of off, auto, long-poll, sse"))),
    }
}

/// Where a read stands, as of the last batch handed out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReadState {
    /// Where to resume.
    pub offset: String,
    /// Cursor for a later live read.
    pub cursor: Option<String>,
    /// Everything available had been read.
    pub up_to_date: bool,
    /// The end of a closed stream was reached.
    pub stream_closed: bool,
    /// Status of the latest answer; 0 before the first.
    pub status: u16,
}

/// A batch on its way to the host. Unless it [arrives](Carried::arrived), the next pull gets it.
#[derive(Debug)]
pub struct Carried {
    batch: Option<Batch>,
    home: OwnedMutexGuard<Option<Batch>>,
}

impl Carried {
    /// The batch, for a host that will not lose it any more.
    pub fn arrived(mut self) -> Option<Batch> {
        self.batch.take()
    }
}

impl Drop for Carried {
    fn drop(&mut self) {
        *self.home = self.batch.take();
    }
}

/// A read. Clones pull from the same read; one pull runs at a time, others wait their turn.
/// Dropping the future of a pull loses nothing.
#[derive(Debug, Clone)]
pub struct Reader {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    slot: Mutex<Slot>,
    /// A batch that did not arrive. Locked from before a pull until its batch has: whoever waits
    /// behind must not get a later one first.
    home: Arc<Mutex<Option<Batch>>>,
    state: StateMutex<Seen>,
    cancel: CancelHandle,
    reads_ahead: bool,
    url: String,
    made_in: u64,
}

#[derive(Debug)]
struct Seen {
    state: ReadState,
    answer: Option<Arc<ReplyHead>>,
    sse_given_up: Option<&'static str>,
}

type Pulled = (Box<CoreReader>, Result<Option<Batch>, ErrorInfo>);

/// Where the core's reader is.
#[derive(Debug)]
enum Slot {
    Idle(Box<CoreReader>),
    /// On the way to the next batch, while the caller works on the last one.
    Ahead(oneshot::Receiver<Pulled>, JoinHandle<()>),
    Gone,
}

impl Reader {
    /// Checks the settings; no I/O.
    /// Errors: `INVALID_ARGUMENT` naming the setting.
    pub fn open(stream: &Stream, config: ReadConfig) -> Result<Self, ErrorInfo> {
        stream.check()?;
        let start = config.offset.as_deref().map_or(Offset::Beginning, Offset::parse);
        let mut builder =
            stream.core().read().offset(start.clone()).live_mode(config.live).settle_now(config.settle_now);
        if let Some(cursor) = &config.cursor {
            builder = builder.cursor(cursor.as_str());
        }
        if let Some(etag) = config.if_none_match {
            builder = builder.if_none_match(etag);
        }
        if let Some(content_type) = config.content_type {
            builder = builder.content_type(content_type);
        }
        for (name, value) in &config.headers {
            builder = builder.header(name, value);
        }
        for (name, value) in config.params {
            builder = builder.param(name, value);
        }
        if let Some(limit) = span("timeout", config.timeout_ms)? {
            builder = builder.timeout(limit);
        }
        if let Some(bytes) = config.max_batch_bytes {
            builder = builder.max_batch_bytes(bytes);
        }
        builder = builder.vectored(config.vectored);
        if let Some(numbers) = config.retry {
            let policy = numbers.check(&durable_streams::RetryPolicy::DEFAULT);
            builder = builder.retry(policy.map_err(durable_streams::Failure::from)?);
        }
        let fallback = config.sse_fallback.check().map_err(durable_streams::Failure::from)?;
        builder = builder.sse_fallback(fallback);
        let state =
            ReadState { offset: start.to_query_value().to_owned(), cursor: config.cursor, ..ReadState::default() };
        Ok(Self {
            inner: Arc::new(Inner {
                slot: Mutex::new(Slot::Idle(Box::new(builder.reader()?))),
                home: Arc::default(),
                state: StateMutex::new(Seen { state, answer: None, sse_given_up: None }),
                cancel: CancelHandle::new(),
                reads_ahead: config.read_ahead.unwrap_or(true),
                url: stream.url().to_owned(),
                made_in: runtime::generation(),
            }),
        })
    }

    /// The next batch, possibly without data; `None` when the read is over: up to date
    /// without live, or at the end of a closed stream.
    /// Errors: whatever stopped the read; the offset stays, and the next pull asks again.
    /// `CANCELLED` when [`Reader::close`] comes meanwhile, `ALREADY_CLOSED` after it.
    pub async fn next(&self) -> Result<Option<Batch>, ErrorInfo> {
        Ok(self.carry().await?.and_then(Carried::arrived))
    }

    /// [`Reader::next`] for a host that may turn away from a pull that is done already.
    pub async fn carry(&self) -> Result<Option<Carried>, ErrorInfo> {
        let inner = &*self.inner;
        inner.check_open()?;
        let outcome = cancellable(&inner.cancel, inner.carry()).await;
        if inner.cancel.is_cancelled() {
            inner.let_go();
        }
        outcome
    }

    /// Waits for the first answer and no longer: the stream exists, and [`Reader::headers`]
    /// and [`Reader::content_type`] tell of it. Its data is left for [`Reader::next`].
    /// Errors: those of [`Reader::next`]; the next call asks again.
    pub async fn opened(&self) -> Result<(), ErrorInfo> {
        let inner = &*self.inner;
        inner.check_open()?;
        let outcome = cancellable(&inner.cancel, inner.open()).await;
        if inner.cancel.is_cancelled() {
            inner.let_go();
        }
        outcome
    }

    /// Where the read stands, as of the last batch handed out.
    pub fn state(&self) -> ReadState {
        self.inner.state.lock().state.clone()
    }

    /// Status of the latest answer.
    pub fn status(&self) -> Option<u16> {
        self.inner.state.lock().answer.as_ref().map(|answer| answer.status.as_u16())
    }

    /// Headers of the answer the last batch came in.
    pub fn headers(&self) -> Vec<(String, String)> {
        let answer = self.inner.state.lock().answer.clone();
        answer.map_or_else(Vec::new, |answer| header_pairs(&answer.headers))
    }

    /// The stream's content type as the last answer says.
    pub fn content_type(&self) -> Option<String> {
        let answer = self.inner.state.lock().answer.clone()?;
        answer.headers.get(http::header::CONTENT_TYPE)?.to_str().ok().map(str::to_owned)
    }

    /// Why the read went from server-sent events to long-poll, if it had by the last batch; for
    /// the log.
    pub fn sse_given_up(&self) -> Option<&'static str> {
        self.inner.state.lock().sse_given_up
    }

    /// The stream's URL.
    pub fn url(&self) -> &str {
        &self.inner.url
    }

    /// Ends the read and aborts its connection, from any thread. A pull under way ends with
    /// `CANCELLED`. Repeating does nothing.
    pub fn close(&self) {
        self.inner.cancel.cancel();
        if !self.inner.let_go()
            && let Ok(handle) = runtime::handle()
        {
            // A pull holds it. One that is polled again lets go itself; one that is being
            // dropped does not, and neither tells which it is.
            let inner = Arc::clone(&self.inner);
            handle.spawn(async move { inner.slot.lock().await.empty() });
        }
    }

    /// Whether the read was closed by the caller.
    pub fn is_closed(&self) -> bool {
        self.inner.cancel.is_cancelled()
    }
}

impl Inner {
    fn check_open(&self) -> Result<(), ErrorInfo> {
        runtime::check(self.made_in, "reader")?;
        if self.cancel.is_cancelled() {
            return Err(ErrorInfo::new(durable_streams::ErrorCode::AlreadyClosed, "the reader is closed"));
        }
        Ok(())
    }

    async fn open(&self) -> Result<(), ErrorInfo> {
        let mut slot = self.slot.lock().await;
        // Elsewhere a batch has been pulled already, or nothing ever will.
        let Slot::Idle(reader) = &mut *slot else { return Ok(()) };
        let opened = reader.opened().await;
        self.state.lock().answer = reader.answer().cloned();
        Ok(opened?)
    }

    async fn carry(&self) -> Result<Option<Carried>, ErrorInfo> {
        let mut home = Arc::clone(&self.home).lock_owned().await;
        let batch = match home.take() {
            Some(batch) => Some(batch),
            None => self.pull().await?,
        };
        Ok(batch.map(|batch| Carried { batch: Some(batch), home }))
    }

    async fn pull(&self) -> Result<Option<Batch>, ErrorInfo> {
        let mut slot = self.slot.lock().await;
        let (reader, batch) = match &mut *slot {
            Slot::Idle(reader) => {
                // In place: the reader keeps its position when this future is dropped.
                let batch = reader.next_batch().await.map_err(ErrorInfo::from);
                let Slot::Idle(reader) = std::mem::replace(&mut *slot, Slot::Gone) else { return Ok(None) };
                (reader, batch)
            }
            Slot::Ahead(pulled, _) => match pulled.await {
                Ok(pulled) => pulled,
                Err(_) => {
                    *slot = Slot::Gone;
                    return Err(ErrorInfo::cancelled());
                }
            },
            Slot::Gone => return Ok(None),
        };
        self.note(&reader, &batch);
        let goes_on = matches!(&batch, Ok(Some(batch)) if !batch.up_to_date && !batch.stream_closed);
        *slot = if self.reads_ahead && goes_on { ahead(reader) } else { Slot::Idle(reader) };
        batch
    }

    fn note(&self, reader: &CoreReader, batch: &Result<Option<Batch>, ErrorInfo>) {
        let mut seen = self.state.lock();
        seen.answer = reader.answer().cloned();
        seen.sse_given_up = reader.sse_given_up();
        if let Ok(Some(batch)) = batch {
            seen.state = ReadState {
                offset: batch.next_offset.to_query_value().to_owned(),
                cursor: batch.cursor.clone(),
                up_to_date: batch.up_to_date,
                stream_closed: seen.state.stream_closed || batch.stream_closed,
                status: batch.status,
            };
        }
    }

    /// Drops the core's reader, unless a pull holds it.
    fn let_go(&self) -> bool {
        let slot = self.slot.try_lock();
        slot.map(|mut slot| slot.empty()).is_ok()
    }
}

impl Slot {
    /// Drops the core's reader.
    fn empty(&mut self) {
        runtime::within(|| match std::mem::replace(self, Self::Gone) {
            Self::Ahead(_, task) => task.abort(),
            Self::Idle(reader) => drop(reader),
            Self::Gone => {}
        });
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        // In the child of a fork there is nothing to abort.
        if self.made_in == runtime::generation() {
            self.slot.get_mut().empty();
        }
    }
}

/// Fetches the next batch while the caller works on the last one. At most one.
fn ahead(mut reader: Box<CoreReader>) -> Slot {
    let Ok(handle) = runtime::handle() else { return Slot::Idle(reader) };
    let (tell, told) = oneshot::channel();
    let task = handle.spawn(async move {
        let batch = reader.next_batch().await.map_err(ErrorInfo::from);
        // Whoever waited is gone: so is the reader.
        drop(tell.send((reader, batch)));
    });
    Slot::Ahead(told, task)
}
