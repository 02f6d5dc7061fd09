//! The data directory: ours or refused, one process at a time.
//!
//! Layout: `FORMAT` (what this is and which version), `LOCK`, `engine/` (the storage
//! engine's files). `FORMAT.new` stands in for `FORMAT` until the engine's files are
//! complete and durable: a creation that a crash interrupted starts over.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Write},
    path::Path,
};

/// Folder of the storage engine.
pub(super) const DATA: &str = "engine";
const FORMAT: &str = "FORMAT";
const CREATING: &str = "FORMAT.new";
const LOCK: &str = "LOCK";
const CURRENT: &str = "durable-streams data directory, format 1\n";

/// A directory that is ours.
pub(super) struct Prepared {
    /// Released when the process ends or the handle is dropped.
    pub(super) lock: File,
    /// Nothing was stored in it yet; [`finish`] makes it ours for good.
    pub(super) is_new: bool,
}

/// Creates the directory or checks that it is ours; a message names the file in the way.
pub(super) fn prepare(directory: &Path) -> Result<Prepared, String> {
    create(directory).map_err(|error| format!("cannot create it: {error}"))?;
    if !is_ours(directory)? {
        refuse_foreign(directory)?;
    }
    let lock = lock(directory)?;
    // Asked again: until now another process may have been creating it.
    let is_new = !is_ours(directory)?;
    if is_new {
        begin(directory).map_err(|error| format!("cannot create it: {error}"))?;
    }
    Ok(Prepared { lock, is_new })
}

/// Declares a new directory complete, once all that is in it is durable.
pub(super) fn finish(directory: &Path) -> io::Result<()> {
    sync_folders(&directory.join(DATA))?;
    sync_folder(directory)?;
    fs::rename(directory.join(CREATING), directory.join(FORMAT))?;
    sync_folder(directory)
}

/// Makes the entries of a directory durable. Windows cannot, and need not.
pub(super) fn sync_folder(directory: &Path) -> io::Result<()> {
    let directory = if directory.as_os_str().is_empty() { Path::new(".") } else { directory };
    if cfg!(unix) { File::open(directory)?.sync_all() } else { Ok(()) }
}

fn sync_folders(directory: &Path) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            sync_folders(&entry.path())?;
        }
    }
    sync_folder(directory)
}

/// Creates the directory and makes its entry durable, and those of its parents.
fn create(directory: &Path) -> io::Result<()> {
    let missing: Vec<_> = directory.ancestors().take_while(|folder| !folder.exists()).collect();
    fs::create_dir_all(directory)?;
    missing.iter().filter_map(|folder| folder.parent()).try_for_each(sync_folder)
}

/// Whether the directory has our mark.
/// Errors: it has another one.
fn is_ours(directory: &Path) -> Result<bool, String> {
    let format = directory.join(FORMAT);
    match fs::read_to_string(&format) {
        Ok(text) if text == CURRENT => Ok(true),
        Ok(text) => Err(format!(
            "{} says {:?}; this server reads only {:?}",
            format.display(),
            text.trim_end(),
            CURRENT.trim_end()
        )),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(format!("{}: {error}", format.display())),
    }
}

/// Marks the directory as being created. What an interrupted creation left was never
/// served, so nothing in it was ever acknowledged.
fn begin(directory: &Path) -> io::Result<()> {
    let mut file = File::create(directory.join(CREATING))?;
    file.write_all(CURRENT.as_bytes())?;
    file.sync_all()?;
    sync_folder(directory)?;
    match fs::remove_dir_all(directory.join(DATA)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// A directory without our mark must hold nothing of anybody's.
fn refuse_foreign(directory: &Path) -> Result<(), String> {
    let entries = fs::read_dir(directory).map_err(|error| format!("cannot list it: {error}"))?;
    for entry in entries.flatten() {
        let name = entry.file_name();
        let is_unfinished = name == DATA && directory.join(CREATING).exists();
        if name != LOCK && name != CREATING && !is_unfinished {
            return Err(format!(
                "it holds {} and no {FORMAT} file, so it is not a durable-streams directory; choose an empty one",
                entry.path().display()
            ));
        }
    }
    Ok(())
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
