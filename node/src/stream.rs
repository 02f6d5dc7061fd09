//! The handle of a stream: its settings, and the operations that are one request each.

use std::sync::Arc;

use bytes::Bytes;
use durable_streams::protocol::retry::RetryNumbers;
use durable_streams_bindings::{
    ErrorInfo,
    client::{ClientConfig, Dynamic},
    message::Message,
    stream::{AppendConfig, Appended, Batching, Closed, CreateConfig, Created, Head, Stream, Told},
};
use napi::{Env, bindgen_prelude::Unknown};
use napi_derive::napi;

use crate::{
    cancel::Cancel,
    dynamic::JsValues,
    error::{number, thrown},
    js_loop::{Link, Loop},
    transport::{JsFetch, pieces},
};

/// Settings of a handle.
#[napi(object, object_to_js = false)]
#[derive(Debug)]
pub struct StreamSettings {
    /// The stream's URL.
    pub url: String,
    /// Its content type, if the caller states one.
    pub content_type: Option<String>,
    /// Static headers of every request.
    pub headers: Vec<(String, String)>,
    /// Static query parameters of every request.
    pub params: Vec<(String, String)>,
    /// Number of the handle's functions for headers and parameters.
    pub values_source: Option<u32>,
    /// Number of the handle's own `fetch`.
    pub fetch_source: Option<u32>,
    /// How requests are repeated.
    pub retry: RetrySettings,
    /// Whether concurrent appends share requests.
    pub batching: bool,
    /// Limit of one exchange. Units: ms.
    pub timeout_ms: Option<f64>,
    /// Limit of making a connection. Units: ms.
    pub connect_timeout_ms: Option<f64>,
    /// Limit of an unanswered long-poll. Units: ms.
    pub long_poll_timeout_ms: Option<f64>,
    /// Limit of the silence of an SSE answer. Units: ms.
    pub sse_idle_timeout_ms: Option<f64>,
}

/// How requests are repeated; absent numbers keep the defaults of the operation.
#[napi(object, object_to_js = false)]
#[derive(Debug, Clone, Copy)]
pub struct RetrySettings {
    /// Retries after the first attempt.
    pub max_retries: Option<f64>,
    /// Upper bound of the first delay. Units: ms.
    pub initial_delay_ms: Option<f64>,
    /// Upper bound of every delay. Units: ms.
    pub max_delay_ms: Option<f64>,
    /// Growth of the upper bound.
    pub multiplier: Option<f64>,
}

impl From<RetrySettings> for RetryNumbers {
    fn from(settings: RetrySettings) -> Self {
        let RetrySettings { max_retries, initial_delay_ms, max_delay_ms, multiplier } = settings;
        Self { max_retries, initial_delay_ms, max_delay_ms, multiplier }
    }
}

/// Settings of a stream to create.
#[napi(object, object_to_js = false)]
#[derive(Debug)]
pub struct CreateSettings {
    /// Content type.
    pub content_type: Option<String>,
    /// Sliding time to live. Units: seconds.
    pub ttl_seconds: Option<f64>,
    /// Fixed deadline, RFC 3339.
    pub expires_at: Option<String>,
    /// Creates the stream closed.
    pub closed: bool,
    /// Source of a fork.
    pub fork_from: Option<String>,
    /// Where the fork diverges.
    pub fork_offset: Option<String>,
    /// How far into the unit at the fork offset.
    pub fork_sub_offset: Option<f64>,
    /// Headers of this request.
    pub headers: Vec<(String, String)>,
}

/// Settings of an append.
#[napi(object, object_to_js = false)]
#[derive(Debug)]
pub struct AppendSettings {
    /// Whether the data is a structured value as JSON text.
    pub is_value: bool,
    /// Writer coordination token.
    pub seq: Option<String>,
    /// Only if the stream still has this entity tag.
    pub if_match: Option<String>,
    /// Content type, instead of the handle's.
    pub content_type: Option<String>,
    /// Producer id, counted by the caller.
    pub producer_id: Option<String>,
    /// Producer epoch.
    pub producer_epoch: Option<f64>,
    /// Producer sequence number.
    pub producer_seq: Option<f64>,
    /// Headers of this request.
    pub headers: Vec<(String, String)>,
}

/// Settings of a close.
#[napi(object, object_to_js = false)]
#[derive(Debug)]
pub struct CloseSettings {
    /// Whether the last message is a structured value as JSON text.
    pub is_value: bool,
    /// Content type, instead of the handle's.
    pub content_type: Option<String>,
    /// Headers of this request.
    pub headers: Vec<(String, String)>,
}

/// What the server said to an operation; fields an operation does not know are absent.
#[napi(object, object_from_js = false)]
#[derive(Debug, Default)]
pub struct StreamAnswer {
    /// HTTP status.
    pub status: u32,
    /// Headers of the answer.
    pub headers: Vec<(String, String)>,
    /// How many times the request was sent.
    pub attempts: u32,
    /// The tail; of a close the final offset.
    pub offset: Option<String>,
    /// Whether the stream is closed.
    pub stream_closed: Option<bool>,
    /// Content type as stored.
    pub content_type: Option<String>,
    /// Whether a create made the stream.
    pub is_new: Option<bool>,
    /// Whether the server had accepted a producer's append before.
    pub duplicate: Option<bool>,
    /// Epoch in force, for a producer's append.
    pub producer_epoch: Option<f64>,
    /// Highest accepted sequence number, for a producer's append.
    pub producer_seq: Option<f64>,
    /// Entity tag.
    pub etag: Option<String>,
    /// How caches may keep it.
    pub cache_control: Option<String>,
    /// Sliding time to live. Units: seconds.
    pub ttl_seconds: Option<f64>,
    /// Fixed deadline, RFC 3339.
    pub expires_at: Option<String>,
}

/// A handle to one stream.
#[napi]
#[derive(Debug)]
pub struct NativeStream {
    pub(crate) link: Arc<Link>,
    pub(crate) inner: Stream,
    /// Whether concurrent appends share requests.
    shares: bool,
}

#[napi]
impl Loop {
    /// A handle, without any I/O.
    #[napi]
    pub fn stream(&self, settings: StreamSettings) -> napi::Result<NativeStream> {
        let batching = if settings.batching { Batching::Ordered } else { Batching::Off };
        let config = ClientConfig {
            headers: settings.headers,
            params: settings.params,
            timeout_ms: settings.timeout_ms,
            connect_timeout_ms: settings.connect_timeout_ms,
            long_poll_timeout_ms: settings.long_poll_timeout_ms,
            sse_idle_timeout_ms: settings.sse_idle_timeout_ms,
            retry: settings.retry.into(),
            dynamic: Vec::from_iter(
                settings
                    .values_source
                    .map(|source| Arc::new(JsValues { link: Arc::clone(&self.link), source }) as Arc<dyn Dynamic>),
            ),
            transport: settings
                .fetch_source
                .map(|source| Arc::new(JsFetch { link: Arc::clone(&self.link), source }) as _),
            ..ClientConfig::default()
        };
        let inner = Stream::new(&config, &settings.url, settings.content_type.as_deref())
            .map_err(|info| thrown(&info))?
            .with_batching(batching);
        Ok(NativeStream { link: Arc::clone(&self.link), inner, shares: settings.batching })
    }
}

#[napi]
impl NativeStream {
    /// The stream's URL, without credentials.
    #[napi(getter)]
    pub fn url(&self) -> &str {
        self.inner.url()
    }

    /// The content type, if it was stated or learned.
    #[napi(getter)]
    pub fn content_type(&self) -> Option<&str> {
        self.inner.content_type()
    }

    /// Creates the stream.
    #[napi]
    pub fn create(
        &self,
        env: Env,
        settings: CreateSettings,
        body: Option<&[u8]>,
        cancel: Option<&Cancel>,
    ) -> napi::Result<Unknown<'static>> {
        let stream = self.inner.clone();
        let config = CreateConfig {
            content_type: settings.content_type,
            ttl_seconds: settings.ttl_seconds,
            expires_at: settings.expires_at,
            body: body.map(Bytes::copy_from_slice),
            closed: settings.closed,
            fork_from: settings.fork_from,
            fork_offset: settings.fork_offset,
            fork_sub_offset: settings
                .fork_sub_offset
                .map(|value| count("forkSubOffset", value))
                .transpose()
                .map_err(|info| thrown(&info))?,
            headers: settings.headers,
        };
        self.link.start(env, async move { stream.create(config).await.map(StreamAnswer::from) }, cancel)
    }

    /// Appends one message. The data leaves in the order of the calls.
    #[napi]
    pub fn append(
        &self,
        env: Env,
        data: &[u8],
        settings: AppendSettings,
        cancel: Option<&Cancel>,
    ) -> napi::Result<Unknown<'static>> {
        let data = Bytes::copy_from_slice(data);
        let message = if settings.is_value { Message::Value(data) } else { Message::Text(data) };
        let config = append_config(settings).map_err(|info| thrown(&info))?;
        let stream = self.inner.clone();
        let is_alone = config.producer.is_some() || config.if_match.is_some() || !config.headers.is_empty();
        if !self.shares || is_alone {
            let append = async move { stream.append(message, config).await.map(StreamAnswer::from) };
            return self.link.start(env, append, cancel);
        }
        let stored = stream.enqueue(message, config).map_err(|info| thrown(&info))?;
        let append =
            async move { stored.await.unwrap_or_else(|_| Err(ErrorInfo::cancelled())).map(StreamAnswer::from) };
        self.link.start(env, append, cancel)
    }

    /// Appends what JavaScript makes piece by piece under the number `source`, as one append:
    /// the request's body as it is.
    #[napi]
    pub fn append_stream(
        &self,
        env: Env,
        source: u32,
        settings: AppendSettings,
        cancel: Option<&Cancel>,
    ) -> napi::Result<Unknown<'static>> {
        let config = append_config(settings).map_err(|info| thrown(&info))?;
        let (stream, body) = (self.inner.clone(), pieces(Arc::clone(&self.link), source));
        self.link.start(env, async move { stream.append_streaming(body, config).await.map(StreamAnswer::from) }, cancel)
    }

    /// Ends the stream for everyone, with a last message if there is one.
    #[napi]
    pub fn close(
        &self,
        env: Env,
        last: Option<&[u8]>,
        settings: CloseSettings,
        cancel: Option<&Cancel>,
    ) -> napi::Result<Unknown<'static>> {
        let CloseSettings { is_value, content_type, headers } = settings;
        let last = last.map(Bytes::copy_from_slice);
        let last = last.map(|data| if is_value { Message::Value(data) } else { Message::Text(data) });
        let stream = self.inner.clone();
        let close =
            async move { stream.close_stream(last, content_type.as_deref(), &headers).await.map(StreamAnswer::from) };
        self.link.start(env, close, cancel)
    }

    /// Deletes the stream with all its data.
    #[napi]
    pub fn delete(
        &self,
        env: Env,
        headers: Vec<(String, String)>,
        cancel: Option<&Cancel>,
    ) -> napi::Result<Unknown<'static>> {
        let stream = self.inner.clone();
        self.link.start(env, async move { stream.delete(&headers).await.map(StreamAnswer::of) }, cancel)
    }

    /// Asks for the stream's metadata.
    #[napi]
    pub fn head(
        &self,
        env: Env,
        headers: Vec<(String, String)>,
        cancel: Option<&Cancel>,
    ) -> napi::Result<Unknown<'static>> {
        let stream = self.inner.clone();
        self.link.start(env, async move { stream.head(&headers).await.map(StreamAnswer::from) }, cancel)
    }
}

fn append_config(settings: AppendSettings) -> Result<AppendConfig, ErrorInfo> {
    let producer = match (settings.producer_id, settings.producer_epoch, settings.producer_seq) {
        (None, None, None) => None,
        (Some(id), epoch, seq) => Some((
            id,
            count("producerEpoch", epoch.unwrap_or(f64::NAN))?,
            count("producerSeq", seq.unwrap_or(f64::NAN))?,
        )),
        (None, ..) => return Err(ErrorInfo::invalid("producerId", "is missing beside producerEpoch and producerSeq")),
    };
    Ok(AppendConfig {
        seq: settings.seq,
        if_match: settings.if_match,
        content_type: settings.content_type,
        producer,
        headers: settings.headers,
    })
}

/// A count as JavaScript gives it.
pub(crate) fn count(argument: &str, value: f64) -> Result<u64, ErrorInfo> {
    #[expect(clippy::cast_precision_loss, reason = "2^53 - 1 is exact")]
    let most = durable_streams::protocol::MAX_SAFE_INTEGER as f64;
    if value.fract() == 0.0 && (0.0..=most).contains(&value) {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked in the line above")]
        return Ok(value as u64);
    }
    Err(ErrorInfo::invalid(argument, format!("must be a whole number from 0 to 2^53 - 1, got {value}")))
}

impl StreamAnswer {
    fn of(told: Told) -> Self {
        Self { status: told.status.into(), headers: told.headers, attempts: told.attempts, ..Self::default() }
    }
}

impl From<Created> for StreamAnswer {
    fn from(created: Created) -> Self {
        Self {
            offset: created.next_offset,
            stream_closed: Some(created.closed),
            content_type: created.content_type,
            is_new: Some(created.is_new),
            ..Self::of(created.told)
        }
    }
}

impl From<Appended> for StreamAnswer {
    fn from(appended: Appended) -> Self {
        Self {
            offset: appended.next_offset,
            stream_closed: Some(appended.closed),
            duplicate: Some(appended.duplicate),
            producer_epoch: appended.producer_epoch.map(number),
            producer_seq: appended.producer_seq.map(number),
            etag: appended.etag,
            ..Self::of(appended.told)
        }
    }
}

impl From<Closed> for StreamAnswer {
    fn from(closed: Closed) -> Self {
        Self { offset: closed.final_offset, stream_closed: Some(true), ..Self::of(closed.told) }
    }
}

impl From<Head> for StreamAnswer {
    fn from(head: Head) -> Self {
        Self {
            offset: Some(head.offset),
            stream_closed: Some(head.closed),
            content_type: head.content_type,
            etag: head.etag,
            cache_control: head.cache_control,
            ttl_seconds: head.ttl_seconds.map(number),
            expires_at: head.expires_at,
            ..Self::of(head.told)
        }
    }
}
