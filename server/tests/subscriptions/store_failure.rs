//! A store that refuses for a while: nothing is said or sent that is not stored.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use bytes::Bytes;
use durable_streams_protocol::offset::Position;
use durable_streams_server::{
    engine::{Engine, types::Observer},
    path::StreamPath,
    store::StoreError,
    subscriptions::{EventError, KvBatch, StreamsPort},
};
use futures_util::future::BoxFuture;
use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::world::{Receiver, World};

/// The engine, but its key-value area can be full.
struct FullAtTimes {
    engine: Engine,
    is_full: Arc<AtomicBool>,
}

impl StreamsPort for FullAtTimes {
    fn streams(&self) -> Vec<(StreamPath, Position)> {
        StreamsPort::streams(&self.engine)
    }

    fn tail(&self, path: &StreamPath) -> Option<Position> {
        StreamsPort::tail(&self.engine, path)
    }

    fn observe(&self, observer: Arc<dyn Observer>) {
        StreamsPort::observe(&self.engine, observer);
    }

    fn append(&self, path: &StreamPath, event: Bytes) -> BoxFuture<'_, Result<(), EventError>> {
        StreamsPort::append(&self.engine, path, event)
    }

    fn kv_put(&self, batch: KvBatch) -> BoxFuture<'_, Result<(), StoreError>> {
        if self.is_full.load(Ordering::SeqCst) {
            return Box::pin(async { Err(StoreError::Full("no space left".to_owned())) });
        }
        StreamsPort::kv_put(&self.engine, batch)
    }

    fn kv_scan(&self, prefix: &[u8]) -> Result<Vec<(Vec<u8>, Bytes)>, StoreError> {
        StreamsPort::kv_scan(&self.engine, prefix)
    }
}

async fn world() -> (World, Arc<AtomicBool>) {
    let is_full = Arc::new(AtomicBool::new(false));
    let switch = Arc::clone(&is_full);
    (World::start_behind(|engine| Arc::new(FullAtTimes { engine, is_full: switch })).await, is_full)
}

#[tokio::test]
async fn a_change_that_cannot_be_stored_is_answered_507() {
    let (world, is_full) = world().await;
    let config = json!({ "type": "pull-wake", "pattern": "*", "wake_stream": "w" });
    is_full.store(true, Ordering::SeqCst);
    let (status, error) = world.call(Method::PUT, "subscriptions/s", None, &config).await;
    assert_eq!((status, &error["error"]["code"]), (StatusCode::INSUFFICIENT_STORAGE, &json!("STORAGE_FULL")));
    is_full.store(false, Ordering::SeqCst);
    let (status, _) = world.call(Method::PUT, "subscriptions/s", None, &config).await;
    assert!(status.is_success(), "{status}");
    let stored = StreamsPort::kv_scan(&world.engine, b"subscriptions/record/").expect("a scan");
    assert_eq!(stored.len(), 1);
}

#[tokio::test]
async fn a_wake_is_sent_once_it_is_stored_and_not_before() {
    let (world, is_full) = world().await;
    let mut receiver = Receiver::start().await;
    let config = json!({ "type": "webhook", "pattern": "*", "webhook": { "url": receiver.url } });
    world.subscribe("s", &config).await;
    is_full.store(true, Ordering::SeqCst);
    world.create("a", "[1]").await;
    // Answered after the append was seen, so the wake has begun and could not be stored.
    let (status, _) = world.call(Method::GET, "subscriptions/s", None, &Value::Null).await;
    assert_eq!(status, StatusCode::INSUFFICIENT_STORAGE);
    assert!(!receiver.has_more());
    is_full.store(false, Ordering::SeqCst);
    assert_eq!(receiver.next().await.body["generation"], 1);
    assert!(!StreamsPort::kv_scan(&world.engine, b"subscriptions/link/").expect("a scan").is_empty());
}
