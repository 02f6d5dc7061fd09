//! What subscriptions need from the engine, and nothing else: a second, distributed
//! engine or a test can answer to it.

use std::sync::Arc;

use bytes::Bytes;
use durable_streams_protocol::{content_type::Framing, offset::Position};
use futures_util::future::BoxFuture;

use crate::{
    engine::{
        Engine,
        types::{AppendError, AppendRequest, Observer},
    },
    path::StreamPath,
    store::StoreError,
};

/// Changes of the durable key-value area; `None` removes.
pub type KvBatch = Vec<(Vec<u8>, Option<Bytes>)>;

/// Streams, their events, and a durable key-value area.
pub trait StreamsPort: Send + Sync + 'static {
    /// Readable streams with their tails.
    fn streams(&self) -> Vec<(StreamPath, Position)>;

    /// The tail of one readable stream.
    fn tail(&self, path: &StreamPath) -> Option<Position>;

    /// Has every later event told to `observer`, after it is visible in
    /// [`StreamsPort::tail`]. Called once.
    fn observe(&self, observer: Arc<dyn Observer>);

    /// Appends one event to a stream and resolves once it is stored.
    fn append(&self, path: &StreamPath, event: Bytes) -> BoxFuture<'_, Result<(), EventError>>;

    /// Writes all entries or none and resolves once they are durable.
    fn kv_put(&self, batch: KvBatch) -> BoxFuture<'_, Result<(), StoreError>>;

    /// The entries whose key starts with `prefix`.
    fn kv_scan(&self, prefix: &[u8]) -> Result<Vec<(Vec<u8>, Bytes)>, StoreError>;
}

/// Why an event could not be appended.
#[derive(Debug, thiserror::Error)]
pub enum EventError {
    /// The stream is missing, deleted, closed or refuses events: trying again is of no use.
    #[error("{0}")]
    Refused(String),
    /// The store failed: trying again may help.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl StreamsPort for Engine {
    fn streams(&self) -> Vec<(StreamPath, Position)> {
        self.paths()
    }

    fn tail(&self, path: &StreamPath) -> Option<Position> {
        self.head(path).ok().map(|info| info.tail)
    }

    fn observe(&self, observer: Arc<dyn Observer>) {
        self.add_observer(observer);
    }

    fn append(&self, path: &StreamPath, event: Bytes) -> BoxFuture<'_, Result<(), EventError>> {
        let path = path.clone();
        Box::pin(async move {
            let info = self.head(&path).map_err(|error| EventError::Refused(error.to_string()))?;
            let body = if info.framing == Framing::Json {
                event
            } else {
                // One event a line: other streams keep no message boundaries.
                Bytes::from([&event[..], b"\n"].concat())
            };
            let request =
                AppendRequest { content_type: Some(info.content_type.to_string()), body, ..AppendRequest::default() };
            match Self::append(self, &path, request).await {
                Ok(_) => Ok(()),
                Err(AppendError::Store(error)) => Err(EventError::Store(error)),
                Err(refusal) => Err(EventError::Refused(refusal.to_string())),
            }
        })
    }

    fn kv_put(&self, batch: KvBatch) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(Self::kv_put(self, batch))
    }

    fn kv_scan(&self, prefix: &[u8]) -> Result<Vec<(Vec<u8>, Bytes)>, StoreError> {
        Self::kv_scan(self, prefix)
    }
}
