//! The memory store: fast, gone with the process.

use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;
use durable_streams_protocol::offset::Position;
use parking_lot::RwLock;

use super::{Mutation, Store, StoreError, StoredStream, StreamId, Unit};

/// Keeps units in memory. Streams are not persisted at all: the engine knows them.
#[derive(Debug, Default)]
pub struct MemoryStore {
    units: RwLock<HashMap<StreamId, Vec<Unit>>>,
    kv: RwLock<BTreeMap<Vec<u8>, Bytes>>,
}

impl MemoryStore {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }
}

impl Store for MemoryStore {
    fn load(&self, _visit: &mut dyn FnMut(StoredStream)) -> Result<(), StoreError> {
        Ok(())
    }

    fn commit(&self, mutations: &mut [Mutation]) -> Result<(), StoreError> {
        let mut units = self.units.write();
        for mutation in mutations {
            match mutation {
                Mutation::Put(_) => {}
                Mutation::Append(unit) => {
                    if unit.data.is_empty() {
                        continue;
                    }
                    // The request's buffer is larger than the unit; do not keep it.
                    unit.data = Bytes::copy_from_slice(&unit.data);
                    units.entry(unit.stream).or_default().push(Unit { at: unit.at, data: unit.data.clone() });
                }
                Mutation::Remove(stream) => {
                    units.remove(stream);
                }
                Mutation::Kv { key, value } => match value {
                    Some(value) => {
                        self.kv.write().insert(std::mem::take(key), value.clone());
                    }
                    None => {
                        self.kv.write().remove(key);
                    }
                },
            }
        }
        Ok(())
    }

    fn read(
        &self,
        stream: StreamId,
        from: Position,
        until: Position,
        max_bytes: usize,
    ) -> Result<Vec<Unit>, StoreError> {
        let units = self.units.read();
        let Some(units) = units.get(&stream) else { return Ok(Vec::new()) };
        let first = units.partition_point(|unit| unit.at < from);
        super::take_fitting(units[first..].iter().take_while(|unit| unit.at < until).cloned().map(Ok), max_bytes)
    }

    fn check_room(&self) -> Result<(), StoreError> {
        Ok(())
    }

    fn kv_scan(&self, prefix: &[u8]) -> Result<Vec<(Vec<u8>, Bytes)>, StoreError> {
        let kv = self.kv.read();
        Ok(kv
            .range(prefix.to_vec()..)
            .take_while(|(key, _)| key.starts_with(prefix))
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect())
    }

    fn is_volatile(&self) -> bool {
        true
    }

    fn close(&self) -> Result<(), StoreError> {
        Ok(())
    }
}
