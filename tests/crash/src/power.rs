//! Power loss: puts a directory into a state that a crash of the machine could have left.
//!
//! While the server runs, `preload/forget.c` keeps aside what it synced. Afterwards the
//! directory is built anew from that, and from a seeded choice of what was written and
//! not synced: whole directory listings, whole files, single blocks.

use std::{
    collections::{HashMap, HashSet},
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::{DirEntryExt, FileExt, MetadataExt},
    path::{Path, PathBuf},
    process::Command,
};

use crate::random::Random;

const SHIM: &str = include_str!("../preload/forget.c");
/// What a disk writes as one. Units: bytes.
const BLOCK: usize = 4096;

/// What power losses took, in sum.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Taken {
    /// Files brought back to an earlier content.
    pub(crate) files: u64,
    /// Written blocks that are gone.
    pub(crate) blocks: u64,
    /// Files that lost some unsynced blocks and kept others: torn writes.
    pub(crate) torn_files: u64,
    /// The blocks kept in them.
    pub(crate) torn_blocks: u64,
    /// Directories brought back to earlier entries.
    pub(crate) listings: u64,
}

/// The directory under test and what is kept aside for it.
#[derive(Debug)]
pub(crate) struct Power {
    data: PathBuf,
    shadow: PathBuf,
    library: PathBuf,
    /// Files that were there, and durable, when the server started.
    before: HashSet<u64>,
    /// In sum over all losses.
    pub(crate) taken: Taken,
}

impl Power {
    /// Builds the layer into `folder`, where `data` is, too.
    /// Errors: no C compiler, or not Linux.
    pub(crate) fn new(folder: &Path, data: &Path) -> Result<Self, String> {
        let (source, library) = (folder.join("forget.c"), folder.join("forget.so"));
        fs::write(&source, SHIM).map_err(|error| format!("{}: {error}", source.display()))?;
        let compiler = std::env::var_os("CC").unwrap_or_else(|| "cc".into());
        let built = Command::new(&compiler)
            .args(["-shared", "-fPIC", "-O2", "-Wall", "-o"])
            .args([&library, &source])
            .args(["-ldl", "-pthread"])
            .status()
            .map_err(|error| {
                format!("power loss needs a C compiler, and {} does not run: {error}", compiler.display())
            })?;
        if !built.success() {
            return Err("the layer for power loss does not compile".to_owned());
        }
        Ok(Self {
            data: data.to_path_buf(),
            shadow: folder.join("shadow"),
            library,
            before: HashSet::new(),
            taken: Taken::default(),
        })
    }

    /// What the server's environment needs.
    pub(crate) fn environment(&self) -> Vec<(&'static str, PathBuf)> {
        vec![
            ("LD_PRELOAD", self.library.clone()),
            ("FORGET_ROOT", self.data.clone()),
            ("FORGET_SHADOW", self.shadow.clone()),
        ]
    }

    /// Declares everything in the directory durable. Before every start.
    pub(crate) fn arm(&mut self) -> Result<(), String> {
        self.try_arm().map_err(|error| format!("preparing a power loss: {error}"))
    }

    fn try_arm(&mut self) -> io::Result<()> {
        match fs::remove_dir_all(&self.shadow) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        for kind in ["held", "synced", "dirs"] {
            fs::create_dir_all(self.shadow.join(kind))?;
        }
        self.before.clear();
        let mut folders = vec![self.data.clone()];
        while let Some(folder) = folders.pop() {
            let mut listing = String::new();
            for entry in fs::read_dir(&folder)? {
                let entry = entry?;
                let is_folder = entry.file_type()?.is_dir();
                listing.push_str(&line(&entry, is_folder));
                if is_folder {
                    folders.push(entry.path());
                } else {
                    fs::hard_link(entry.path(), self.aside("held", entry.ino()))?;
                    self.before.insert(entry.ino());
                }
            }
            fs::write(self.aside("dirs", fs::metadata(&folder)?.ino()), listing)?;
        }
        Ok(())
    }

    /// Cuts the power of the server that was just killed.
    pub(crate) fn cut(&mut self, random: &mut Random) -> Result<(), String> {
        // Either nothing unsynced reached the disk, or some of it did.
        let is_strict = random.once_in(3);
        self.try_cut(is_strict, random).map_err(|error| format!("playing a power loss: {error}"))
    }

    fn try_cut(&mut self, is_strict: bool, random: &mut Random) -> io::Result<()> {
        let folders = self.live_folders()?;
        let next = self.data.with_extension("next");
        fs::create_dir(&next)?;
        let mut waiting = vec![(fs::metadata(&self.data)?.ino(), next.clone())];
        while let Some((inode, target)) = waiting.pop() {
            let synced = fs::read_to_string(self.aside("dirs", inode)).unwrap_or_default();
            let written = folders.get(&inode).map_or("", String::as_str);
            let keeps_written = !is_strict && random.once_in(2);
            if !keeps_written && sorted(&synced) != sorted(written) {
                self.taken.listings += 1;
            }
            let listing = if keeps_written { written } else { &synced };
            for line in sorted(listing) {
                let mut parts = line.splitn(3, ' ');
                let (Some(kind), Some(inode), Some(name)) = (parts.next(), parts.next(), parts.next()) else {
                    continue;
                };
                let inode = inode.parse().map_err(io::Error::other)?;
                let target = target.join(name);
                if kind == "d" {
                    fs::create_dir(&target)?;
                    waiting.push((inode, target));
                } else {
                    self.restore(inode, &target, is_strict, random)?;
                }
            }
        }
        fs::remove_dir_all(&self.data)?;
        fs::rename(&next, &self.data)
    }

    /// Puts a file into the new directory.
    fn restore(&mut self, inode: u64, target: &Path, is_strict: bool, random: &mut Random) -> io::Result<()> {
        let (held, synced) = (self.aside("held", inode), self.aside("synced", inode));
        if !held.exists() {
            // Made a moment before the kill; nothing was written to it.
            return File::create(target).map(drop);
        }
        if !synced.exists() {
            if self.before.contains(&inode) {
                return fs::hard_link(held, target);
            }
            File::create(&synced)?;
        }
        let choice = if is_strict { 0 } else { random.below(4) };
        match choice {
            0 => self.taken.count(&compare(&synced, &held, |_| false)?),
            1 => return fs::hard_link(held, target),
            _ => {
                let difference = compare(&synced, &held, |_| random.once_in(2))?;
                let is_longer = random.once_in(2);
                let file = OpenOptions::new().write(true).open(&synced)?;
                let (before, after) = (file.metadata()?.len(), fs::metadata(&held)?.len());
                let len = if is_longer { after } else { before };
                for (at, block) in &difference.kept {
                    file.write_all_at(block, *at)?;
                }
                file.set_len(len)?;
                self.taken.count(&difference);
            }
        }
        fs::hard_link(synced, target)
    }

    fn live_folders(&self) -> io::Result<HashMap<u64, String>> {
        let mut listings = HashMap::new();
        let mut folders = vec![self.data.clone()];
        while let Some(folder) = folders.pop() {
            let mut listing = String::new();
            for entry in fs::read_dir(&folder)? {
                let entry = entry?;
                let is_folder = entry.file_type()?.is_dir();
                listing.push_str(&line(&entry, is_folder));
                if is_folder {
                    folders.push(entry.path());
                }
            }
            listings.insert(fs::metadata(&folder)?.ino(), listing);
        }
        Ok(listings)
    }

    fn aside(&self, kind: &str, inode: u64) -> PathBuf {
        self.shadow.join(kind).join(inode.to_string())
    }
}

impl Taken {
    fn count(&mut self, difference: &Difference) {
        self.files += u64::from(difference.lost > 0);
        self.blocks += difference.lost;
        if difference.lost > 0 && !difference.kept.is_empty() {
            self.torn_files += 1;
            self.torn_blocks += difference.kept.len() as u64;
        }
    }
}

/// Where a file's written content differs from its synced one.
#[derive(Debug, Default)]
struct Difference {
    lost: u64,
    kept: Vec<(u64, Vec<u8>)>,
}

/// Compares block by block; `keep` says which differing blocks of the written file stay.
fn compare(synced: &Path, written: &Path, mut keep: impl FnMut(u64) -> bool) -> io::Result<Difference> {
    let (synced, written) = (fs::read(synced)?, fs::read(written)?);
    let mut difference = Difference::default();
    let blocks = synced.len().max(written.len()).div_ceil(BLOCK);
    for number in 0..blocks {
        let after = block(&written, number);
        if block(&synced, number) == after {
            continue;
        }
        let at = (number * BLOCK) as u64;
        if keep(at) {
            difference.kept.push((at, after.to_vec()));
        } else {
            difference.lost += 1;
        }
    }
    Ok(difference)
}

/// A block of a file, short or empty at its end.
fn block(bytes: &[u8], number: usize) -> &[u8] {
    let from = (number * BLOCK).min(bytes.len());
    &bytes[from..bytes.len().min(from + BLOCK)]
}

fn line(entry: &fs::DirEntry, is_folder: bool) -> String {
    let kind = if is_folder { 'd' } else { 'f' };
    format!("{kind} {} {}\n", entry.ino(), entry.file_name().to_string_lossy())
}

fn sorted(listing: &str) -> Vec<&str> {
    let mut lines: Vec<_> = listing.lines().collect();
    lines.sort_unstable();
    lines
}
