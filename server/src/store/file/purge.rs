//! Dropping the units of removed streams, in the background and in small batches, so
//! that deleting a large stream delays nobody. The ids wait in the `purge` keyspace;
//! whatever a stop interrupts, the next start goes on with.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread::JoinHandle,
};

use fjall::{Database, Keyspace, PersistMode};

use super::ahead;
use crate::store::StreamId;

/// How many unit rows one batch drops.
const ROWS: usize = 1024;

/// The purging thread; stops between two batches when dropped.
pub(super) struct Purger {
    ids: Option<mpsc::Sender<StreamId>>,
    is_stopping: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Purger {
    /// Starts the thread with what an earlier run left over.
    pub(super) fn start(
        database: Database,
        units: Keyspace,
        purge: Keyspace,
        ahead: ahead::Shared,
        mode: PersistMode,
    ) -> fjall::Result<Self> {
        let (ids, waiting) = mpsc::channel();
        for entry in purge.iter() {
            if let Some(id) = entry.key()?.first_chunk::<8>() {
                let _ = ids.send(u64::from_be_bytes(*id));
            }
        }
        let is_stopping = Arc::new(AtomicBool::new(false));
        let stop = Arc::clone(&is_stopping);
        let thread = std::thread::Builder::new().name("ds-purge".to_owned()).spawn(move || {
            for stream in waiting {
                if let Err(error) = purge_units(&database, &units, &purge, &ahead, stream, mode, &stop) {
                    tracing::warn!(stream, %error, "dropping the units of a removed stream failed; the next start retries");
                }
                if stop.load(Ordering::Acquire) {
                    return;
                }
            }
        })?;
        Ok(Self { ids: Some(ids), is_stopping, thread: Some(thread) })
    }

    /// Drops the units of a removed stream some time later.
    pub(super) fn add(&self, stream: StreamId) {
        if let Some(ids) = &self.ids {
            let _ = ids.send(stream);
        }
    }
}

impl Drop for Purger {
    fn drop(&mut self) {
        self.is_stopping.store(true, Ordering::Release);
        self.ids = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Synced as commits are: were two batches on their way to the disk, a power loss could keep
/// the second whole and the first not, which looks like damage to what was acknowledged.
fn purge_units(
    database: &Database,
    units: &Keyspace,
    purge: &Keyspace,
    ahead: &ahead::Shared,
    stream: StreamId,
    mode: PersistMode,
    stop: &AtomicBool,
) -> fjall::Result<()> {
    while !stop.load(Ordering::Acquire) {
        let mut batch = database.batch().durability(Some(mode));
        for row in units.prefix(stream.to_be_bytes()).take(ROWS) {
            batch.remove(units, row.key()?);
        }
        let is_last = batch.len() < ROWS;
        if is_last {
            batch.remove(purge, stream.to_be_bytes());
        }
        let mut ahead = ahead.lock();
        ahead.make_room(batch.len() * (super::codec::KEY_LEN + ahead::ROW_OVERHEAD));
        batch.commit()?;
        drop(ahead);
        if is_last {
            break;
        }
    }
    Ok(())
}
