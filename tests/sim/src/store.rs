//! A disk in memory: what a commit wrote survives every restart; a commit that met power
//! loss wrote nothing.

use std::collections::BTreeMap;

use bytes::Bytes;
use durable_streams_protocol::offset::Position;
use durable_streams_server::store::{
    LaterUnit, Mutation, Store, StoreError, StoredStream, StreamId, StreamRecord, Unit, UnitRecord, take_fitting,
};
use parking_lot::Mutex;

use crate::Bug;

/// The disk.
#[derive(Debug, Default)]
pub(crate) struct Disk {
    content: Mutex<Content>,
    bug: Option<Bug>,
}

#[derive(Debug, Default)]
struct Content {
    streams: BTreeMap<StreamId, Kept>,
    kv: BTreeMap<Vec<u8>, Bytes>,
    /// The next commit meets power loss.
    fails_next: bool,
    units_written: u64,
    /// Streams of the units of the last commit; only [`Bug::StoreAnswersEarly`] looks.
    last_commit: Vec<StreamId>,
}

#[derive(Debug)]
struct Kept {
    record: StreamRecord,
    units: Vec<UnitRecord>,
    /// Units from this index on are later than the checkpoint.
    since_checkpoint: usize,
}

impl Content {
    /// Keeps the first half of the first unit, which an atomic commit never does.
    fn tear(&mut self, mutations: &[Mutation]) {
        for mutation in mutations {
            if let Mutation::Append(unit) = mutation
                && let Some(kept) = self.streams.get_mut(&unit.stream)
                && unit.data.len() > 1
            {
                let data = Bytes::copy_from_slice(&unit.data[..unit.data.len() / 2]);
                kept.units.push(UnitRecord { data, ..unit.clone() });
                return;
            }
        }
    }
}

impl Kept {
    fn tail(&self) -> Position {
        self.units.last().map_or(Position::START, |unit| Position(unit.at.0 + unit.data.len() as u64))
    }
}

impl Disk {
    pub(crate) fn new(bug: Option<Bug>) -> Self {
        Self { content: Mutex::default(), bug }
    }

    /// Power goes in the middle of the next commit.
    pub(crate) fn fail_next_commit(&self) {
        self.content.lock().fails_next = true;
    }

    /// Power is back.
    pub(crate) fn power_lost(&self) {
        let mut content = self.content.lock();
        content.fails_next = false;
        if self.bug == Some(Bug::StoreAnswersEarly) {
            for id in std::mem::take(&mut content.last_commit) {
                if let Some(kept) = content.streams.get_mut(&id) {
                    kept.units.pop();
                    kept.since_checkpoint = kept.since_checkpoint.min(kept.units.len());
                }
            }
        }
    }

    /// All units of a stream, by its path.
    pub(crate) fn units(&self, path: &str) -> Vec<UnitRecord> {
        let content = self.content.lock();
        let kept = content.streams.values().find(|kept| kept.record.path.as_str() == path);
        kept.map(|kept| kept.units.clone()).unwrap_or_default()
    }
}

impl Store for Disk {
    fn load(&self, visit: &mut dyn FnMut(StoredStream)) -> Result<(), StoreError> {
        for kept in self.content.lock().streams.values() {
            let mut record = kept.record.clone();
            let forgets = self.bug == Some(Bug::StoreForgetsClosure);
            if forgets {
                record.checkpoint.is_closed = false;
            }
            let later = kept.units[kept.since_checkpoint..].iter().map(|unit| LaterUnit {
                at: unit.at,
                len: unit.data.len() as u64,
                producer: unit.producer.clone(),
                seq: unit.seq.clone(),
                closes: unit.closes && !forgets,
                time_unix_ms: unit.time_unix_ms,
            });
            visit(StoredStream { record, later: later.collect() });
        }
        Ok(())
    }

    fn commit(&self, mutations: &mut [Mutation]) -> Result<(), StoreError> {
        let mut content = self.content.lock();
        if content.fails_next {
            if self.bug == Some(Bug::StoreTearsUnit) {
                content.tear(mutations);
            }
            return Err(StoreError::Failed("power loss".to_owned()));
        }
        content.last_commit.clear();
        for mutation in mutations {
            match mutation {
                Mutation::Put(record) => {
                    let record = (**record).clone();
                    match content.streams.get_mut(&record.id) {
                        Some(kept) => {
                            kept.record = record;
                            kept.since_checkpoint = kept.units.len();
                        }
                        None => {
                            let kept = Kept { record, units: Vec::new(), since_checkpoint: 0 };
                            content.streams.insert(kept.record.id, kept);
                        }
                    }
                }
                Mutation::Append(unit) => {
                    unit.data = Bytes::copy_from_slice(&unit.data);
                    content.units_written += 1;
                    if self.bug == Some(Bug::StoreDropsUnit) && content.units_written.is_multiple_of(7) {
                        continue;
                    }
                    let id = unit.stream;
                    let Some(kept) = content.streams.get_mut(&id) else {
                        return Err(StoreError::Failed(format!("a unit for stream {id}, which has no record")));
                    };
                    // The compare-and-set on the tail that the trait promises.
                    if kept.tail() != unit.at && self.bug.is_none() {
                        return Err(StoreError::Conflict(id));
                    }
                    kept.units.push(unit.clone());
                    content.last_commit.push(id);
                }
                Mutation::Remove(id) => {
                    content.streams.remove(id);
                }
                Mutation::Kv { key, value: Some(value) } => {
                    content.kv.insert(key.clone(), value.clone());
                }
                Mutation::Kv { key, value: None } => {
                    content.kv.remove(key);
                }
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
        let content = self.content.lock();
        let Some(kept) = content.streams.get(&stream) else { return Ok(Vec::new()) };
        let wanted = kept.units.iter().filter(|unit| unit.at >= from && unit.at < until && !unit.data.is_empty());
        take_fitting(wanted.map(|unit| Ok(Unit { at: unit.at, data: unit.data.clone() })), max_bytes)
    }

    fn check_room(&self) -> Result<(), StoreError> {
        Ok(())
    }

    fn kv_scan(&self, prefix: &[u8]) -> Result<Vec<(Vec<u8>, Bytes)>, StoreError> {
        let content = self.content.lock();
        let entries = content.kv.iter().filter(|(key, _)| key.starts_with(prefix));
        Ok(entries.map(|(key, value)| (key.clone(), value.clone())).collect())
    }

    fn is_volatile(&self) -> bool {
        false
    }

    fn close(&self) -> Result<(), StoreError> {
        Ok(())
    }
}
