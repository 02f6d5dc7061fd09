//! The hot tail: the newest units of a stream in memory, so that readers at the tail
//! cost no store access.
//!
//! Small units are merged as they age, sixteen at a time, so that a read of many units
//! is a read of few buffers; each byte is copied at most twice.

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use bytes::{Bytes, BytesMut};
use durable_streams_protocol::offset::Position;

use crate::store::Unit;

/// How many neighbours are merged at once.
const RUN: usize = 16;
/// Times a byte is copied at most.
const MAX_LEVEL: u8 = 2;
/// Segments of this size and above are left alone. Units: bytes.
const LARGE: usize = 32 << 10;

/// Memory for hot tails over all streams.
#[derive(Debug)]
pub(super) struct Budget {
    used: AtomicUsize,
    limit: usize,
}

impl Budget {
    pub(super) const fn new(limit: usize) -> Self {
        Self { used: AtomicUsize::new(0), limit }
    }

    pub(super) fn is_exceeded(&self) -> bool {
        self.used.load(Ordering::Relaxed) > self.limit
    }
}

/// The newest units of one stream, contiguous up to the tail.
#[derive(Debug)]
pub(super) struct HotTail {
    segments: VecDeque<Segment>,
    bytes: usize,
    budget: Arc<Budget>,
}

#[derive(Debug)]
struct Segment {
    at: u64,
    data: Bytes,
    /// Ends of the units inside, relative to `at`, without the last one.
    inner_ends: Vec<u32>,
    level: u8,
}

impl Segment {
    const fn end(&self) -> u64 {
        self.at + self.data.len() as u64
    }
}

/// What a look into the hot tail gave.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Look {
    /// Data from the position on; ends at a unit's end.
    Hit(Vec<Bytes>),
    /// The position is older than the hot tail.
    Cold,
    /// The position lies inside a unit: never issued.
    NotAUnit,
}

impl HotTail {
    pub(super) const fn new(budget: Arc<Budget>) -> Self {
        Self { segments: VecDeque::new(), bytes: 0, budget }
    }

    /// Adds a unit at the tail and drops what is over the limit, oldest first.
    pub(super) fn push(&mut self, at: Position, data: Bytes, limit: usize) {
        self.bytes += data.len();
        self.budget.used.fetch_add(data.len(), Ordering::Relaxed);
        let level = if data.len() >= LARGE { u8::MAX } else { 0 };
        self.segments.push_back(Segment { at: at.0, data, inner_ends: Vec::new(), level });
        self.merge();
        while self.bytes > limit || (self.budget.is_exceeded() && self.segments.len() > 1) {
            let Some(oldest) = self.segments.pop_front() else { break };
            self.forget(oldest.data.len());
        }
    }

    /// Data from a position up to the tail or until `max_bytes` are full.
    pub(super) fn look(&self, from: Position, max_bytes: usize) -> Look {
        let from = from.0;
        if self.segments.front().is_none_or(|first| from < first.at) {
            return Look::Cold;
        }
        let mut index = self.segments.partition_point(|segment| segment.end() <= from);
        let mut found = Vec::new();
        let mut budget = max_bytes;
        let mut skip = 0;
        if let Some(segment) = self.segments.get(index) {
            skip = (from - segment.at) as usize;
            if skip > 0 && segment.inner_ends.binary_search(&(skip as u32)).is_err() {
                return Look::NotAUnit;
            }
        }
        while let Some(segment) = self.segments.get(index) {
            let rest = segment.data.len() - skip;
            if rest <= budget {
                found.push(segment.data.slice(skip..));
                budget -= rest;
            } else {
                // The last segment that fits in part: cut at a unit's end.
                let limit = skip + budget;
                let mut ends = segment.inner_ends.iter().map(|end| *end as usize).filter(|end| *end > skip);
                let end = if found.is_empty() {
                    let first = ends.next().unwrap_or(segment.data.len());
                    ends.take_while(|end| *end <= limit).last().unwrap_or(first)
                } else {
                    ends.take_while(|end| *end <= limit).last().unwrap_or(skip)
                };
                if end > skip {
                    found.push(segment.data.slice(skip..end));
                }
                break;
            }
            skip = 0;
            index += 1;
        }
        Look::Hit(found)
    }

    /// Takes over units read from the store, when they reach further back than what is
    /// hot and end at the tail.
    pub(super) fn warm(&mut self, units: &[Unit], limit: usize) {
        let Some(first) = units.first() else { return };
        if self.budget.is_exceeded() || self.segments.front().is_some_and(|hot| hot.at <= first.at.0) {
            return;
        }
        self.clear();
        for unit in units {
            self.push(unit.at, unit.data.clone(), limit);
        }
    }

    /// Drops everything.
    pub(super) fn clear(&mut self) {
        self.segments.clear();
        let bytes = self.bytes;
        self.forget(bytes);
    }

    fn forget(&mut self, bytes: usize) {
        self.bytes -= bytes;
        self.budget.used.fetch_sub(bytes, Ordering::Relaxed);
    }

    fn merge(&mut self) {
        loop {
            let Some(level) = self.segments.back().map(|segment| segment.level) else { return };
            let count = self.segments.len();
            if level >= MAX_LEVEL || count < RUN || self.segments[count - RUN].level != level {
                return;
            }
            let run = self.segments.split_off(count - RUN);
            let at = run[0].at;
            let mut data = BytesMut::with_capacity(run.iter().map(|segment| segment.data.len()).sum());
            let mut inner_ends = Vec::with_capacity(RUN);
            for segment in &run {
                let start = data.len() as u32;
                if start > 0 {
                    inner_ends.push(start);
                }
                inner_ends.extend(segment.inner_ends.iter().map(|end| start + end));
                data.extend_from_slice(&segment.data);
            }
            let level = if data.len() >= LARGE { u8::MAX } else { level + 1 };
            self.segments.push_back(Segment { at, data: data.freeze(), inner_ends, level });
        }
    }
}

impl Drop for HotTail {
    fn drop(&mut self) {
        self.clear();
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn tail() -> HotTail {
        HotTail::new(Arc::new(Budget::new(usize::MAX)))
    }

    #[test]
    fn the_oldest_units_go_first() {
        let mut hot = tail();
        hot.push(Position(0), Bytes::from_static(b"aaaa"), 10);
        hot.push(Position(4), Bytes::from_static(b"bbbb"), 10);
        hot.push(Position(8), Bytes::from_static(b"cccc"), 10);
        assert_eq!(hot.look(Position(0), 100), Look::Cold);
        assert_eq!(
            hot.look(Position(4), 100),
            Look::Hit(vec![Bytes::from_static(b"bbbb"), Bytes::from_static(b"cccc")])
        );
    }

    proptest! {
        /// The plain model: a list of units.
        #[test]
        fn merged_units_read_as_if_unmerged(
            lens in prop::collection::vec(1_usize..300, 1..600),
            from_unit in any::<prop::sample::Index>(),
            max_bytes in 1_usize..20_000,
        ) {
            let mut hot = tail();
            let (mut at, mut units) = (0_usize, Vec::new());
            for (index, len) in lens.iter().enumerate() {
                let data = vec![index as u8; *len];
                hot.push(Position(at as u64), Bytes::from(data.clone()), usize::MAX);
                units.push((at, data));
                at += len;
            }
            let first = from_unit.index(units.len());
            let mut expected = Vec::new();
            for (_, data) in &units[first..] {
                if !expected.is_empty() && expected.len() + data.len() > max_bytes {
                    break;
                }
                expected.extend_from_slice(data);
            }
            let Look::Hit(found) = hot.look(Position(units[first].0 as u64), max_bytes) else {
                return Err(TestCaseError::fail("expected a hit"));
            };
            prop_assert_eq!(found.concat(), expected);
            if units[first].1.len() > 1 {
                prop_assert_eq!(hot.look(Position(units[first].0 as u64 + 1), max_bytes), Look::NotAUnit);
            }
        }
    }
}
