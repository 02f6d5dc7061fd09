//! One stream: create, append, close, delete, head.

use std::sync::Arc;

use durable_streams_bindings::{BoxError, Bytes, message::Message, stream};
use futures_util::stream as futures;

use crate::{
    blob::Blob,
    call::{FfiCancel, run},
    error::CoreError,
    provider::ProviderError,
    settings::{ClientSettings, NameValue, pairs, tuples},
};

/// How concurrent appends of one handle travel.
#[derive(Debug, Clone, Copy, uniffi::Enum)]
pub enum Batching {
    /// Each append is a request of its own.
    Off,
    /// Appends that come while one is under way share the next request.
    Shared,
    /// The same, and a failed request fails those that waited behind it.
    Ordered,
}

/// What is appended.
#[derive(Debug, Clone, Copy, uniffi::Enum)]
pub enum MessageKind {
    /// One message: bytes, or on a JSON stream the text of one JSON value.
    Text,
    /// One message: JSON text of a structured value. On a stream of unknown type it says: JSON.
    Value,
    /// The request's body as it is; on a JSON stream a top-level array becomes several
    /// messages.
    Body,
}

/// Settings of a stream to create; absent ones are not sent.
#[derive(Debug, Clone, Default, uniffi::Record)]
pub struct CreateSettings {
    /// Content type; a fork inherits its source's.
    #[uniffi(default = None)]
    pub content_type: Option<String>,
    /// Sliding time to live. Units: seconds.
    #[uniffi(default = None)]
    pub ttl_seconds: Option<f64>,
    /// Fixed deadline, RFC 3339.
    #[uniffi(default = None)]
    pub expires_at: Option<String>,
    /// First data.
    #[uniffi(default = None)]
    pub body: Option<Blob>,
    /// Creates the stream closed.
    #[uniffi(default = false)]
    pub closed: bool,
    /// Source of a fork: its URL on the same server, its path there, or what `FfiStream::new`
    /// takes with a base URL.
    #[uniffi(default = None)]
    pub fork_from: Option<String>,
    /// Where the fork diverges.
    #[uniffi(default = None)]
    pub fork_offset: Option<String>,
    /// How far into the unit at the fork offset. Units: bytes or messages.
    #[uniffi(default = None)]
    pub fork_sub_offset: Option<u64>,
    /// Headers of this request.
    #[uniffi(default = [])]
    pub headers: Vec<NameValue>,
}

/// Settings of an append.
#[derive(Debug, Clone, Default, uniffi::Record)]
pub struct AppendSettings {
    /// Writer coordination token.
    #[uniffi(default = None)]
    pub seq: Option<String>,
    /// Only if the stream still has this entity tag.
    #[uniffi(default = None)]
    pub if_match: Option<String>,
    /// Content type of the data, instead of the handle's.
    #[uniffi(default = None)]
    pub content_type: Option<String>,
    /// With `producer_epoch` and `producer_seq`: a producer's request, counted by the caller.
    #[uniffi(default = None)]
    pub producer_id: Option<String>,
    /// See `producer_id`.
    #[uniffi(default = 0)]
    pub producer_epoch: u64,
    /// See `producer_id`.
    #[uniffi(default = 0)]
    pub producer_seq: u64,
    /// Headers of this request.
    #[uniffi(default = [])]
    pub headers: Vec<NameValue>,
}

/// What the server said to an operation.
#[derive(Debug, Clone, uniffi::Record)]
pub struct Told {
    /// HTTP status.
    pub status: u16,
    /// Headers of the answer.
    pub headers: Vec<NameValue>,
    /// How many times the request was sent.
    pub attempts: u32,
}

/// A created stream.
#[derive(Debug, Clone, uniffi::Record)]
pub struct Created {
    /// Whether this call created it.
    pub is_new: bool,
    /// Content type as stored.
    pub content_type: Option<String>,
    /// The tail.
    pub next_offset: Option<String>,
    /// Whether the stream is closed.
    pub closed: bool,
    /// The answer.
    pub told: Told,
}

/// A stored append.
#[derive(Debug, Clone, uniffi::Record)]
pub struct Appended {
    /// The new tail; a server may leave it out for duplicates.
    pub next_offset: Option<String>,
    /// Whether the server had accepted this producer request before.
    pub duplicate: bool,
    /// Whether the stream is closed now.
    pub closed: bool,
    /// Entity tag, if the server sends one.
    pub etag: Option<String>,
    /// Epoch in force, for a producer's request.
    pub producer_epoch: Option<u64>,
    /// Highest accepted sequence number, for a producer's request.
    pub producer_seq: Option<u64>,
    /// The answer.
    pub told: Told,
}

/// A closed stream.
#[derive(Debug, Clone, uniffi::Record)]
pub struct Closed {
    /// The tail, which no longer moves.
    pub final_offset: Option<String>,
    /// The answer.
    pub told: Told,
}

/// What a server tells about a stream.
#[derive(Debug, Clone, uniffi::Record)]
pub struct Head {
    /// Content type as stored.
    pub content_type: Option<String>,
    /// The tail.
    pub offset: String,
    /// Whether the stream is closed.
    pub closed: bool,
    /// Sliding time to live as configured. Units: seconds.
    pub ttl_seconds: Option<u64>,
    /// Fixed deadline, RFC 3339.
    pub expires_at: Option<String>,
    /// Entity tag, if the server sends one.
    pub etag: Option<String>,
    /// How caches may keep it.
    pub cache_control: Option<String>,
    /// The answer.
    pub told: Told,
}

/// The data of an append that is still being made, pulled piece by piece.
#[uniffi::export(foreign)]
#[async_trait::async_trait]
pub trait BodySource: Send + Sync {
    /// The next piece; `None` at the end. An error gives the append up, and nothing is stored.
    async fn piece(&self) -> Result<Option<Blob>, ProviderError>;
}

/// A handle to one stream.
#[derive(Debug, uniffi::Object)]
pub struct FfiStream {
    pub(crate) inner: stream::Stream,
}

#[uniffi::export]
impl FfiStream {
    /// A handle, without any I/O. A URL that cannot be used fails the first operation.
    /// Errors: `INVALID_ARGUMENT` naming the setting.
    #[uniffi::constructor]
    pub fn new(
        settings: ClientSettings,
        url: String,
        content_type: Option<String>,
        batching: Batching,
    ) -> Result<Arc<Self>, CoreError> {
        let inner = stream::Stream::new(&settings.into(), &url, content_type.as_deref())?;
        Ok(Arc::new(Self { inner: inner.with_batching(batching.into()) }))
    }

    /// The stream's URL, without credentials.
    pub fn url(&self) -> String {
        self.inner.url().to_owned()
    }

    /// The content type, if it was stated or learned.
    pub fn content_type(&self) -> Option<String> {
        self.inner.content_type().map(str::to_owned)
    }

    /// Creates the stream; the same settings on a stream that exists are success.
    pub async fn create(&self, settings: CreateSettings, cancel: Option<Arc<FfiCancel>>) -> Result<Created, CoreError> {
        let inner = self.inner.clone();
        let created = run(cancel, async move { inner.create(settings.into()).await }).await?;
        Ok(Created {
            is_new: created.is_new,
            content_type: created.content_type,
            next_offset: created.next_offset,
            closed: created.closed,
            told: created.told.into(),
        })
    }

    /// Appends and resolves once the server has stored it.
    pub async fn append(
        &self,
        data: Blob,
        kind: MessageKind,
        settings: AppendSettings,
        cancel: Option<Arc<FfiCancel>>,
    ) -> Result<Appended, CoreError> {
        let inner = self.inner.clone();
        let message = message(data, kind);
        Ok(run(cancel, async move { inner.append(message, settings.into()).await }).await?.into())
    }

    /// Appends data that is still being made: stored whole or not at all. Sent once, never
    /// repeated; the producer of `settings` is not used.
    /// Shape: the request's body as it is. Errors: as `append`; what `source` raised.
    pub async fn append_streaming(
        &self,
        source: Arc<dyn BodySource>,
        settings: AppendSettings,
        cancel: Option<Arc<FfiCancel>>,
    ) -> Result<Appended, CoreError> {
        let inner = self.inner.clone();
        let pieces = futures::try_unfold(source, |source| async move {
            let piece = source.piece().await.map_err(ProviderError::boxed)?;
            Ok::<_, BoxError>(piece.map(|piece| (piece.into(), source)))
        });
        Ok(run(cancel, async move { inner.append_streaming(Box::pin(pieces), settings.into()).await }).await?.into())
    }

    /// Ends the stream for everyone, with a last message if there is one.
    pub async fn close_stream(
        &self,
        last: Option<Blob>,
        kind: MessageKind,
        content_type: Option<String>,
        cancel: Option<Arc<FfiCancel>>,
    ) -> Result<Closed, CoreError> {
        let inner = self.inner.clone();
        let last = last.map(|last| message(last, kind));
        let close = async move { inner.close_stream(last, content_type.as_deref(), &[]).await };
        let closed = run(cancel, close).await?;
        Ok(Closed { final_offset: closed.final_offset, told: closed.told.into() })
    }

    /// Deletes the stream with all its data.
    pub async fn delete_stream(&self, cancel: Option<Arc<FfiCancel>>) -> Result<Told, CoreError> {
        let inner = self.inner.clone();
        Ok(run(cancel, async move { inner.delete(&[]).await }).await?.into())
    }

    /// Asks for the stream's metadata.
    pub async fn head(&self, cancel: Option<Arc<FfiCancel>>) -> Result<Head, CoreError> {
        let inner = self.inner.clone();
        let head = run(cancel, async move { inner.head(&[]).await }).await?;
        Ok(Head {
            content_type: head.content_type,
            offset: head.offset,
            closed: head.closed,
            ttl_seconds: head.ttl_seconds,
            expires_at: head.expires_at,
            etag: head.etag,
            cache_control: head.cache_control,
            told: head.told.into(),
        })
    }
}

fn message(data: Blob, kind: MessageKind) -> Message {
    let data = Bytes::from(data);
    match kind {
        MessageKind::Text => Message::Text(data),
        MessageKind::Value => Message::Value(data),
        MessageKind::Body => Message::Body(data),
    }
}

impl From<Batching> for stream::Batching {
    fn from(batching: Batching) -> Self {
        match batching {
            Batching::Off => Self::Off,
            Batching::Shared => Self::Shared,
            Batching::Ordered => Self::Ordered,
        }
    }
}

impl From<CreateSettings> for stream::CreateConfig {
    fn from(settings: CreateSettings) -> Self {
        Self {
            content_type: settings.content_type,
            ttl_seconds: settings.ttl_seconds,
            expires_at: settings.expires_at,
            body: settings.body.map(Into::into),
            closed: settings.closed,
            fork_from: settings.fork_from,
            fork_offset: settings.fork_offset,
            fork_sub_offset: settings.fork_sub_offset,
            headers: tuples(settings.headers),
        }
    }
}

impl From<AppendSettings> for stream::AppendConfig {
    fn from(settings: AppendSettings) -> Self {
        let (epoch, seq) = (settings.producer_epoch, settings.producer_seq);
        Self {
            seq: settings.seq,
            if_match: settings.if_match,
            content_type: settings.content_type,
            producer: settings.producer_id.map(|id| (id, epoch, seq)),
            headers: tuples(settings.headers),
        }
    }
}

impl From<stream::Appended> for Appended {
    fn from(appended: stream::Appended) -> Self {
        Self {
            next_offset: appended.next_offset,
            duplicate: appended.duplicate,
            closed: appended.closed,
            etag: appended.etag,
            producer_epoch: appended.producer_epoch,
            producer_seq: appended.producer_seq,
            told: appended.told.into(),
        }
    }
}

impl From<stream::Told> for Told {
    fn from(told: stream::Told) -> Self {
        Self { status: told.status, headers: pairs(told.headers), attempts: told.attempts }
    }
}
