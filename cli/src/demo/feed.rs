//! The demo's input: an NDJSON file read line by line, at any size.

use std::{
    fs::File,
    io::{self, BufRead, BufReader},
    path::{Path, PathBuf},
};

use crate::messages::{check, compact_into};

/// Lines of a file up to a byte position; blank lines are left out.
pub struct Feed {
    path: PathBuf,
    lines: BufReader<File>,
    line: Vec<u8>,
    message: Vec<u8>,
    line_number: u64,
    position: u64,
    end: u64,
}

impl Feed {
    /// Opens the whole file.
    pub fn open(path: &Path) -> io::Result<Self> {
        Self::up_to(path, u64::MAX)
    }

    /// Opens the lines that begin before the byte `end`.
    pub fn up_to(path: &Path, end: u64) -> io::Result<Self> {
        Ok(Self {
            path: path.to_owned(),
            lines: BufReader::with_capacity(1 << 16, File::open(path)?),
            line: Vec::new(),
            message: Vec::new(),
            line_number: 0,
            position: 0,
            end,
        })
    }

    /// Goes to the next line that is not blank; false at the end.
    /// Errors: one that names file and line when the line is not JSON.
    pub fn advance(&mut self) -> io::Result<bool> {
        while self.position < self.end {
            self.line.clear();
            let read = self.lines.read_until(b'\n', &mut self.line)?;
            if read == 0 {
                break;
            }
            self.position += read as u64;
            self.line_number += 1;
            if self.line.trim_ascii().is_empty() {
                continue;
            }
            check(&self.line).map_err(|error| {
                io::Error::new(
                    io::ErrorKind::InvalidData,
                    format!("{} line {} is not JSON: {error}", self.path.display(), self.line_number),
                )
            })?;
            self.message.clear();
            compact_into(&mut self.message, &self.line);
            return Ok(true);
        }
        Ok(false)
    }

    /// The line as it stands in the file, without its end.
    pub fn line(&self) -> &[u8] {
        self.line.trim_ascii()
    }

    /// The line as a compact JSON text: what a stream is to return.
    pub fn message(&self) -> &[u8] {
        &self.message
    }

    /// Reads on, past the former end.
    pub const fn extend_to(&mut self, end: u64) {
        self.end = end;
    }

    /// The byte after the last line read.
    pub const fn position(&self) -> u64 {
        self.position
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().expect("temporary file");
        std::fs::write(file.path(), text).expect("written");
        file
    }

    fn all(feed: &mut Feed) -> Vec<String> {
        let mut messages = Vec::new();
        while feed.advance().expect("JSON lines") {
            messages.push(String::from_utf8(feed.message().to_vec()).expect("UTF-8"));
        }
        messages
    }

    #[test]
    fn lines_come_compact_and_blank_ones_not_at_all() {
        let text = "{\"a\": 1}\r\n\n [1, 2] \n\"last\"";
        let file = file(text);
        let mut feed = Feed::open(file.path()).expect("opened");
        assert_eq!(all(&mut feed), ["{\"a\":1}", "[1,2]", "\"last\""]);
        assert_eq!(feed.position(), text.len() as u64);
    }

    #[test]
    fn the_line_itself_keeps_its_blanks() {
        let file = file(" {\"a\": 1}\r\n");
        let mut feed = Feed::open(file.path()).expect("opened");
        assert!(feed.advance().expect("JSON"));
        assert_eq!((feed.line(), feed.message()), (&b"{\"a\": 1}"[..], &b"{\"a\":1}"[..]));
    }

    #[test]
    fn a_feed_stops_at_a_line_and_goes_on_from_it() {
        let file = file("1\n22\n333\n4444\n");
        let mut feed = Feed::up_to(file.path(), 4).expect("opened");
        assert_eq!(all(&mut feed), ["1", "22"]);
        assert_eq!(feed.position(), 5);
        feed.extend_to(u64::MAX);
        assert_eq!(all(&mut feed), ["333", "4444"]);
    }

    #[test]
    fn a_bad_line_is_named() {
        let file = file("{}\nnot json\n");
        let mut feed = Feed::open(file.path()).expect("opened");
        assert!(feed.advance().expect("first line"));
        let error = feed.advance().expect_err("second line").to_string();
        assert!(error.contains("line 2"), "{error}");
    }
}
