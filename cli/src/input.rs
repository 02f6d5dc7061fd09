//! Standard input, read by a thread of its own so that waiting for it never blocks the rest.

use std::{
    io::{self, BufRead, BufReader, Read},
    thread,
};

use tokio::sync::mpsc;

/// Read at once at most this much.
const BLOCK_BYTES: usize = 1 << 16;
/// Blocks read ahead of the writer.
const BLOCKS_AHEAD: usize = 16;

/// Whole lines, as many as were there to read.
#[derive(Debug, Default)]
pub struct LineBlock {
    /// Number of the first line, from 1.
    pub first_line: u64,
    /// The lines with their line feeds.
    pub bytes: Vec<u8>,
}

impl LineBlock {
    /// The lines with their numbers, line feeds included.
    pub fn lines(&self) -> impl Iterator<Item = (u64, &[u8])> {
        (self.first_line..).zip(self.bytes.split_inclusive(|byte| *byte == b'\n'))
    }
}

/// Reads lines in the background; the channel ends with the input.
pub fn lines(reader: impl Read + Send + 'static) -> mpsc::Receiver<io::Result<LineBlock>> {
    let (sender, receiver) = mpsc::channel(BLOCKS_AHEAD);
    thread::spawn(move || {
        let mut blocks =
            Lines { reader: BufReader::with_capacity(BLOCK_BYTES, reader), rest: Vec::new(), next_line: 1 };
        while let Some(block) = blocks.next_block().transpose() {
            let failed = block.is_err();
            if sender.blocking_send(block).is_err() || failed {
                break;
            }
        }
    });
    receiver
}

/// Reads up to `limit` bytes; fewer mean that the input ended.
pub fn up_to(reader: &mut impl Read, limit: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    reader.take(limit as u64).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Reads pieces of at most `limit` bytes in the background, each as full as the input allows.
pub fn pieces(mut reader: impl Read + Send + 'static, limit: usize) -> mpsc::Receiver<io::Result<Vec<u8>>> {
    let (sender, receiver) = mpsc::channel(2);
    thread::spawn(move || {
        loop {
            let piece = up_to(&mut reader, limit);
            let last = piece.as_ref().map_or(true, |piece| piece.len() < limit);
            if piece.as_ref().is_ok_and(Vec::is_empty) || sender.blocking_send(piece).is_err() || last {
                break;
            }
        }
    });
    receiver
}

struct Lines<R> {
    reader: BufReader<R>,
    /// The begin of a line whose end has not been read yet.
    rest: Vec<u8>,
    next_line: u64,
}

impl<R: Read> Lines<R> {
    fn next_block(&mut self) -> io::Result<Option<LineBlock>> {
        loop {
            let read = match self.reader.fill_buf() {
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            let length = read.len();
            if length == 0 {
                let last = std::mem::take(&mut self.rest);
                return Ok((!last.is_empty()).then(|| self.block(last)));
            }
            let whole = read.iter().rposition(|byte| *byte == b'\n').map(|end| end + 1);
            let split = whole.unwrap_or(length);
            self.rest.extend_from_slice(&read[..split]);
            let begun = read[split..].to_vec();
            self.reader.consume(length);
            if whole.is_some() {
                let bytes = std::mem::replace(&mut self.rest, begun);
                return Ok(Some(self.block(bytes)));
            }
        }
    }

    fn block(&mut self, bytes: Vec<u8>) -> LineBlock {
        let first_line = self.next_line;
        self.next_line += bytes.iter().filter(|byte| **byte == b'\n').count() as u64;
        LineBlock { first_line, bytes }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives one byte per read, the hardest case for line ends.
    struct Trickle(&'static [u8]);

    impl Read for Trickle {
        fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
            let Some((first, rest)) = self.0.split_first() else { return Ok(0) };
            out[0] = *first;
            self.0 = rest;
            Ok(1)
        }
    }

    fn all(mut blocks: mpsc::Receiver<io::Result<LineBlock>>) -> Vec<(u64, String)> {
        let mut found = Vec::new();
        while let Some(block) = blocks.blocking_recv() {
            let block = block.expect("readable");
            found.extend(block.lines().map(|(n, line)| (n, String::from_utf8_lossy(line).into_owned())));
        }
        found
    }

    #[test]
    fn lines_are_whole_and_numbered_however_they_arrive() {
        let wanted = [(1, "a\n".to_owned()), (2, "\n".to_owned()), (3, "bc\n".to_owned()), (4, "d".to_owned())];
        assert_eq!(all(lines(Trickle(b"a\n\nbc\nd"))), wanted);
        assert_eq!(all(lines(&b"a\n\nbc\nd"[..])), wanted);
        assert!(all(lines(&b""[..])).is_empty());
    }

    #[test]
    fn pieces_are_full_but_the_last() {
        let mut pieces = pieces(Trickle(b"abcdefgh"), 3);
        let mut found = Vec::new();
        while let Some(piece) = pieces.blocking_recv() {
            found.push(piece.expect("readable"));
        }
        assert_eq!(found, [b"abc".to_vec(), b"def".to_vec(), b"gh".to_vec()]);
    }
}
