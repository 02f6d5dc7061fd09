//! What was written, what was read, and whether the two agree. No I/O.

use std::{collections::HashMap, fmt, ops::AddAssign};

use crate::random::mix;

/// One message: who wrote it and its number there, from 0 on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Message {
    /// One life of one writer; a writer that is abandoned gets a new one.
    pub(crate) life: u64,
    /// Number within the life.
    pub(crate) number: u64,
}

impl Message {
    /// The text on the wire; its length and padding follow from the numbers.
    pub(crate) fn text(self) -> String {
        let spread = mix(self.life.wrapping_mul(0x1_0000_0001) ^ self.number);
        // Some are large enough to be stored apart from the index.
        let padding = if spread.is_multiple_of(24) { 4096 + spread % 8192 } else { spread % 160 };
        format!("{}:{}:{}", self.life, self.number, "x".repeat(usize::try_from(padding).unwrap_or_default()))
    }

    /// Reads a text back; `None` when it is not exactly what was written.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut parts = text.splitn(3, ':');
        let message = Self { life: parts.next()?.parse().ok()?, number: parts.next()?.parse().ok()? };
        (message.text() == text).then_some(message)
    }
}

/// What one life of a writer knows about its messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Life {
    /// Which.
    pub(crate) life: u64,
    /// Messages handed to the producer: numbers `0..sent`.
    pub(crate) sent: u64,
    /// Messages acknowledged: numbers `0..acknowledged`.
    pub(crate) acknowledged: u64,
}

/// What a check found.
#[derive(Debug, Default)]
pub(crate) struct Verdict {
    /// Messages acknowledged and there.
    pub(crate) acknowledged: u64,
    /// Messages there without an acknowledgement, which is fine once.
    pub(crate) unacknowledged: u64,
    /// Messages acknowledged and not there.
    pub(crate) lost: u64,
    /// Repeats of any message.
    pub(crate) doubled: u64,
    /// Everything wrong, in words.
    pub(crate) findings: Vec<String>,
}

impl AddAssign for Verdict {
    fn add_assign(&mut self, other: Self) {
        self.acknowledged += other.acknowledged;
        self.unacknowledged += other.unacknowledged;
        self.lost += other.lost;
        self.doubled += other.doubled;
        self.findings.extend(other.findings);
    }
}

impl Verdict {
    /// Adds a finding.
    pub(crate) fn find(&mut self, finding: impl fmt::Display) {
        self.findings.push(finding.to_string());
    }
}

/// Compares a whole stream with the lives that wrote it: every life must have left
/// exactly its first messages, in order, and at least the acknowledged ones.
pub(crate) fn check(stream: &str, lives: &[Life], found: &[Message]) -> Verdict {
    let mut verdict = Verdict::default();
    let mut next: HashMap<u64, u64> = lives.iter().map(|life| (life.life, 0)).collect();
    for message in found {
        let Message { life, number } = *message;
        match next.get_mut(&life) {
            None => verdict.find(format!("{stream}: message {number} of writer {life}, which never wrote there")),
            Some(next) if number == *next => *next += 1,
            Some(next) if number < *next => {
                verdict.doubled += 1;
                verdict.find(format!("{stream}: message {number} of writer {life} is there again"));
            }
            Some(next) => {
                verdict.lost += number - *next;
                verdict.find(format!("{stream}: writer {life}: message {number} follows {next} messages"));
                *next = number + 1;
            }
        }
    }
    for life in lives {
        let there = next.get(&life.life).copied().unwrap_or_default();
        verdict.acknowledged += there.min(life.acknowledged);
        verdict.unacknowledged += there.saturating_sub(life.acknowledged);
        if there < life.acknowledged {
            verdict.lost += life.acknowledged - there;
            verdict.find(format!(
                "{stream}: writer {}: {} messages are acknowledged, {there} are there",
                life.life, life.acknowledged
            ));
        }
        if there > life.sent {
            verdict
                .find(format!("{stream}: writer {}: {there} messages are there, {} were sent", life.life, life.sent));
        }
    }
    verdict
}

/// Compares what a live reader saw over all restarts with the stream: the same messages in
/// the same order, to the end.
pub(crate) fn check_reader(stream: &str, reader: &str, seen: &[Message], found: &[Message]) -> Verdict {
    let mut verdict = Verdict::default();
    let differs = seen.iter().zip(found).position(|(seen, found)| seen != found);
    if let Some(at) = differs {
        verdict.find(format!("{stream}: {reader} reader saw {:?} at {at}, the stream has {:?}", seen[at], found[at]));
    } else if seen.len() != found.len() {
        verdict.find(format!("{stream}: {reader} reader saw {} messages of {}", seen.len(), found.len()));
    }
    verdict
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIVES: [Life; 2] = [Life { life: 1, sent: 4, acknowledged: 2 }, Life { life: 2, sent: 1, acknowledged: 1 }];

    fn messages(numbers: &[(u64, u64)]) -> Vec<Message> {
        numbers.iter().map(|(life, number)| Message { life: *life, number: *number }).collect()
    }

    #[test]
    fn any_interleaving_with_some_unacknowledged_messages_is_fine() {
        let verdict = check("s", &LIVES, &messages(&[(1, 0), (2, 0), (1, 1), (1, 2)]));
        assert_eq!((verdict.acknowledged, verdict.unacknowledged, verdict.findings.len()), (3, 1, 0));
    }

    #[test]
    fn a_lost_message_is_found_at_the_end_and_in_the_middle() {
        let verdict = check("s", &LIVES, &messages(&[(1, 0), (2, 0)]));
        assert_eq!((verdict.lost, verdict.findings.len()), (1, 1));
        let verdict = check("s", &LIVES, &messages(&[(1, 1), (2, 0)]));
        assert_eq!((verdict.lost, verdict.findings.len()), (1, 1));
    }

    #[test]
    fn a_doubled_message_is_found_acknowledged_or_not() {
        for again in [0, 2] {
            let verdict = check("s", &LIVES, &messages(&[(1, 0), (1, 1), (1, 2), (2, 0), (1, again)]));
            assert_eq!((verdict.doubled, verdict.findings.len()), (1, 1));
        }
    }

    #[test]
    fn messages_nobody_sent_are_found() {
        let verdict = check("s", &LIVES, &messages(&[(1, 0), (1, 1), (2, 0), (2, 1), (3, 0)]));
        assert_eq!(verdict.findings.len(), 2);
    }

    #[test]
    fn a_reader_with_a_gap_a_repeat_or_a_missing_end_is_found() {
        let found = messages(&[(1, 0), (1, 1), (2, 0)]);
        assert!(check_reader("s", "SSE", &found, &found).findings.is_empty());
        for seen in [&[(1, 0), (2, 0)][..], &[(1, 0), (1, 0), (1, 1), (2, 0)], &[(1, 0), (1, 1)]] {
            assert_eq!(check_reader("s", "SSE", &messages(seen), &found).findings.len(), 1);
        }
    }

    #[test]
    fn a_message_reads_back_and_a_damaged_one_does_not() {
        for number in 0..200 {
            let message = Message { life: 7, number };
            let text = message.text();
            assert_eq!(Message::parse(&text), Some(message));
            assert_eq!(Message::parse(&format!("{text}x")), None);
        }
    }
}
