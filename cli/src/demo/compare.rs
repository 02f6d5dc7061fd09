//! Holds what a stream returned against its input, message by message: what is missing,
//! what came twice, what came out of order. Messages have no identity of their own, so
//! position and content decide. Memory stays constant while the two agree.

use std::{
    collections::{HashMap, VecDeque},
    io,
};

use ring::digest::{Context, SHA256, digest};

/// Content hash of one message: the first half of its SHA-256.
pub type Mark = [u8; 16];

/// How far a message is searched for ahead of and behind its place.
const WINDOW: usize = 1 << 16;

/// The content hash of a compact message.
pub fn mark(message: &[u8]) -> Mark {
    let mut mark = Mark::default();
    mark.copy_from_slice(&digest(&SHA256, message).as_ref()[..16]);
    mark
}

/// Messages counted and hashed.
pub struct Tally {
    messages: u64,
    bytes: u64,
    running: Context,
}

impl Tally {
    /// A tally of nothing.
    pub fn new() -> Self {
        Self { messages: 0, bytes: 0, running: Context::new(&SHA256) }
    }

    /// Counts a message.
    pub fn add(&mut self, message: &[u8]) {
        self.messages += 1;
        self.bytes += message.len() as u64;
        self.running.update(message);
        self.running.update(b"\n");
    }

    /// Messages so far.
    pub const fn messages(&self) -> u64 {
        self.messages
    }

    /// Bytes so far.
    pub const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// SHA-256 of all messages, each followed by a line feed, in hex.
    pub fn sha256(self) -> String {
        hex(self.running.finish().as_ref())
    }
}

/// The outcome of a comparison.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Verdict {
    /// Messages the stream returned.
    pub messages: u64,
    /// Their bytes, compact.
    pub bytes: u64,
    /// Messages of the input that never came.
    pub lost: u64,
    /// Messages that came again.
    pub doubled: u64,
    /// Messages that came after one that follows them in the input.
    pub misplaced: u64,
    /// Messages that are nowhere in the input.
    pub unknown: u64,
    /// SHA-256 of all messages in the order they came, each followed by a line feed.
    pub sha256: String,
}

impl Verdict {
    /// Whether the stream returned the input, no more and no less, in order.
    pub const fn is_faithful(&self) -> bool {
        self.lost == 0 && self.doubled == 0 && self.misplaced == 0 && self.unknown == 0
    }
}

/// Compares messages, as they arrive, with the marks of the input.
pub struct Comparison<E> {
    expected: E,
    ahead: VecDeque<Mark>,
    skipped: HashMap<Mark, u64>,
    recent: Recent,
    tally: Tally,
    verdict: Verdict,
}

impl<E: FnMut() -> io::Result<Option<Mark>>> Comparison<E> {
    /// Starts a comparison; `expected` gives the input's marks one after the other.
    pub fn new(expected: E) -> Self {
        Self {
            expected,
            ahead: VecDeque::new(),
            skipped: HashMap::new(),
            recent: Recent::default(),
            tally: Tally::new(),
            verdict: Verdict::default(),
        }
    }

    /// Takes the next message of the stream, compact.
    pub fn message(&mut self, message: &[u8]) -> io::Result<()> {
        self.tally.add(message);
        let mark = mark(message);
        if self.next_is(mark)? {
            self.recent.push(mark);
        } else {
            self.place(mark)?;
        }
        Ok(())
    }

    /// Counts what never came and gives the outcome.
    pub fn finish(mut self) -> io::Result<Verdict> {
        let mut lost = self.ahead.len() as u64 + self.skipped.values().sum::<u64>();
        while (self.expected)()?.is_some() {
            lost += 1;
        }
        let (messages, bytes) = (self.tally.messages, self.tally.bytes);
        Ok(Verdict { messages, bytes, lost, sha256: self.tally.sha256(), ..self.verdict })
    }

    /// Messages so far.
    pub const fn tally(&self) -> &Tally {
        &self.tally
    }

    fn next_is(&mut self, mark: Mark) -> io::Result<bool> {
        if self.ahead.is_empty() {
            match (self.expected)()? {
                Some(next) => self.ahead.push_back(next),
                None => return Ok(false),
            }
        }
        let found = self.ahead.front() == Some(&mark);
        if found {
            self.ahead.pop_front();
        }
        Ok(found)
    }

    fn place(&mut self, mark: Mark) -> io::Result<()> {
        if let Some(open) = self.skipped.get_mut(&mark) {
            *open -= 1;
            if *open == 0 {
                self.skipped.remove(&mark);
            }
            self.verdict.misplaced += 1;
            self.recent.push(mark);
            return Ok(());
        }
        // A message seen a moment ago came again, unless the input repeats it close by:
        // then what lies between is missing, and the search ahead finds it.
        if self.recent.contains(&mark) {
            self.verdict.doubled += 1;
            return Ok(());
        }
        while self.ahead.len() < WINDOW {
            match (self.expected)()? {
                Some(next) => self.ahead.push_back(next),
                None => break,
            }
        }
        match self.ahead.iter().position(|next| *next == mark) {
            Some(place) => {
                for missed in self.ahead.drain(..place) {
                    *self.skipped.entry(missed).or_default() += 1;
                }
                self.ahead.pop_front();
                self.recent.push(mark);
            }
            None => self.verdict.unknown += 1,
        }
        Ok(())
    }
}

/// The last marks that matched.
#[derive(Default)]
struct Recent {
    order: VecDeque<Mark>,
    counts: HashMap<Mark, u64>,
}

impl Recent {
    fn push(&mut self, mark: Mark) {
        if self.order.len() == WINDOW
            && let Some(oldest) = self.order.pop_front()
            && let Some(count) = self.counts.get_mut(&oldest)
        {
            *count -= 1;
            if *count == 0 {
                self.counts.remove(&oldest);
            }
        }
        self.order.push_back(mark);
        *self.counts.entry(mark).or_default() += 1;
    }

    fn contains(&self, mark: &Mark) -> bool {
        self.counts.contains_key(mark)
    }
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(input: &str, stream: &str) -> Verdict {
        let mut input: VecDeque<_> = input.split_whitespace().map(|word| mark(word.as_bytes())).collect();
        let mut comparison = Comparison::new(move || Ok(input.pop_front()));
        for word in stream.split_whitespace() {
            comparison.message(word.as_bytes()).expect("input in memory");
        }
        comparison.finish().expect("input in memory")
    }

    fn counts(input: &str, stream: &str) -> [u64; 4] {
        let Verdict { lost, doubled, misplaced, unknown, .. } = verdict(input, stream);
        [lost, doubled, misplaced, unknown]
    }

    #[test]
    fn the_same_messages_in_order_are_faithful() {
        let same = verdict("a b c b a", "a b c b a");
        assert!(same.is_faithful());
        assert_eq!((same.messages, same.bytes), (5, 5));
        // printf 'a\nb\n' | sha256sum
        assert_eq!(verdict("a b", "a b").sha256, "911169ddaaf146aff539f58c26c489af3b892dff0fe283c1c264c65ae5aa59a2");
    }

    #[test]
    fn missing_messages_are_lost_wherever_they_stood() {
        assert_eq!(counts("a b c d", "b c d"), [1, 0, 0, 0]);
        assert_eq!(counts("a b c d", "a d"), [2, 0, 0, 0]);
        assert_eq!(counts("a b c d", "a b"), [2, 0, 0, 0]);
        assert_eq!(counts("a b", ""), [2, 0, 0, 0]);
    }

    #[test]
    fn repeated_messages_are_doubled() {
        assert_eq!(counts("a b c d", "a b b c d"), [0, 1, 0, 0]);
        assert_eq!(counts("a b c d", "a b c a b c d"), [0, 3, 0, 0]);
        assert_eq!(counts("a b", "a b b"), [0, 1, 0, 0]);
    }

    #[test]
    fn swapped_messages_are_misplaced() {
        assert_eq!(counts("a b c d", "b a c d"), [0, 0, 1, 0]);
        assert_eq!(counts("a b c d", "d a b c"), [0, 0, 3, 0]);
    }

    #[test]
    fn altered_messages_are_unknown_and_their_originals_lost() {
        assert_eq!(counts("a b c", "a x c"), [1, 0, 0, 1]);
        assert_eq!(counts("a", "a x"), [0, 0, 0, 1]);
    }

    #[test]
    fn any_difference_shows() {
        for stream in ["", "a", "a b c c", "a c b", "a b x", "c b a", "a a b c", "a b c a"] {
            assert!(!verdict("a b c", stream).is_faithful(), "{stream}");
        }
    }

    #[test]
    fn equal_messages_in_the_input_are_counted_each() {
        assert_eq!(counts("a a a", "a a a"), [0, 0, 0, 0]);
        assert_eq!(counts("a a a", "a a"), [1, 0, 0, 0]);
        assert_eq!(counts("a a a", "a a a a"), [0, 1, 0, 0]);
    }
}
