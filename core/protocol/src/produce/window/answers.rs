//! What answers do to the window: the table of protocol.md §20, from the answer on.

use std::sync::Arc;

use bytes::Bytes;

use super::{
    CLAIM_WINDOW, Closed, Event, Failure, MAX_CLAIMS_IN_A_ROW, MAX_CLAIMS_IN_WINDOW, Phase, ProducerWindow, Slot, Stage,
};
use crate::{MAX_SAFE_INTEGER, Time, error::ErrorCode, offset::Offset, response::Refusal};

impl ProducerWindow {
    pub(super) fn acknowledge(&mut self, index: usize, offset: Option<Offset>, is_duplicate: bool) {
        self.is_confirmed = true;
        self.claims_in_a_row = 0;
        self.pace.acknowledged();
        let slot = &mut self.slots[index];
        slot.stage = Stage::Acked;
        slot.plan.body = Bytes::new();
        let body_bytes = slot.batch.release();
        let (batch, state, closes) = (slot.batch.number, slot.state, slot.batch.closes);
        if let Some(offset) = &offset
            // Answers arrive in any order; the acknowledged offset only moves forward.
            && self.acked.as_ref().is_none_or(|(number, _)| *number < batch)
        {
            self.acked = Some((batch, offset.clone()));
        }
        self.events.push_back(Event::Acknowledged { batch, state, offset: offset.clone(), is_duplicate, body_bytes });
        if closes {
            let closed = Closed { final_offset: offset };
            self.phase = Phase::Closed(closed.clone());
            self.events.push_back(Event::Closed(closed));
        }
        self.pop_acked();
        self.release_waiting();
    }

    fn pop_acked(&mut self) {
        while self.slots.front().is_some_and(Slot::is_acked) {
            self.slots.pop_front();
        }
    }

    /// Lets batches go again whose lower neighbours, missed by the server, are now
    /// acknowledged.
    fn release_waiting(&mut self) {
        for index in 0..self.slots.len() {
            if let Stage::WaitingForLower { from } = self.slots[index].stage
                && self.slots.range(..index).all(|lower| lower.state.seq < from || lower.is_acked())
            {
                self.slots[index].stage = Stage::Ready;
            }
        }
    }

    /// 409 with `Producer-Expected-Seq`: early, or the server lost state.
    pub(super) fn gap(&mut self, index: usize, expected: u64, refusal: Refusal) {
        let slot = &mut self.slots[index];
        if expected >= slot.state.seq || slot.knew_acknowledged(expected) {
            let mut failure = self.failure_at(index, refusal);
            failure.facts.received_seq.get_or_insert(failure.state.seq);
            self.fail_from(index, failure);
        } else {
            slot.stage = Stage::WaitingForLower { from: expected };
            self.pace.overtaken();
            self.release_waiting();
        }
    }

    /// 403: a newer epoch is in force.
    pub(super) fn fenced(&mut self, now: Time, index: usize, refusal: Refusal) {
        let current = refusal.facts.current_epoch;
        self.foreign_epoch = self.foreign_epoch.max(current.unwrap_or(0));
        if current.is_some() && self.may_claim(now) {
            self.is_claiming = true;
            self.slots[index].stage = Stage::Ready;
            return;
        }
        // Nothing more of this epoch can be accepted. Lower batches under way may have
        // arrived in time, so their own answers decide about them.
        let is_lost = |slot: &Slot| !slot.is_under_way() && !slot.is_acked();
        let first = self.slots.range(..index).position(is_lost).unwrap_or(index);
        let failure = self.failure_at(index, refusal);
        self.fail_from(first, failure);
    }

    fn may_claim(&self, now: Time) -> bool {
        let recent = self.claim_times.iter().filter(|made| made.saturating_add(CLAIM_WINDOW) > now).count();
        let has_budget = self.claims_in_a_row < MAX_CLAIMS_IN_A_ROW && recent < MAX_CLAIMS_IN_WINDOW;
        let has_epoch = self.epoch.max(self.foreign_epoch) < MAX_SAFE_INTEGER;
        self.auto_claim && (self.is_claiming || has_budget && has_epoch)
    }

    /// Takes the next epoch and renumbers everything unacknowledged. Called when no
    /// request is under way any more, so that what the old epoch still accepted is known.
    pub(super) fn claim_epoch(&mut self, now: Time) {
        self.is_claiming = false;
        self.claims_in_a_row += 1;
        if self.claim_times.len() == MAX_CLAIMS_IN_WINDOW {
            self.claim_times.pop_front();
        }
        self.claim_times.push_back(now);
        while let Some(slot) = self.slots.pop_back() {
            if !slot.is_acked() {
                self.queued.push_front(slot.batch);
            }
        }
        self.raise_epoch();
    }

    pub(super) fn raise_epoch(&mut self) {
        let highest = self.epoch.max(self.foreign_epoch);
        if highest >= MAX_SAFE_INTEGER {
            let failure = self.refusal("no epoch is left above 9007199254740991");
            self.fail_from(0, Failure { code: ErrorCode::StaleEpoch, ..failure });
            return;
        }
        self.epoch = highest + 1;
        self.next_seq = 0;
        self.is_confirmed = false;
        self.events.push_back(Event::EpochRaised { epoch: self.epoch });
    }

    /// Repeats a batch later, or gives it up after the last try.
    pub(super) fn again(&mut self, now: Time, index: usize, refusal: Refusal) {
        if self.is_claiming {
            // The old epoch is over; the claim resends the batch under the new one.
            self.slots[index].stage = Stage::Ready;
            return;
        }
        let retry = self.slots[index].tries - 1;
        if let Some(delay) = self.retry.delay(retry, self.jitter.next(), refusal.facts.retry_after) {
            self.slots[index].stage = Stage::BackingOff { until: now.saturating_add(delay) };
        } else if self.slots.range(index + 1..).any(Slot::is_acked) {
            // The server accepts in order: it has this batch, only the answers were lost.
            self.acknowledge(index, None, true);
        } else if self.slots[index].batch.closes {
            self.slots[index].stage = Stage::Unanswered;
            let failure = self.failure_at(index, refusal);
            self.events.push_back(Event::CloseUnanswered(Arc::new(failure)));
        } else {
            let failure = self.failure_at(index, refusal);
            self.fail_from(index, failure);
        }
    }

    /// Fails the batch at `index` and everything after it: the server can never accept a
    /// later seq.
    pub(super) fn fail_from(&mut self, index: usize, failure: Failure) {
        let failure = Arc::new(failure);
        let index = index.min(self.slots.len());
        let first = self.slots.get(index).map(|slot| &slot.batch).or_else(|| self.queued.front());
        let first = first.map_or(self.next_batch, |batch| batch.number);
        let (mut message_count, mut body_bytes) = (0, 0);
        let slots = self.slots.drain(index..).filter(|slot| !slot.is_acked()).map(|slot| slot.batch);
        for batch in slots.chain(self.queued.drain(..)) {
            message_count += batch.message_count;
            body_bytes += batch.body.len();
        }
        self.pop_acked();
        self.is_claiming &= !self.slots.is_empty();
        self.restart_at = None;
        if !matches!(self.phase, Phase::Failed(_)) {
            self.phase = Phase::Failed(Arc::clone(&failure));
        }
        self.events.push_back(Event::Failed { batches: first..self.next_batch, message_count, body_bytes, failure });
    }

    pub(super) fn failure_at(&self, index: usize, refusal: Refusal) -> Failure {
        let Refusal { code, facts, detail } = refusal;
        let Slot { state, tries, server_text, .. } = &self.slots[index];
        Failure { code, facts, state: *state, tries: *tries, detail, server_text: server_text.clone() }
    }
}
