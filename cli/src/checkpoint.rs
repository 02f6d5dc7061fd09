//! Progress files: small, replaced as a whole, never half written.

use std::{
    fs, io,
    io::Write as _,
    path::{Path, PathBuf},
};

use tempfile::NamedTempFile;

/// How far a read got. Kept as text: the offset, the stream's URL and, when the read
/// stopped inside a batch, what to leave out after the offset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// Where to resume.
    pub offset: String,
    /// The stream it belongs to.
    pub url: String,
    /// Messages (JSON streams) or bytes after the offset that were printed already.
    pub skip: u64,
}

impl Checkpoint {
    /// Reads the file; `None` when there is none yet.
    /// Errors: a sentence that names the file and the fix.
    pub fn load(path: &Path, url: &str) -> Result<Option<Self>, String> {
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(format!("cannot read checkpoint \"{}\": {error}", path.display())),
        };
        let stored = Self::parse(&text).ok_or_else(|| {
            format!(
                "checkpoint \"{}\" is not one of ours; give another file, or remove it to start over",
                path.display()
            )
        })?;
        if stored.url != url {
            return Err(format!(
                "checkpoint \"{}\" belongs to {}, not to {url}; give another file for this stream",
                path.display(),
                stored.url
            ));
        }
        Ok(Some(stored))
    }

    /// Replaces the file.
    pub fn store(&self, path: &Path) -> Result<(), String> {
        replace(path, &self.to_text())
    }

    fn parse(text: &str) -> Option<Self> {
        let mut lines = text.lines();
        let offset = lines.next().filter(|offset| !offset.is_empty() && !offset.contains(char::is_whitespace))?;
        let url = lines.next().filter(|url| url.starts_with("http"))?;
        let skip = match lines.next() {
            None => 0,
            Some(line) => line.strip_prefix("skip ")?.parse().ok()?,
        };
        Some(Self { offset: offset.to_owned(), url: url.to_owned(), skip })
    }

    fn to_text(&self) -> String {
        let Self { offset, url, skip } = self;
        if *skip == 0 { format!("{offset}\n{url}\n") } else { format!("{offset}\n{url}\nskip {skip}\n") }
    }
}

/// Replaces a file as a whole: a crash leaves the old or the new text, never a mix.
pub fn replace(path: &Path, text: &str) -> Result<(), String> {
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    };
    let write = || -> io::Result<()> {
        let mut file = NamedTempFile::new_in(&folder)?;
        file.write_all(text.as_bytes())?;
        file.as_file().sync_data()?;
        file.persist(path)?;
        Ok(())
    };
    write().map_err(|error| format!("cannot write \"{}\": {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(offset: &str, skip: u64) -> Checkpoint {
        Checkpoint { offset: offset.to_owned(), url: "http://h/s".to_owned(), skip }
    }

    #[test]
    fn what_was_stored_is_loaded() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let path = dir.path().join("mark");
        assert_eq!(Checkpoint::load(&path, "http://h/s"), Ok(None));
        for checkpoint in [at("0_1", 0), at("0_2", 7)] {
            checkpoint.store(&path).expect("stored");
            assert_eq!(Checkpoint::load(&path, "http://h/s"), Ok(Some(checkpoint)));
        }
        let left: Vec<_> = fs::read_dir(dir.path()).expect("listing").collect();
        assert_eq!(left.len(), 1, "no temporary file is left");
    }

    #[test]
    fn another_stream_and_a_foreign_file_are_refused_by_name() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let path = dir.path().join("mark");
        at("0_1", 0).store(&path).expect("stored");
        let error = Checkpoint::load(&path, "http://h/other").expect_err("other stream");
        assert!(error.contains("mark") && error.contains("http://h/s"), "{error}");
        for foreign in ["", "hello world\nhttp://h/s\n", "0_1\n", "0_1\nhttp://h/s\nskip x\n"] {
            fs::write(&path, foreign).expect("written");
            assert!(Checkpoint::load(&path, "http://h/s").expect_err("foreign").contains("mark"));
        }
    }
}
