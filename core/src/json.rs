//! Typed reading of JSON streams: one value of `T` per message.

use std::{
    collections::VecDeque,
    fmt,
    future::poll_fn,
    marker::PhantomData,
    ops::Range,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use durable_streams_protocol::{json_mode, read::Batch};
use futures_core::Stream;
use serde::de::{DeserializeOwned, IgnoredAny};

use crate::{Offset, error::StreamError, reader::Reader};

/// One message.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct JsonItem<T> {
    /// The message.
    pub value: T,
    /// Where to resume so that no message is skipped. Messages of one batch share the offset
    /// before the batch, and only its last one carries the offset after it: servers number
    /// append units, not messages. Resuming from inside a batch repeats its beginning.
    pub offset: Offset,
}

/// The messages of one batch.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct JsonBatch<T> {
    /// The messages, in order.
    pub items: Vec<T>,
    /// Where to resume after them.
    pub offset: Offset,
    /// Everything available has been read.
    pub up_to_date: bool,
    /// The stream is closed and this was its end.
    pub stream_closed: bool,
    /// Cursor for a later live read.
    pub cursor: Option<String>,
}

/// A read of JSON messages as values of `T`, one by one or batch by batch. Also a [`Stream`]
/// of items. Safe to drop at any point, as [`ChunkIterator`](crate::reader::ChunkIterator) is.
pub struct JsonReader<T> {
    reader: Reader,
    /// The batch in hand.
    text: Bytes,
    /// Where in `text` the messages stand that were not taken yet.
    rest: VecDeque<Range<usize>>,
    /// Offset after the batch in hand.
    batch_offset: Offset,
    /// Offset behind everything taken.
    offset: Offset,
    value: PhantomData<fn() -> T>,
}

impl<T: DeserializeOwned> JsonReader<T> {
    pub(crate) fn new(reader: Reader) -> Self {
        let offset = reader.offset().clone();
        Self {
            text: Bytes::new(),
            rest: VecDeque::new(),
            batch_offset: offset.clone(),
            offset,
            reader,
            value: PhantomData,
        }
    }

    /// The next message; `None` when the read is over: up to date without live, or at the
    /// end of a closed stream.
    /// Errors: [`StreamError::Json`] for a message that is no `T`; the next call goes on
    /// behind it. Otherwise those of [`ChunkIterator::next_chunk`](crate::reader::ChunkIterator::next_chunk).
    pub async fn next_item(&mut self) -> Result<Option<JsonItem<T>>, StreamError> {
        poll_fn(|context| self.poll_item(context)).await
    }

    /// Polls for the next message; see [`JsonReader::next_item`].
    pub fn poll_item(&mut self, context: &mut Context<'_>) -> Poll<Result<Option<JsonItem<T>>, StreamError>> {
        while self.rest.is_empty() {
            match self.reader.poll_batch(context) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Err(failure)) => return Poll::Ready(Err(closed_or(failure))),
                Poll::Ready(Ok(None)) => return Poll::Ready(Ok(None)),
                Poll::Ready(Ok(Some(batch))) => self.take(&batch)?,
            }
        }
        let place = self.rest.pop_front().unwrap_or_default();
        if self.rest.is_empty() {
            self.offset.clone_from(&self.batch_offset);
        }
        let value = self.parse(place)?;
        Poll::Ready(Ok(Some(JsonItem { value, offset: self.offset.clone() })))
    }

    /// The rest of the batch in hand, or the next batch that has messages or tells that the
    /// read is up to date or the stream closed.
    /// Errors: [`StreamError::Json`] if a message is no `T`; none of the batch is given then,
    /// and the next call goes on behind it.
    pub async fn next_batch(&mut self) -> Result<Option<JsonBatch<T>>, StreamError> {
        let was_up_to_date = self.reader.is_up_to_date();
        while self.rest.is_empty() {
            let Some(batch) = poll_fn(|context| self.reader.poll_batch(context)).await.map_err(closed_or)? else {
                return Ok(None);
            };
            self.take(&batch)?;
            if batch.stream_closed || (batch.up_to_date && !was_up_to_date) {
                break;
            }
        }
        self.offset.clone_from(&self.batch_offset);
        let places = std::mem::take(&mut self.rest);
        Ok(Some(JsonBatch {
            items: places.into_iter().map(|place| self.parse(place)).collect::<Result<_, _>>()?,
            offset: self.offset.clone(),
            up_to_date: self.reader.is_up_to_date(),
            stream_closed: self.reader.is_stream_closed(),
            cursor: self.reader.cursor().map(str::to_owned),
        }))
    }

    /// Where to resume so that no message is skipped.
    pub const fn offset(&self) -> &Offset {
        &self.offset
    }

    /// Whether everything available had been read when the batch in hand was made.
    pub const fn is_up_to_date(&self) -> bool {
        self.reader.is_up_to_date()
    }

    /// Whether the batch in hand is the last of a closed stream.
    pub const fn is_stream_closed(&self) -> bool {
        self.reader.is_stream_closed()
    }

    /// The cursor for a later live read.
    pub fn cursor(&self) -> Option<&str> {
        self.reader.cursor()
    }

    /// Ends the read and aborts its connection. The stream stays as it is.
    pub fn close(&mut self) {
        self.rest.clear();
        self.reader.close();
    }

    fn take(&mut self, batch: &Batch) -> Result<(), StreamError> {
        self.batch_offset.clone_from(&batch.next_offset);
        if batch.is_empty {
            self.offset.clone_from(&batch.next_offset);
            return Ok(());
        }
        let places = if batch.is_json { messages(&batch.data) } else { values(&batch.data) };
        match places {
            Ok(places) => {
                self.rest = places;
                self.text = batch.data.clone();
                Ok(())
            }
            Err(reason) => {
                self.offset.clone_from(&batch.next_offset);
                Err(StreamError::Json(format!("the data before offset {} is not JSON: {reason}", batch.next_offset)))
            }
        }
    }

    fn parse(&self, place: Range<usize>) -> Result<T, StreamError> {
        serde_json::from_slice(&self.text[place]).map_err(|error| {
            let (offset, type_name) = (&self.batch_offset, std::any::type_name::<T>());
            StreamError::Json(format!("a message before offset {offset} is no {type_name}: {error}"))
        })
    }
}

/// Where the messages of a JSON array stand in its text.
fn messages(array: &[u8]) -> Result<VecDeque<Range<usize>>, String> {
    let start_of = |element: &[u8]| element.as_ptr().addr() - array.as_ptr().addr();
    json_mode::elements(array)
        .map(|element| element.map(|text| start_of(text)..start_of(text) + text.len()))
        .collect::<Result<_, _>>()
        .map_err(|error| error.to_string())
}

/// Where values stand in data that the server does not treat as JSON: those of one array,
/// or values one after the other, as lines or not.
fn values(data: &[u8]) -> Result<VecDeque<Range<usize>>, String> {
    if let Ok(places) = messages(data) {
        return Ok(places);
    }
    let mut places = VecDeque::new();
    let mut stream = serde_json::Deserializer::from_slice(data).into_iter::<IgnoredAny>();
    let mut start = 0;
    while let Some(value) = stream.next() {
        value.map_err(|error| error.to_string())?;
        places.push_back(start..stream.byte_offset());
        start = stream.byte_offset();
    }
    Ok(places)
}

fn closed_or(failure: crate::error::Failure) -> StreamError {
    if failure.code() == crate::ErrorCode::AlreadyClosed { StreamError::IteratorClosed } else { failure.into() }
}

impl<T: DeserializeOwned> Stream for JsonReader<T> {
    type Item = Result<JsonItem<T>, StreamError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        match self.poll_item(context) {
            Poll::Ready(Err(StreamError::IteratorClosed)) => Poll::Ready(None),
            told @ (Poll::Ready(_) | Poll::Pending) => told.map(Result::transpose),
        }
    }
}

impl<T> fmt::Debug for JsonReader<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JsonReader").field("offset", &self.offset).field("reader", &self.reader).finish_non_exhaustive()
    }
}
