//! What became of every message. Messages are counted from 0 in the order of their
//! `append` calls; a batch is a range of them. Memory is bounded by the batches not yet
//! settled plus a short history.

use std::{
    collections::{BTreeMap, VecDeque},
    ops::{AddAssign, Range, Sub},
};

use super::cause::Cause;
use crate::Offset;

/// Settled batches whose details are kept for late questions.
const HISTORY: usize = 1024;

/// The server's receipt for a message.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Acknowledgement {
    /// Offset after the batch of the message; `None` when the server did not say, or when
    /// the question came more than 1,024 batches late.
    pub offset: Option<Offset>,
    /// Whether the server had accepted the batch before, for instance because the answer to
    /// the first attempt was lost. A fresh producer that reuses id and epoch also sees its
    /// data swallowed this way.
    pub duplicate: bool,
    /// Epoch the batch was accepted under.
    pub epoch: u64,
    /// Sequence number of the batch.
    pub seq: u64,
}

/// Where a message stands.
#[derive(Debug)]
pub(super) enum Fate {
    Pending,
    Stored(Acknowledgement),
    Lost(Cause),
}

/// The books of a producer.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    /// Messages taken so far.
    accepted: Tally,
    /// Those of them that are in a batch, or never will be.
    sealed: Tally,
    /// Those of them whose fate is known.
    settled: Tally,
    /// Messages below this number are in a batch, or never will be.
    sealed_below: u64,
    /// Messages below this number are settled.
    settled_below: u64,
    /// Batches from `first_batch` on.
    records: VecDeque<Record>,
    first_batch: u64,
    /// So many records at the front are settled.
    settled_records: usize,
    failures: Vec<(Range<u64>, Cause)>,
    /// Messages refused after they were taken: no JSON, as it turned out.
    refused: BTreeMap<u64, Cause>,
    loss: Option<Loss>,
    flushes: u64,
}

/// Messages and their bytes.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) messages: u64,
    pub(super) bytes: u64,
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.messages += other.messages;
        self.bytes += other.bytes;
    }
}

impl Sub for Tally {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self { messages: self.messages - other.messages, bytes: self.bytes - other.bytes }
    }
}

#[derive(Debug)]
struct Record {
    messages: Range<u64>,
    size: Tally,
    outcome: Option<Outcome>,
}

#[derive(Debug)]
enum Outcome {
    Stored(Acknowledgement),
    Lost,
}

/// The first failure that no flush has reported.
#[derive(Debug)]
struct Loss {
    cause: Cause,
    /// Number of flushes begun when one reported it.
    reported: Option<u64>,
}

impl Ledger {
    /// Counts a message in and returns its number.
    pub(super) fn accept(&mut self, bytes: usize) -> u64 {
        let number = self.accepted.messages;
        self.accepted += Tally { messages: 1, bytes: bytes as u64 };
        number
    }

    /// What was taken so far.
    pub(super) const fn accepted(&self) -> Tally {
        self.accepted
    }

    /// What is settled.
    pub(super) const fn settled(&self) -> Tally {
        self.settled
    }

    /// Notes that everything taken so far that is in no batch yet makes up the next one.
    pub(super) fn seal(&mut self, batch: u64) {
        if self.records.is_empty() {
            self.first_batch = batch;
        }
        debug_assert_eq!(batch, self.first_batch + self.records.len() as u64);
        let messages = self.sealed_below..self.accepted.messages;
        self.records.push_back(Record { messages, size: self.accepted - self.sealed, outcome: None });
        self.sealed_below = self.accepted.messages;
        self.sealed = self.accepted;
    }

    /// Notes that the server has a batch.
    pub(super) fn store(&mut self, batch: u64, receipt: Acknowledgement) {
        let index = batch.checked_sub(self.first_batch).and_then(|index| usize::try_from(index).ok());
        if let Some(record) = index.and_then(|index| self.records.get_mut(index)) {
            record.outcome = Some(Outcome::Stored(receipt));
            self.settled += record.size;
            self.advance();
        }
    }

    /// Notes that all batches from `batch` on are given up, and everything not yet sealed.
    pub(super) fn fail_from(&mut self, batch: u64, cause: &Cause) {
        let skipped = usize::try_from(batch.saturating_sub(self.first_batch)).unwrap_or(usize::MAX);
        let mut lost: Option<Range<u64>> = None;
        for record in self.records.iter_mut().skip(skipped).filter(|record| record.outcome.is_none()) {
            record.outcome = Some(Outcome::Lost);
            self.settled += record.size;
            match &mut lost {
                Some(run) if run.end == record.messages.start => run.end = record.messages.end,
                Some(run) => {
                    self.failures.push((run.clone(), cause.clone()));
                    *run = record.messages.clone();
                }
                None => lost = Some(record.messages.clone()),
            }
        }
        if self.sealed != self.accepted {
            self.failures.push((self.sealed_below..self.accepted.messages, cause.clone()));
            self.settled += self.accepted - self.sealed;
            self.sealed = self.accepted;
            self.sealed_below = self.accepted.messages;
            lost.get_or_insert(0..0);
        }
        if let Some(run) = lost {
            self.failures.push((run, cause.clone()));
            self.note_loss(cause.clone());
        }
        self.advance();
    }

    /// Notes that a message taken earlier cannot be sent.
    pub(super) fn refuse(&mut self, number: u64, bytes: usize, cause: Cause) {
        let size = Tally { messages: 1, bytes: bytes as u64 };
        self.settled += size;
        self.sealed += size;
        self.refused.insert(number, cause.clone());
        self.note_loss(cause);
    }

    /// Notes that something the caller meant to write will not be written.
    pub(super) fn note_loss(&mut self, cause: Cause) {
        if self.loss.as_ref().is_none_or(|loss| loss.reported.is_some()) {
            self.loss = Some(Loss { cause, reported: None });
        }
    }

    /// Begins a flush: its number for [`Ledger::take_loss`].
    pub(super) const fn begin_flush(&mut self) -> u64 {
        self.flushes += 1;
        self.flushes
    }

    /// The failure a flush has to report: the first since the last flush that reported
    /// one. Flushes that overlap report the same.
    pub(super) fn take_loss(&mut self, flush: u64) -> Option<Cause> {
        let now = self.flushes;
        let loss = self.loss.as_mut()?;
        let reported = *loss.reported.get_or_insert(now);
        (reported >= flush).then(|| loss.cause.clone())
    }

    /// Whether all messages below a number are settled.
    pub(super) fn is_settled_below(&self, number: u64) -> bool {
        number <= self.settled_below || self.accepted == self.settled
    }

    /// Where a message stands.
    pub(super) fn fate(&self, number: u64) -> Fate {
        if let Some(cause) = self.refused.get(&number) {
            return Fate::Lost(cause.clone());
        }
        if let Some((_, cause)) = self.failures.iter().find(|(range, _)| range.contains(&number)) {
            return Fate::Lost(cause.clone());
        }
        let index = self.records.partition_point(|record| record.messages.end <= number);
        let record = self.records.get(index).filter(|record| record.messages.contains(&number));
        match record.map(|record| &record.outcome) {
            Some(Some(Outcome::Stored(receipt))) => Fate::Stored(receipt.clone()),
            None if number < self.settled_below => {
                Fate::Stored(Acknowledgement { offset: None, duplicate: false, epoch: 0, seq: 0 })
            }
            _ => Fate::Pending,
        }
    }

    fn advance(&mut self) {
        while let Some(record) = self.records.get(self.settled_records)
            && record.outcome.is_some()
        {
            self.settled_below = record.messages.end;
            self.settled_records += 1;
        }
        while self.settled_records > HISTORY {
            self.records.pop_front();
            self.first_batch += 1;
            self.settled_records -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::{ErrorCode, Failure};

    fn cause(text: &str) -> Cause {
        Cause::from(Failure::new(ErrorCode::NotFound, text))
    }

    fn receipt(seq: u64) -> Acknowledgement {
        Acknowledgement { offset: None, duplicate: false, epoch: 1, seq }
    }

    /// A ledger with batches of two messages.
    fn ledger(batches: u64) -> Ledger {
        let mut ledger = Ledger::default();
        for batch in 0..batches {
            ledger.accept(10);
            ledger.accept(10);
            ledger.seal(batch);
        }
        ledger
    }

    fn told(ledger: &Ledger, messages: Range<u64>) -> Vec<String> {
        messages
            .map(|number| match ledger.fate(number) {
                Fate::Pending => "pending".to_owned(),
                Fate::Stored(receipt) => format!("stored {}", receipt.seq),
                Fate::Lost(cause) => cause.failure.detail().to_owned(),
            })
            .collect()
    }

    #[test]
    fn a_message_shares_the_fate_of_its_batch() {
        let mut ledger = ledger(3);
        ledger.accept(10);
        ledger.store(1, receipt(1));
        assert!(!ledger.is_settled_below(2));
        ledger.store(0, receipt(0));
        assert!(ledger.is_settled_below(4));
        assert_eq!(told(&ledger, 2..7), ["stored 1", "stored 1", "pending", "pending", "pending"]);
        assert_eq!(ledger.settled(), Tally { messages: 4, bytes: 40 });
    }

    #[test]
    fn a_failure_takes_later_batches_and_the_unsealed_rest_but_nothing_stored() {
        let mut ledger = ledger(4);
        ledger.accept(10);
        ledger.store(2, receipt(2));
        ledger.fail_from(1, &cause("gone"));
        assert_eq!(
            told(&ledger, 0..9),
            ["pending", "pending", "gone", "gone", "stored 2", "stored 2", "gone", "gone", "gone"]
        );
        assert!(!ledger.is_settled_below(9));
        ledger.store(0, receipt(0));
        assert!(ledger.is_settled_below(9));
        assert_eq!(ledger.accepted(), ledger.settled());
    }

    #[test]
    fn life_goes_on_after_a_failure() {
        let mut ledger = ledger(1);
        ledger.fail_from(0, &cause("gone"));
        ledger.accept(10);
        ledger.seal(1);
        assert_eq!(told(&ledger, 0..3), ["gone", "gone", "pending"]);
        ledger.store(1, receipt(0));
        assert_eq!(told(&ledger, 2..3), ["stored 0"]);
        assert!(ledger.is_settled_below(3));
    }

    #[test]
    fn details_of_old_batches_are_forgotten_but_not_their_fate() {
        let mut ledger = Ledger::default();
        for batch in 0..5_000 {
            ledger.accept(10);
            ledger.seal(batch);
            ledger.store(batch, receipt(7));
        }
        assert_eq!(ledger.records.len(), HISTORY);
        assert_eq!(told(&ledger, 0..1), ["stored 0"]);
        assert_eq!(told(&ledger, 4_999..5_000), ["stored 7"]);
    }

    #[test]
    fn a_loss_is_reported_once_to_each_flush_that_could_have_met_it() {
        let mut ledger = Ledger::default();
        let (first, second) = (ledger.begin_flush(), ledger.begin_flush());
        ledger.note_loss(cause("one"));
        ledger.note_loss(cause("two"));
        let detail = |loss: Option<Cause>| loss.map(|cause| cause.failure.detail().to_owned());
        assert_eq!(detail(ledger.take_loss(first)).as_deref(), Some("one"));
        assert_eq!(detail(ledger.take_loss(second)).as_deref(), Some("one"));
        let third = ledger.begin_flush();
        assert_eq!(detail(ledger.take_loss(third)), None);
        ledger.note_loss(cause("three"));
        assert_eq!(detail(ledger.take_loss(third)).as_deref(), Some("three"));
    }
}
