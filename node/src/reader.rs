//! Reads: each pull is one promise and hands over one batch.

use std::sync::Arc;

use durable_streams::reader::Batch;
use durable_streams_bindings::reader::{ReadConfig, Reader, SseFallbackNumbers, live_mode};
use napi::{Env, bindgen_prelude::Unknown};
use napi_derive::napi;

use crate::{
    cancel::Cancel,
    error::thrown,
    js_loop::Link,
    payload::Payload,
    stream::{NativeStream, RetrySettings, count},
};

/// Settings of a read.
#[napi(object, object_to_js = false)]
#[derive(Debug)]
pub struct ReadSettings {
    /// Where to start.
    pub offset: Option<String>,
    /// `off`, `auto`, `long-poll` or `sse`.
    pub live: String,
    /// Cursor of an earlier live read.
    pub cursor: Option<String>,
    /// Entity tag of data that the caller holds for the start offset.
    pub if_none_match: Option<String>,
    /// Content type, for a live read from `now`.
    pub content_type: Option<String>,
    /// Headers of every request of this read.
    pub headers: Vec<(String, String)>,
    /// Query parameters of every request of this read.
    pub params: Vec<(String, String)>,
    /// Limit of every wait for the server. Units: ms.
    pub timeout_ms: Option<f64>,
    /// How requests are repeated.
    pub retry: RetrySettings,
    /// Bound of one batch of a byte stream. Units: bytes.
    pub max_batch_bytes: Option<f64>,
    /// When server-sent events give way to long-poll.
    pub sse_fallback: SseFallbackSettings,
}

/// When server-sent events give way to long-poll; absent numbers keep the core's rule.
#[napi(object, object_to_js = false)]
#[derive(Debug, Clone, Copy)]
pub struct SseFallbackSettings {
    /// An answer that ends sooner, without progress, counts as short. Units: ms.
    pub min_connection_ms: Option<f64>,
    /// So many short ones in a row are the last.
    pub max_short_connections: Option<f64>,
    /// Where waits between short ones begin. Units: ms.
    pub base_delay_ms: Option<f64>,
    /// Upper bound of every wait. Units: ms.
    pub max_delay_ms: Option<f64>,
}

impl From<SseFallbackSettings> for SseFallbackNumbers {
    fn from(settings: SseFallbackSettings) -> Self {
        let SseFallbackSettings { min_connection_ms, max_short_connections, base_delay_ms, max_delay_ms } = settings;
        Self { min_connection_ms, max_short_connections, base_delay_ms, max_delay_ms }
    }
}

/// One batch. `data` is a string on a JSON stream, else a `Uint8Array`.
#[napi(object, object_from_js = false)]
#[derive(Debug)]
pub struct ReadBatch {
    /// The data: one JSON array as text, or bytes.
    pub data: Payload,
    /// Whether `data` is JSON.
    pub is_json: bool,
    /// Whether there is nothing to deliver.
    pub is_empty: bool,
    /// Where to resume after this batch.
    pub offset: String,
    /// Everything available has been read.
    pub up_to_date: bool,
    /// The stream is closed and this is its end.
    pub stream_closed: bool,
    /// Cursor for a later live read.
    pub cursor: Option<String>,
    /// HTTP status of the answer.
    pub status: u32,
}

/// A read.
#[napi]
#[derive(Debug)]
pub struct NativeReader {
    link: Arc<Link>,
    inner: Reader,
}

#[napi]
impl NativeStream {
    /// A read, without any I/O.
    #[napi]
    pub fn read(&self, settings: ReadSettings) -> napi::Result<NativeReader> {
        let open = || {
            let config = ReadConfig {
                offset: settings.offset,
                live: live_mode(&settings.live)?,
                cursor: settings.cursor,
                if_none_match: settings.if_none_match,
                content_type: settings.content_type,
                // `stream()` resolves with the first answer, so there must be one.
                settle_now: true,
                headers: settings.headers,
                params: settings.params,
                timeout_ms: settings.timeout_ms,
                max_batch_bytes: settings
                    .max_batch_bytes
                    .map(|bytes| count("maxBatchBytes", bytes))
                    .transpose()?
                    .map(|bytes| usize::try_from(bytes).unwrap_or(usize::MAX)),
                vectored: false,
                read_ahead: None,
                retry: Some(settings.retry.into()),
                sse_fallback: settings.sse_fallback.into(),
            };
            Reader::open(&self.inner, config)
        };
        let inner = open().map_err(|info| thrown(&info))?;
        Ok(NativeReader { link: Arc::clone(&self.link), inner })
    }
}

#[napi]
impl NativeReader {
    /// The next batch; `null` when the read is over.
    #[napi]
    pub fn next(&self, env: Env, cancel: Option<&Cancel>) -> napi::Result<Unknown<'static>> {
        let reader = self.inner.clone();
        self.link.start(env, async move { Ok(reader.next().await?.map(ReadBatch::from)) }, cancel)
    }

    /// Resolves with the first answer; its data is left for `next`.
    #[napi]
    pub fn opened(&self, env: Env, cancel: Option<&Cancel>) -> napi::Result<Unknown<'static>> {
        let reader = self.inner.clone();
        self.link.start(env, async move { reader.opened().await }, cancel)
    }

    /// Why the read went from server-sent events to long-poll, if it did.
    #[napi]
    pub fn sse_given_up(&self) -> Option<&'static str> {
        self.inner.sse_given_up()
    }

    /// Where to resume, as of the last batch.
    #[napi]
    pub fn offset(&self) -> String {
        self.inner.state().offset
    }

    /// Status of the latest answer; 0 before the first.
    #[napi]
    pub fn status(&self) -> u32 {
        self.inner.status().unwrap_or_default().into()
    }

    /// Headers of the answer the last batch came in.
    #[napi]
    pub fn headers(&self) -> Vec<(String, String)> {
        self.inner.headers()
    }

    /// The stream's content type as the last answer says.
    #[napi]
    pub fn content_type(&self) -> Option<String> {
        self.inner.content_type()
    }

    /// Ends the read and aborts its connection. A pull under way is cancelled.
    #[napi]
    pub fn close(&self) {
        self.inner.close();
    }
}

impl From<Batch> for ReadBatch {
    fn from(batch: Batch) -> Self {
        Self {
            data: if batch.is_json { Payload::text(batch.data) } else { Payload::bytes(batch.data) },
            is_json: batch.is_json,
            is_empty: batch.is_empty,
            offset: batch.next_offset.to_query_value().to_owned(),
            up_to_date: batch.up_to_date,
            stream_closed: batch.stream_closed,
            cursor: batch.cursor,
            status: batch.status.into(),
        }
    }
}
