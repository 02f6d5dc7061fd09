//! Reading: batches with the offsets to resume from.
//!
//! [`ReadBuilder`] starts a read. [`ChunkIterator`] is what most programs use; [`Reader`]
//! below it also tells about answers without data and knows everything about failures,
//! for bindings and tools. With the feature `json`, `JsonReader` gives typed items.

use std::{
    fmt,
    future::poll_fn,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
pub use durable_streams_protocol::read::{Batch, LiveMode, SseFallback, SseFallbackNumbers};
use durable_streams_protocol::{content_type::Framing, read::ReadOptions, request::InvalidArgument};
use futures_core::Stream;

use crate::{
    Offset, RetryPolicy,
    driver::{
        exchange::Extras,
        read::{ReadDriver, Said, Shown},
        url::{Params, refuse_reserved},
    },
    error::{Failure, StreamError},
    options::UserHeaders,
    stream::DurableStream,
    transport::{BoxFuture, ReplyHead},
};

#[cfg(feature = "json")]
pub use crate::json::{JsonBatch, JsonItem, JsonReader};

/// Settings of a read.
#[derive(Debug, Clone)]
#[must_use]
pub struct ReadBuilder {
    stream: DurableStream,
    offset: Offset,
    live: LiveMode,
    cursor: Option<String>,
    if_none_match: Option<String>,
    content_type: Option<String>,
    settle_now: bool,
    prefetch: Option<bool>,
    max_batch_bytes: usize,
    vectored: bool,
    retry: Option<RetryPolicy>,
    sse_fallback: SseFallback,
    timeout: Option<Duration>,
    headers: UserHeaders,
    params: Params,
}

impl DurableStream {
    /// Starts a read. By default it begins at the start of the stream and ends when
    /// everything that exists has been read.
    /// Source: protocol.md §10 to §13.
    pub fn read(&self) -> ReadBuilder {
        ReadBuilder {
            stream: self.clone(),
            offset: Offset::Beginning,
            live: LiveMode::Off,
            cursor: None,
            if_none_match: None,
            content_type: None,
            settle_now: false,
            prefetch: None,
            max_batch_bytes: ReadOptions::MAX_BATCH_BYTES,
            vectored: false,
            retry: None,
            sse_fallback: SseFallback::DEFAULT,
            timeout: None,
            headers: UserHeaders::default(),
            params: Params::new(),
        }
    }
}

impl ReadBuilder {
    /// Where to start. Default: the beginning.
    pub fn offset(mut self, offset: impl Into<Offset>) -> Self {
        self.offset = offset.into();
        self
    }

    /// How to go on at the tail. Default: not at all.
    pub fn live_mode(mut self, live: LiveMode) -> Self {
        self.live = live;
        self
    }

    /// How to go on at the tail; the same as [`ReadBuilder::live_mode`].
    pub fn live(self, live: LiveMode) -> Self {
        self.live_mode(live)
    }

    /// Limits every wait for the server: for an answer, and for the next piece of one. A
    /// long-poll or SSE answer that takes longer is asked for again. Default: the client's.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Adds a header to every request of this read.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.add(name, value);
        self
    }

    /// Adds a query parameter to every request of this read. The protocol's own names are
    /// refused by [`ReadBuilder::build`].
    pub fn param(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.params.push((name.into(), value.into()));
        self
    }

    /// Continues with the cursor of an earlier live read.
    pub fn cursor(mut self, cursor: impl Into<String>) -> Self {
        self.cursor = Some(cursor.into());
        self
    }

    /// Names the entity tag of data the caller already holds for the start offset: if it is
    /// still current, that data is not sent again.
    pub fn if_none_match(mut self, etag: impl Into<String>) -> Self {
        self.if_none_match = Some(etag.into());
        self
    }

    /// States the stream's content type, for a live read from `now`, which does not learn it
    /// from a catch-up answer. Default: what the handle knows.
    pub fn content_type(mut self, content_type: impl Into<String>) -> Self {
        self.content_type = Some(content_type.into());
        self
    }

    /// Whether a live read from `now` first asks where that is, so that the first answer comes
    /// at once. Default: no, it waits for data with its first request.
    pub fn settle_now(mut self, settle_now: bool) -> Self {
        self.settle_now = settle_now;
        self
    }

    /// Whether a catch-up asks for the next part while the current one is coming: at most
    /// one answer ahead. Default: yes, unless the read is live.
    pub fn prefetch(mut self, prefetch: bool) -> Self {
        self.prefetch = Some(prefetch);
        self
    }

    /// Bounds one batch of a byte stream; a larger answer is handed out in pieces of about
    /// 1 MiB at most, which all but the last carry the offset before that answer.
    /// Units: bytes. Default: 16 MiB.
    pub fn max_batch_bytes(mut self, max_batch_bytes: usize) -> Self {
        self.max_batch_bytes = max_batch_bytes;
        self
    }

    /// Whether batches of byte streams come in the pieces in which they arrived, [`Batch::rest`]
    /// after [`Batch::data`]: for callers who copy them into memory of their own, and need no
    /// copy before. For [`ReadBuilder::reader`] only; a [`ChunkIterator`]'s chunks are whole.
    /// Default: no.
    pub fn vectored(mut self, vectored: bool) -> Self {
        self.vectored = vectored;
        self
    }

    /// How failed requests are repeated. Default: the client's policy.
    pub fn retry(mut self, policy: RetryPolicy) -> Self {
        self.retry = Some(policy);
        self
    }

    /// When server-sent events give way to long-poll, for networks that cut connections off.
    /// Default: after three answers in a row of less than a second without data.
    pub fn sse_fallback(mut self, fallback: SseFallback) -> Self {
        self.sse_fallback = fallback;
        self
    }

    /// Accepted and ignored: the server tells how it encodes.
    pub fn encoding(self, _encoding: impl Into<String>) -> Self {
        self
    }

    /// Checks the settings and makes the iterator; no I/O.
    /// Errors: [`StreamError::InvalidHeader`], [`StreamError::InvalidArgument`].
    pub fn build(mut self) -> Result<ChunkIterator, StreamError> {
        self.headers.checked()?;
        self.vectored = false;
        Ok(ChunkIterator { was_up_to_date: false, reader: self.reader()? })
    }

    /// Checks the settings and reads JSON messages as values of `T`; no I/O.
    /// Errors: [`StreamError::InvalidHeader`], [`StreamError::InvalidArgument`].
    #[cfg(feature = "json")]
    pub fn json<T: serde::de::DeserializeOwned>(mut self) -> Result<JsonReader<T>, StreamError> {
        // Who asks for JSON knows the content type, unless the handle knows better.
        if self.content_type.is_none() && self.stream.content_type().is_none() {
            self.content_type = Some(durable_streams_protocol::content_type::JSON.to_owned());
        }
        self.headers.checked()?;
        Ok(JsonReader::new(self.reader()?))
    }

    /// Checks the settings and makes the reader that tells everything; no I/O.
    /// Errors: `INVALID_ARGUMENT`.
    pub fn reader(self) -> Result<Reader, Failure> {
        self.stream.target()?;
        let refuse = |argument, reason: String| Failure::from(InvalidArgument::new(argument, reason));
        refuse_reserved(&self.params)?;
        if self.max_batch_bytes == 0 {
            return Err(refuse("max_batch_bytes", "must be more than 0, got 0".to_owned()));
        }
        if self.timeout.is_some_and(|timeout| timeout.is_zero()) {
            return Err(refuse("timeout", "must be more than 0".to_owned()));
        }
        if let Some(policy) = &self.retry {
            policy.validate()?;
        }
        let extras = Extras { headers: self.headers.checked()?.clone(), params: self.params, timeout: self.timeout };
        let content_type = self.content_type.as_deref().or_else(|| self.stream.content_type());
        let defaults = ReadOptions::new(self.offset, self.live);
        let options = ReadOptions {
            cursor: self.cursor,
            framing: content_type.map(Framing::of),
            etag: self.if_none_match,
            settle_now: self.settle_now,
            prefetch: self.prefetch.unwrap_or(defaults.prefetch),
            max_batch_bytes: self.max_batch_bytes,
            vectored: self.vectored,
            retry: self.retry.unwrap_or(self.stream.exchange().retry),
            sse_fallback: self.sse_fallback,
            ..defaults
        };
        let offset = options.offset.clone();
        let cursor = options.cursor.clone();
        let driver = Box::new(ReadDriver::new(self.stream, extras, options));
        let shown = Arc::clone(driver.shown());
        let (up_to_date, stream_closed) = (false, false);
        Ok(Reader {
            run: Run::Idle(driver),
            kept: None,
            shown,
            answer: None,
            offset,
            cursor,
            up_to_date,
            stream_closed,
        })
    }
}

/// A read, batch by batch, with everything the answers told. Each request goes out when the
/// batch before was taken, or one answer earlier with [`ReadBuilder::prefetch`].
///
/// Safe to drop at any point: the future of [`Reader::next_batch`] loses nothing when dropped,
/// and dropping the reader aborts its connection.
pub struct Reader {
    run: Run,
    /// A batch, or the end, that [`Reader::opened`] met.
    kept: Option<Option<Batch>>,
    shown: Arc<Shown>,
    answer: Option<Arc<ReplyHead>>,
    offset: Offset,
    cursor: Option<String>,
    up_to_date: bool,
    stream_closed: bool,
}

/// Where the work stands. It lives here and not in the callers' futures, so that a dropped
/// future takes no data with it.
enum Run {
    Idle(Box<ReadDriver>),
    Busy(BoxFuture<'static, (Option<Box<ReadDriver>>, Option<Said>)>),
    Ended,
    Closed,
}

impl Reader {
    /// The next batch, possibly without data: an answer that only told that there is none, or
    /// moved the offset. `None` means the read is over: up to date without live, or at the
    /// end of a closed stream.
    /// Errors: whatever stopped the read; the offset stays and the next call asks again.
    /// `ALREADY_CLOSED` after [`Reader::close`].
    pub async fn next_batch(&mut self) -> Result<Option<Batch>, Failure> {
        poll_fn(|context| self.poll_batch(context)).await
    }

    /// Waits for the first answer and no longer: the stream exists, and
    /// [`answer`](Reader::answer) tells of it. Its data is left for [`Reader::next_batch`].
    /// Errors: those of [`Reader::next_batch`]; the next call asks again.
    pub async fn opened(&mut self) -> Result<(), Failure> {
        poll_fn(|context| self.poll_opened(context)).await
    }

    /// Polls for the first answer; see [`Reader::opened`].
    pub fn poll_opened(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        if self.kept.is_none() && self.shown.first.get().is_none() {
            match self.poll_work(context) {
                Poll::Ready(Ok(batch)) => self.kept = Some(batch),
                Poll::Ready(Err(failure)) => return Poll::Ready(Err(failure)),
                // The work found it, and went on to wait for the data.
                Poll::Pending if self.shown.first.get().is_some() => {}
                Poll::Pending => return Poll::Pending,
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Polls for the next batch; see [`Reader::next_batch`].
    pub fn poll_batch(&mut self, context: &mut Context<'_>) -> Poll<Result<Option<Batch>, Failure>> {
        let batch = match self.kept.take() {
            Some(kept) => kept,
            None => match self.poll_work(context) {
                Poll::Ready(Ok(batch)) => batch,
                Poll::Ready(Err(failure)) => return Poll::Ready(Err(failure)),
                Poll::Pending => return Poll::Pending,
            },
        };
        if let Some(batch) = &batch {
            self.offset.clone_from(&batch.next_offset);
            self.cursor.clone_from(&batch.cursor);
            self.up_to_date = batch.up_to_date;
            self.stream_closed |= batch.stream_closed;
        }
        Poll::Ready(Ok(batch))
    }

    /// The next thing the work has to say; where the reader stands does not change.
    fn poll_work(&mut self, context: &mut Context<'_>) -> Poll<Result<Option<Batch>, Failure>> {
        let mut work = match std::mem::replace(&mut self.run, Run::Ended) {
            Run::Idle(driver) => Box::pin(driver.next()),
            Run::Busy(work) => work,
            Run::Ended => return Poll::Ready(Ok(None)),
            Run::Closed => {
                self.run = Run::Closed;
                let code = crate::ErrorCode::AlreadyClosed;
                return Poll::Ready(Err(Failure::new(code, "the reader is closed")));
            }
        };
        let Poll::Ready((driver, said)) = work.as_mut().poll(context) else {
            self.run = Run::Busy(work);
            return Poll::Pending;
        };
        let Some(said) = said else { return Poll::Ready(Ok(None)) };
        if let Some(driver) = driver {
            self.answer = driver.answer().cloned();
            self.run = Run::Idle(driver);
        }
        Poll::Ready(said.map(Some))
    }

    /// Where to resume: behind everything taken so far.
    pub const fn offset(&self) -> &Offset {
        &self.offset
    }

    /// Status and headers of the latest answer, once [`Reader::opened`] resolved or the first
    /// batch or failure was told.
    pub fn answer(&self) -> Option<&Arc<ReplyHead>> {
        self.answer.as_ref().or_else(|| self.shown.first.get())
    }

    /// Why the read went from server-sent events to long-poll, if it did; for the log.
    pub fn sse_given_up(&self) -> Option<&'static str> {
        self.shown.sse_given_up.get().copied()
    }

    /// Whether everything available had been read when the last batch was made.
    pub const fn is_up_to_date(&self) -> bool {
        self.up_to_date
    }

    /// Whether the end of a closed stream was reached.
    pub const fn is_stream_closed(&self) -> bool {
        self.stream_closed
    }

    /// The cursor for a later live read.
    pub fn cursor(&self) -> Option<&str> {
        self.cursor.as_deref()
    }

    /// Ends the read and aborts its connection. The stream stays as it is.
    pub fn close(&mut self) {
        self.run = Run::Closed;
        self.kept = None;
    }
}

impl Stream for Reader {
    type Item = Result<Batch, Failure>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if matches!(self.run, Run::Closed) {
            return Poll::Ready(None);
        }
        self.poll_batch(context).map(Result::transpose)
    }
}

impl fmt::Debug for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader")
            .field("offset", &self.offset)
            .field("cursor", &self.cursor)
            .field("up_to_date", &self.up_to_date)
            .field("stream_closed", &self.stream_closed)
            .finish_non_exhaustive()
    }
}

/// One piece of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Chunk {
    /// The bytes; on a JSON stream one JSON array. Empty (or `[]`) when the chunk only tells
    /// that the read is up to date or the stream closed.
    pub data: Bytes,
    /// Where to resume after this chunk.
    pub offset: Offset,
    /// Where to resume after this chunk; the same value.
    pub next_offset: Offset,
    /// Everything available has been read.
    pub up_to_date: bool,
    /// The stream is closed and this was its end.
    pub stream_closed: bool,
    /// Cursor for a later live read.
    pub cursor: Option<String>,
    /// HTTP status of the answer the chunk came in.
    pub status_code: Option<u16>,
}

/// A read, chunk by chunk. Also a [`Stream`] of chunks.
///
/// A chunk carries data, or the news that the read is up to date or the stream closed;
/// answers that tell nothing new only move [`ChunkIterator::offset`].
///
/// Safe to drop at any point: the future of [`ChunkIterator::next_chunk`] loses nothing when
/// dropped, and dropping the iterator aborts its connection.
#[derive(Debug)]
pub struct ChunkIterator {
    reader: Reader,
    was_up_to_date: bool,
}

impl ChunkIterator {
    /// The next chunk; `None` when the read is over: up to date without live, or at the end
    /// of a closed stream.
    /// Errors: [`StreamError::NotFound`], [`StreamError::OffsetGone`], [`StreamError::BadRequest`]
    /// for an offset the server never issued, [`StreamError::Parse`], [`StreamError::Network`],
    /// [`StreamError::IteratorClosed`] after [`ChunkIterator::close`]. After an error the
    /// next call asks again from the same offset.
    pub async fn next_chunk(&mut self) -> Result<Option<Chunk>, StreamError> {
        poll_fn(|context| self.poll_chunk(context)).await
    }

    /// Polls for the next chunk; see [`ChunkIterator::next_chunk`].
    pub fn poll_chunk(&mut self, context: &mut Context<'_>) -> Poll<Result<Option<Chunk>, StreamError>> {
        loop {
            let batch = match self.reader.poll_batch(context) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(None)) => return Poll::Ready(Ok(None)),
                Poll::Ready(Err(_)) if matches!(self.reader.run, Run::Closed) => {
                    return Poll::Ready(Err(StreamError::IteratorClosed));
                }
                Poll::Ready(Err(failure)) => return Poll::Ready(Err(failure.into())),
                Poll::Ready(Ok(Some(batch))) => batch,
            };
            let has_news = !batch.is_empty || batch.stream_closed || (batch.up_to_date && !self.was_up_to_date);
            self.was_up_to_date = batch.up_to_date;
            if has_news {
                return Poll::Ready(Ok(Some(batch.into())));
            }
        }
    }

    /// Where to resume: behind everything taken so far.
    pub const fn offset(&self) -> &Offset {
        self.reader.offset()
    }

    /// Whether everything available had been read when the last chunk was made.
    pub const fn is_up_to_date(&self) -> bool {
        self.reader.is_up_to_date()
    }

    /// Whether the end of a closed stream was reached.
    pub const fn is_stream_closed(&self) -> bool {
        self.reader.is_stream_closed()
    }

    /// The cursor for a later live read.
    pub fn cursor(&self) -> Option<&str> {
        self.reader.cursor()
    }

    /// Ends the read and aborts its connection. The stream stays as it is.
    pub fn close(&mut self) {
        self.reader.close();
    }
}

impl Stream for ChunkIterator {
    type Item = Result<Chunk, StreamError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if matches!(self.reader.run, Run::Closed) {
            return Poll::Ready(None);
        }
        self.poll_chunk(context).map(Result::transpose)
    }
}

impl From<Batch> for Chunk {
    fn from(batch: Batch) -> Self {
        Self {
            data: batch.data,
            offset: batch.next_offset.clone(),
            next_offset: batch.next_offset,
            up_to_date: batch.up_to_date,
            stream_closed: batch.stream_closed,
            cursor: batch.cursor,
            status_code: Some(batch.status),
        }
    }
}

#[cfg(test)]
mod tests;
