//! Bringing streams back from a store.

use std::{collections::HashMap, sync::Arc};

use super::{EngineOptions, hot::Budget, stream::Stream};
use crate::{
    path::StreamPath,
    store::{Checkpoint, Store, StoreError, StreamId, StreamRecord},
};

/// What a store held.
pub(super) struct Recovered {
    pub(super) paths: HashMap<StreamPath, Arc<Stream>>,
    pub(super) expiring: HashMap<StreamId, Arc<Stream>>,
    pub(super) next_id: StreamId,
}

/// Loads all streams: records first, sources before their forks.
pub(super) fn load(store: &dyn Store, options: &EngineOptions, budget: &Arc<Budget>) -> Result<Recovered, StoreError> {
    let mut waiting: HashMap<StreamId, (StreamRecord, Checkpoint)> = HashMap::new();
    store.load(&mut |stored| {
        let mut checkpoint = stored.record.checkpoint.clone();
        for unit in stored.later {
            checkpoint.advance(unit);
        }
        waiting.insert(stored.record.id, (stored.record, checkpoint));
    })?;
    let mut streams: HashMap<StreamId, Arc<Stream>> = HashMap::with_capacity(waiting.len());
    let ids: Vec<_> = waiting.keys().copied().collect();
    for id in ids {
        restore_chain(id, &mut waiting, &mut streams, budget)?;
    }
    let mut recovered = Recovered {
        // Ids are never used twice, also not those of streams removed before the restart.
        next_id: streams.keys().max().map_or(0, |id| id + 1).max(options.clock.unix_ms().saturating_mul(1000)),
        paths: HashMap::with_capacity(streams.len()),
        expiring: HashMap::new(),
    };
    for stream in streams.into_values() {
        if let Some(source) = stream.source() {
            source.stream.add_reference();
        }
        if stream.expiry().is_some() && !stream.decided.lock().is_deleted {
            recovered.expiring.insert(stream.id(), Arc::clone(&stream));
        }
        recovered.paths.insert(stream.path().clone(), stream);
    }
    Ok(recovered)
}

/// Restores a stream after the sources it needs, without recursion.
fn restore_chain(
    id: StreamId,
    waiting: &mut HashMap<StreamId, (StreamRecord, Checkpoint)>,
    streams: &mut HashMap<StreamId, Arc<Stream>>,
    budget: &Arc<Budget>,
) -> Result<(), StoreError> {
    let mut chain = vec![id];
    while let Some(id) = chain.last().copied() {
        let Some((record, _)) = waiting.get(&id) else {
            chain.pop();
            continue;
        };
        let source = match &record.source {
            None => None,
            Some(source) => match streams.get(&source.id) {
                Some(stream) => Some(Arc::clone(stream)),
                None if waiting.contains_key(&source.id) && !chain.contains(&source.id) => {
                    chain.push(source.id);
                    continue;
                }
                None => {
                    return Err(StoreError::Failed(format!(
                        "the fork {} reads through stream {}, which is missing",
                        record.path, source.id
                    )));
                }
            },
        };
        if let Some((record, checkpoint)) = waiting.remove(&id) {
            streams.insert(id, Arc::new(Stream::restore(record, checkpoint, source, Arc::clone(budget))));
        }
        chain.pop();
    }
    Ok(())
}
