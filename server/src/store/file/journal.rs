//! Looks at the engine's journal before the engine does.
//!
//! The storage engine cuts its journal at the first byte it cannot read. That is
//! right for a torn tail and wrong for damage in the middle, where acknowledged
//! batches follow. So the journal is walked first: a torn tail is set aside and
//! cut, anything else refuses the directory by the file's name.
//!
//! Layout (fjall 3.1, `src/journal/entry.rs`): each batch is Start{count u32,
//! seqno u64}, `count` items, End{xxh3 of the items, "FJL" and a version byte};
//! little-endian; the rest of the file is zero.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

use xxhash_rust::xxh3::Xxh3;

const START: u8 = 1;
const ITEM: u8 = 2;
const END: u8 = 3;
const CLEAR: u8 = 4;
const MAGIC: &[u8] = b"FJL\x03";

/// What the check found and did.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Report {
    /// Whole batches in all journals.
    pub(super) batches: u64,
    /// Bytes set aside and cut from the active journal.
    pub(super) torn_bytes: u64,
    /// Where they were set aside.
    pub(super) set_aside: Option<PathBuf>,
}

/// Checks all journals of a directory; a message names the file and the position.
pub(super) fn check(directory: &Path) -> Result<Report, String> {
    let mut journals = journals(directory).map_err(|error| format!("{}: {error}", directory.display()))?;
    let active = journals.pop();
    let mut report = Report::default();
    for (_, path) in journals {
        let (batches, torn) = walk(&path)?;
        report.batches += batches;
        if let Some(torn) = torn {
            return Err(format!("{} is damaged at byte {}; restore it from a backup", path.display(), torn.at));
        }
    }
    let Some((_, path)) = active else { return Ok(report) };
    let (batches, torn) = walk(&path)?;
    report.batches += batches;
    let Some(torn) = torn else { return Ok(report) };
    if torn.batch_follows {
        return Err(format!(
            "{} is damaged at byte {}, and whole batches follow the damage; restore it from a backup",
            path.display(),
            torn.at
        ));
    }
    let aside = set_aside(&path, torn.at).map_err(|error| format!("{}: {error}", path.display()))?;
    report.torn_bytes = torn.len;
    report.set_aside = Some(aside);
    Ok(report)
}

/// All journals by number, the active one last.
pub(super) fn journals(directory: &Path) -> io::Result<Vec<(u64, PathBuf)>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        let path = entry?.path();
        let is_journal = path.extension().is_some_and(|extension| extension == "jnl");
        let number = path.file_stem().and_then(|stem| stem.to_str()).and_then(|stem| stem.parse().ok());
        if let (true, Some(number)) = (is_journal, number) {
            found.push((number, path));
        }
    }
    found.sort_unstable_by_key(|(number, _)| *number);
    Ok(found)
}

struct Torn {
    at: u64,
    len: u64,
    batch_follows: bool,
}

/// Counts whole batches; tells where something else than zeros follows them.
fn walk(path: &Path) -> Result<(u64, Option<Torn>), String> {
    let bytes = std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let (mut batches, mut at) = (0, 0);
    while let Some(len) = batch_len(&bytes[at..]) {
        batches += 1;
        at += len;
    }
    let rest = &bytes[at..];
    let written = without_trailing_zeros(rest);
    if written.is_empty() {
        return Ok((batches, None));
    }
    let torn = Torn { at: at as u64, len: written.len() as u64, batch_follows: holds_batch(&written[1..]) };
    Ok((batches, Some(torn)))
}

/// Journals are preallocated: most of a file may be zeros, so they go a block at a time.
fn without_trailing_zeros(mut bytes: &[u8]) -> &[u8] {
    const ZEROS: [u8; 4096] = [0; 4096];
    while let Some(rest) = bytes.strip_suffix(&ZEROS) {
        bytes = rest;
    }
    let len = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    &bytes[..len]
}

/// Whether a whole batch of at least one item starts anywhere in the bytes.
fn holds_batch(bytes: &[u8]) -> bool {
    bytes
        .windows(14)
        .enumerate()
        .filter(|(_, window)| window[0] == START && matches!(window[13], ITEM | CLEAR))
        .any(|(at, _)| batch_len(&bytes[at..]).is_some())
}

/// Length of the whole, valid batch at the start of the bytes.
fn batch_len(bytes: &[u8]) -> Option<usize> {
    let mut cursor = Cursor { bytes, at: 0 };
    if cursor.u8()? != START {
        return None;
    }
    let count = cursor.u32()?;
    cursor.skip(8)?;
    let items_at = cursor.at;
    for _ in 0..count {
        match cursor.u8()? {
            ITEM => {
                cursor.skip(1)?;
                let compression = cursor.u8()?;
                if compression > 1 {
                    return None;
                }
                cursor.skip(8)?;
                let key_len = usize::from(cursor.u16()?);
                cursor.skip(4)?;
                let value_len = cursor.u32()? as usize;
                cursor.skip(key_len)?;
                cursor.skip(value_len)?;
            }
            CLEAR => cursor.skip(8)?,
            _ => return None,
        }
    }
    let mut hasher = Xxh3::new();
    hasher.update(&bytes[items_at..cursor.at]);
    if cursor.u8()? != END || cursor.u64()? != hasher.digest() {
        return None;
    }
    (cursor.take(MAGIC.len())? == MAGIC).then_some(cursor.at)
}

struct Cursor<'b> {
    bytes: &'b [u8],
    at: usize,
}

impl<'b> Cursor<'b> {
    fn take(&mut self, len: usize) -> Option<&'b [u8]> {
        let taken = self.bytes.get(self.at..self.at.checked_add(len)?)?;
        self.at += len;
        Some(taken)
    }

    fn skip(&mut self, len: usize) -> Option<()> {
        self.take(len).map(|_| ())
    }

    fn u8(&mut self) -> Option<u8> {
        self.take(1).map(|bytes| bytes[0])
    }

    fn u16(&mut self) -> Option<u16> {
        self.take(2).and_then(|bytes| bytes.try_into().ok()).map(u16::from_le_bytes)
    }

    fn u32(&mut self) -> Option<u32> {
        self.take(4).and_then(|bytes| bytes.try_into().ok()).map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.take(8).and_then(|bytes| bytes.try_into().ok()).map(u64::from_le_bytes)
    }
}

/// Copies the torn tail beside the journal, then cuts the journal; both durable.
fn set_aside(path: &Path, at: u64) -> io::Result<PathBuf> {
    let mut journal = OpenOptions::new().read(true).write(true).open(path)?;
    let mut tail = Vec::new();
    journal.seek(SeekFrom::Start(at))?;
    journal.read_to_end(&mut tail)?;
    tail.truncate(without_trailing_zeros(&tail).len());
    let aside = path.with_extension(format!("torn-{at}"));
    let mut copy = File::create(&aside)?;
    copy.write_all(&tail)?;
    copy.sync_all()?;
    if let Some(directory) = path.parent() {
        super::directory::sync_folder(directory)?;
    }
    journal.set_len(at)?;
    journal.sync_all()?;
    Ok(aside)
}
