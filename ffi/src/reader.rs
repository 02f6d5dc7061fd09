//! Reading, pulled batch by batch.

use std::sync::Arc;

use durable_streams_bindings::reader;

use crate::{
    error::CoreError,
    settings::{NameValue, RetrySettings, pairs, tuples},
    stream::FfiStream,
};

/// How a read goes on at the tail.
#[derive(Debug, Clone, Copy, uniffi::Enum)]
pub enum LiveMode {
    /// It ends.
    Off,
    /// It repeats requests that wait for data.
    LongPoll,
    /// It holds one answer open that data is sent into.
    Sse,
    /// Server-sent events where the content type allows them, else long-poll.
    Auto,
}

/// Settings of a read; absent ones keep the core's defaults.
#[derive(Debug, Clone, uniffi::Record)]
pub struct ReadSettings {
    /// Where to start; absent = the beginning.
    #[uniffi(default = None)]
    pub offset: Option<String>,
    /// How to go on at the tail.
    pub live: LiveMode,
    /// Cursor of an earlier live read.
    #[uniffi(default = None)]
    pub cursor: Option<String>,
    /// Entity tag of data that the caller holds for the start offset.
    #[uniffi(default = None)]
    pub if_none_match: Option<String>,
    /// Content type, for a live read from `now`.
    #[uniffi(default = None)]
    pub content_type: Option<String>,
    /// Headers of every request of this read.
    #[uniffi(default = [])]
    pub headers: Vec<NameValue>,
    /// Query parameters of every request of this read.
    #[uniffi(default = [])]
    pub params: Vec<NameValue>,
    /// Limit of every wait for the server. Units: ms.
    #[uniffi(default = None)]
    pub timeout_ms: Option<f64>,
    /// Bound of one batch of a byte stream. Units: bytes.
    #[uniffi(default = None)]
    pub max_batch_bytes: Option<u32>,
    /// How requests are repeated.
    #[uniffi(default = None)]
    pub retry: Option<RetrySettings>,
}

/// Where a read stands, as of the last batch handed out.
#[derive(Debug, Clone, uniffi::Record)]
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
    /// Headers of the latest answer.
    pub headers: Vec<NameValue>,
    /// The stream's content type as the latest answer says.
    pub content_type: Option<String>,
}

/// A read.
#[derive(Debug, uniffi::Object)]
pub struct FfiReader {
    pub(crate) inner: reader::Reader,
}

#[uniffi::export]
impl FfiReader {
    /// Checks the settings; no I/O.
    /// Errors: `INVALID_ARGUMENT` naming the setting.
    #[uniffi::constructor]
    pub fn new(stream: Arc<FfiStream>, settings: ReadSettings) -> Result<Arc<Self>, CoreError> {
        Ok(Arc::new(Self { inner: reader::Reader::open(&stream.inner, settings.into())? }))
    }

    /// Where the read stands.
    pub fn state(&self) -> ReadState {
        let state = self.inner.state();
        ReadState {
            offset: state.offset,
            cursor: state.cursor,
            up_to_date: state.up_to_date,
            stream_closed: state.stream_closed,
            status: state.status,
            headers: pairs(self.inner.headers()),
            content_type: self.inner.content_type(),
        }
    }

    /// Ends the read and aborts its connection; a pull under way ends with `CANCELLED`.
    /// Repeating does nothing.
    pub fn cancel(&self) {
        self.inner.close();
    }
}

impl From<ReadSettings> for reader::ReadConfig {
    fn from(settings: ReadSettings) -> Self {
        Self {
            offset: settings.offset,
            live: match settings.live {
                LiveMode::Off => durable_streams_bindings::LiveMode::Off,
                LiveMode::LongPoll => durable_streams_bindings::LiveMode::LongPoll,
                LiveMode::Sse => durable_streams_bindings::LiveMode::Sse,
                LiveMode::Auto => durable_streams_bindings::LiveMode::Auto,
            },
            cursor: settings.cursor,
            if_none_match: settings.if_none_match,
            content_type: settings.content_type,
            headers: tuples(settings.headers),
            params: tuples(settings.params),
            timeout_ms: settings.timeout_ms,
            max_batch_bytes: settings.max_batch_bytes.map(|bytes| bytes as usize),
            retry: settings.retry.map(Into::into),
            ..Self::default()
        }
    }
}
