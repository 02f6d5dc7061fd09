//! Gives the engine's journal its blocks before the engine writes there.
//!
//! The engine makes a journal as a file of 64 MiB without blocks. Syncing a write into such
//! a hole syncs the file's block map as well, another round to the disk; syncing a write over
//! blocks that are there does not. So holes are filled with zeros, a piece at a time, shortly
//! before the engine gets there.
//!
//! Zeros in place of a hole change nothing anybody can read, before or after a crash. Zeros
//! over a batch would, and so would zeros behind the end of the file, where an engine that
//! appends would go on after them. Hence:
//!
//! - whoever commits a batch holds the lock around [`Ahead`], so nobody writes meanwhile;
//! - only what the file system calls a hole is filled;
//! - nothing is written at or behind the end of the file.

#[cfg(target_os = "linux")]
use std::{
    fs::{File, OpenOptions},
    io,
};
use std::{path::PathBuf, sync::Arc};

use parking_lot::Mutex;

/// How much is filled at once. Units: bytes.
const PIECE: u64 = 256 << 10;
/// What the journal needs for one row beside its key and value, rounded up. Units: bytes.
pub(super) const ROW_OVERHEAD: usize = 48;

/// What is known of the newest journal. The lock around it is held while a batch is
/// committed.
pub(super) type Shared = Arc<Mutex<Ahead>>;

/// Fills the holes ahead of the engine.
pub(super) struct Ahead {
    /// The engine's directory; `None` = fills nothing.
    directory: Option<PathBuf>,
    /// The engine can write so much until the next look. Units: bytes.
    left: u64,
    #[cfg(target_os = "linux")]
    journal: Option<Journal>,
}

#[cfg(target_os = "linux")]
struct Journal {
    number: u64,
    file: File,
    /// No hole that matters is before this.
    filled: u64,
}

impl Ahead {
    /// Looks after the journals of an engine's directory, or of none when nothing is synced:
    /// without syncs there is nothing to save.
    pub(super) fn new(directory: PathBuf, is_synced: bool) -> Shared {
        Arc::new(Mutex::new(Self {
            directory: (is_synced && cfg!(target_os = "linux")).then_some(directory),
            left: 0,
            #[cfg(target_os = "linux")]
            journal: None,
        }))
    }

    /// Makes room for a batch of about so many bytes, to be committed under the same lock.
    pub(super) fn make_room(&mut self, bytes: usize) {
        let bytes = bytes as u64;
        if let Some(left) = self.left.checked_sub(bytes) {
            self.left = left;
            return;
        }
        self.left = 0;
        // The sync of a large batch takes its time for the data; writing it twice would cost more.
        if bytes > PIECE {
            return;
        }
        #[cfg(target_os = "linux")]
        if let Some(directory) = &self.directory {
            match fill_next(&mut self.journal, directory) {
                Ok(()) => self.left = PIECE - bytes,
                Err(error) => {
                    // Only a saving is lost. Whether the disk fails, the engine finds out.
                    tracing::debug!(%error, "the journal's blocks are no longer written ahead");
                    self.directory = None;
                }
            }
        }
    }
}

/// Fills the next piece of the newest journal.
#[cfg(target_os = "linux")]
fn fill_next(journal: &mut Option<Journal>, directory: &std::path::Path) -> io::Result<()> {
    let Some((number, path)) = super::journal::journals(directory)?.pop() else { return Ok(()) };
    let newest = match journal.take() {
        Some(known) if known.number == number => known,
        Some(_) | None => Journal { number, file: OpenOptions::new().write(true).open(path)?, filled: 0 },
    };
    let newest = journal.insert(newest);
    newest.filled = fill_hole(&newest.file, newest.filled)?;
    Ok(())
}

/// Fills up to a piece of the first hole at or behind `from`; returns where the next search
/// starts.
#[cfg(target_os = "linux")]
fn fill_hole(file: &File, from: u64) -> io::Result<u64> {
    use std::os::unix::fs::FileExt as _;

    use rustix::{
        fs::{SeekFrom, seek},
        io::Errno,
    };

    let len = file.metadata()?.len();
    let hole = match seek(file, SeekFrom::Hole(from)) {
        Ok(at) if at < len => at,
        // The end of the file counts as a hole, and so does what is behind it.
        Ok(_) | Err(Errno::NXIO) => return Ok(from),
        Err(error) => return Err(error.into()),
    };
    let data = match seek(file, SeekFrom::Data(hole)) {
        Ok(at) => at,
        Err(Errno::NXIO) => len,
        Err(error) => return Err(error.into()),
    };
    let until = data.min(len).min(hole + PIECE);
    let zeros = [0; 16 << 10];
    let mut at = hole;
    while at < until {
        let count = usize::try_from(until - at).map_or(zeros.len(), |left| left.min(zeros.len()));
        file.write_all_at(&zeros[..count], at)?;
        at += count as u64;
    }
    Ok(until)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::os::unix::fs::{FileExt as _, MetadataExt as _};

    use durable_streams_protocol::offset::Position;

    use super::*;
    use crate::store::{
        Mutation, Store as _, UnitRecord,
        file::{FileOptions, FileStore},
    };

    const MIB: u64 = 1 << 20;

    /// A file of a length with data at some positions, and nothing elsewhere.
    fn sparse(len: u64, data: &[(u64, &[u8])]) -> File {
        let file = tempfile::tempfile().expect("a file");
        file.set_len(len).expect("a length");
        for (at, bytes) in data {
            file.write_all_at(bytes, *at).expect("data");
        }
        file
    }

    fn content(file: &File) -> Vec<u8> {
        let mut bytes = vec![0; usize::try_from(file.metadata().expect("metadata").len()).expect("small")];
        file.read_exact_at(&mut bytes, 0).expect("content");
        bytes
    }

    fn allocated(file: &File) -> u64 {
        file.metadata().expect("metadata").blocks() * 512
    }

    #[test]
    fn a_hole_gets_blocks_and_the_content_stays() {
        let batch = vec![7; 10_000];
        let file = sparse(MIB, &[(0, &batch)]);
        let before = content(&file);
        let mut filled = 0;
        for _ in 0..MIB / PIECE + 1 {
            filled = fill_hole(&file, filled).expect("fills");
        }
        assert_eq!(content(&file), before);
        assert_eq!(filled, MIB);
        assert!(allocated(&file) >= MIB, "{}", allocated(&file));
    }

    #[test]
    fn data_behind_a_hole_is_left_alone() {
        let (first, second) = (vec![1; 5000], vec![2; 70_000]);
        let file = sparse(MIB, &[(0, &first), (100_000, &second)]);
        let before = content(&file);
        let mut filled = 0;
        for _ in 0..MIB / PIECE + 3 {
            filled = fill_hole(&file, filled).expect("fills");
        }
        assert_eq!(content(&file), before);
    }

    #[test]
    fn nothing_is_written_behind_the_end() {
        let batch = vec![3; 4096];
        let file = sparse(4096, &[(0, &batch)]);
        for from in [0, 4096, 10_000] {
            fill_hole(&file, from).expect("fills");
        }
        assert_eq!(content(&file), batch);
    }

    /// Commits one unit of so many bytes behind `at`; returns the position after it.
    fn append(store: &FileStore, at: u64, len: usize) -> u64 {
        let data = vec![u8::try_from(at % 251).expect("small") + 1; len].into();
        let unit =
            UnitRecord { stream: 1, at: Position(at), data, producer: None, seq: None, closes: false, time_unix_ms: 0 };
        store.commit(&mut [Mutation::Append(unit)]).expect("commits");
        at + len as u64
    }

    fn assert_units(store: &FileStore, ends: &[u64]) {
        let units = store.read(1, Position(0), Position(u64::MAX), usize::MAX).expect("reads");
        assert_eq!(units.iter().map(|unit| unit.end().0).collect::<Vec<_>>(), ends);
        for unit in units {
            let expected = u8::try_from(unit.at.0 % 251).expect("small") + 1;
            assert!(unit.data.iter().all(|byte| *byte == expected), "unit at {}", unit.at);
        }
    }

    /// Small batches over several pieces, with large ones between, into a second journal.
    #[test]
    fn batches_come_back_whatever_was_filled_ahead_of_them() {
        let folder = tempfile::tempdir().expect("a folder");
        let open = || FileStore::open(folder.path(), FileOptions::default()).expect("opens");
        let journals = || super::super::journal::journals(&folder.path().join("engine")).expect("lists");
        let store = open();
        let mut at = append(&store, 0, 3000);
        let mut ends = vec![at];
        let first = File::open(&journals()[0].1).expect("a journal");
        assert!(allocated(&first) >= PIECE, "{}", allocated(&first));
        for round in 0..5 {
            for _ in 0..200 {
                at = append(&store, at, 3000);
                ends.push(at);
            }
            at = append(&store, at, if round < 4 { 17 << 20 } else { 100_000 });
            ends.push(at);
        }
        assert!(
            super::super::journal::journals(&folder.path().join("engine")).expect("lists").pop().expect("one").0 > 0
        );
        assert_units(&store, &ends);
        // As after a crash: what counts is what the journals hold.
        drop(store);
        let store = open();
        assert_units(&store, &ends);
        for _ in 0..200 {
            at = append(&store, at, 3000);
            ends.push(at);
        }
        drop(store);
        assert_units(&open(), &ends);
    }
}
