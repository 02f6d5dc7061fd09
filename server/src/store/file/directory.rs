//! The data directory: ours or refused, one process at a time.
//!
//! Layout: `FORMAT` (what this is and which version), `LOCK`, `engine/` (the storage
//! engine's files).

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Write},
    path::Path,
};

/// Folder of the storage engine.
pub(super) const DATA: &str = "engine";
const FORMAT: &str = "FORMAT";
const LOCK: &str = "LOCK";
const CURRENT: &str = "durable-streams data directory, format 1\n";

/// Creates the directory or checks that it is ours; a message names the file in the
/// way. The lock is released when the process ends or the handle is dropped.
pub(super) fn prepare(directory: &Path) -> Result<File, String> {
    fs::create_dir_all(directory).map_err(|error| format!("cannot create it: {error}"))?;
    let format = directory.join(FORMAT);
    match fs::read_to_string(&format) {
        Ok(text) if text == CURRENT => {}
        Ok(text) => {
            return Err(format!(
                "{} says {:?}; this server reads only {:?}",
                format.display(),
                text.trim_end(),
                CURRENT.trim_end()
            ));
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            refuse_foreign(directory)?;
            write_durably(directory, &format).map_err(|error| format!("{}: {error}", format.display()))?;
        }
        Err(error) => return Err(format!("{}: {error}", format.display())),
    }
    lock(directory)
}

/// A directory without our mark must hold nothing of anybody's.
fn refuse_foreign(directory: &Path) -> Result<(), String> {
    let entries = fs::read_dir(directory).map_err(|error| format!("cannot list it: {error}"))?;
    for entry in entries.flatten() {
        let name = entry.file_name();
        if name != LOCK {
            return Err(format!(
                "it holds {} and no {FORMAT} file, so it is not a durable-streams directory; choose an empty one",
                entry.path().display()
            ));
        }
    }
    Ok(())
}

fn write_durably(directory: &Path, path: &Path) -> io::Result<()> {
    let mut file = File::create_new(path)?;
    file.write_all(CURRENT.as_bytes())?;
    file.sync_all()?;
    // The entry itself must survive too; Windows cannot sync a directory.
    if cfg!(unix) { File::open(directory)?.sync_all() } else { Ok(()) }
}

fn lock(directory: &Path) -> Result<File, String> {
    let path = directory.join(LOCK);
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .map_err(|error| format!("{}: {error}", path.display()))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            Err(format!("{} is locked: another server uses the directory", path.display()))
        }
        Err(TryLockError::Error(error)) => Err(format!("{}: {error}", path.display())),
    }
}

/// Free bytes for us on the file system of the directory.
pub(super) fn free_bytes(directory: &Path) -> io::Result<u64> {
    let stat = rustix::fs::statvfs(directory)?;
    Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
}
