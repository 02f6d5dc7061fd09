//! The life cycle of a subscription (protocol.md §23.5), without I/O: time and entropy
//! are arguments, what to send comes out of [`Subscription::poll`].
//!
//! | state | event | next |
//! |---|---|---|
//! | Idle | pending work | Waking: generation + 1, new wake id |
//! | Waking | claim | Leased |
//! | Waking, Leased | done, release, lease over, answer `{"done":true}` | Idle, or Waking if work is left |
//! | Waking, Leased | ack without done | the same, lease renewed |
//! | any | more appends | the same |

use std::fmt::Write as _;

use durable_streams_protocol::offset::Position;

use super::{
    ack::{self, Ack},
    config::Delivery,
    model::{Link, Notice, Subscription, UnixMs, Wake},
    schedule::retry_delay_ms,
};
use crate::path::StreamPath;

/// Time and entropy of one step, supplied by the host.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moment {
    pub(crate) now: UnixMs,
    pub(crate) entropy: u128,
}

/// What the host must send, once the state is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Notify {
    /// The wake it announces; hand it back with the outcome.
    pub(crate) wake_id: Box<str>,
    /// Which attempt in a row this is; 0 = the first.
    pub(crate) failures: u32,
}

/// How a notification went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It arrived: the event is stored, or the webhook answered 2xx.
    Told,
    /// The webhook answered 2xx and `{"done":true}`.
    Done,
    /// Network error, other status, or the wake stream could not be written.
    Failed,
}

/// What a worker shows to prove that its wake is the current one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fence {
    pub(crate) token_generation: u64,
    pub(crate) generation: u64,
    pub(crate) wake_id: String,
}

/// Why a claim was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ClaimError {
    AlreadyClaimed { holder: String, generation: u64 },
    NoPendingWork,
}

/// Why a callback, ack or release was refused; nothing changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum AckError {
    Fenced(&'static str),
    InvalidOffset(String),
}

impl Subscription {
    /// The next thing to send, if any; to be called until it returns `None` after every
    /// other call and at [`Subscription::next_deadline`].
    pub(crate) fn poll(&mut self, moment: Moment) -> Option<Notify> {
        self.expire(moment.now);
        self.start_wake_if_pending(moment);
        let due = match self.wake.as_ref()?.notice {
            Notice::Due => true,
            Notice::Retry(at) => at <= moment.now,
            Notice::InFlight | Notice::Told => false,
        };
        if !due {
            return None;
        }
        let webhook = matches!(self.config.delivery, Delivery::Webhook { .. });
        let snapshot = if webhook { self.pending_tails() } else { Vec::new() };
        let wake = self.wake.as_mut()?;
        wake.notice = Notice::InFlight;
        wake.snapshot = snapshot;
        if webhook {
            wake.lease_until = Some(moment.now + self.config.lease_ttl_ms);
        }
        self.unsaved.record = true;
        Some(Notify { wake_id: wake.id.clone(), failures: self.failures })
    }

    /// When [`Subscription::poll`] has something to do even if nothing else happens.
    pub(crate) fn next_deadline(&self) -> Option<UnixMs> {
        let wake = self.wake.as_ref()?;
        match wake.notice {
            Notice::Due => Some(0),
            Notice::Retry(at) => Some(at),
            // The outcome of the delivery decides; its own timeout bounds the wait.
            Notice::InFlight if wake.holder.is_none() => None,
            Notice::InFlight | Notice::Told => wake.lease_until,
        }
    }

    /// The stream's tail moved to `tail`. Returns whether it is followed.
    pub(crate) fn advance(&mut self, path: &StreamPath, tail: Position) -> bool {
        let Some(link) = self.links.get_mut(path) else { return false };
        if link.tail < Some(tail) {
            link.tail = Some(tail);
        }
        self.refresh(path);
        true
    }

    /// Follows a stream; an existing link gains the kind and keeps its cursor.
    pub(crate) fn link(&mut self, path: StreamPath, new: Link) {
        let link =
            self.links.entry(path.clone()).or_insert_with(|| Link { by_glob: false, by_name: false, ..new.clone() });
        if (new.by_glob && !link.by_glob) || (new.by_name && !link.by_name) {
            link.by_glob |= new.by_glob;
            link.by_name |= new.by_name;
            self.unsaved.links.insert(path.clone());
        }
        self.refresh(&path);
    }

    /// Takes the explicit kind from a link; one without any kind left disappears.
    pub(crate) fn unlink_explicit(&mut self, path: &StreamPath) {
        let Some(link) = self.links.get_mut(path) else { return };
        if !link.by_name {
            return;
        }
        link.by_name = false;
        if link.by_glob {
            self.unsaved.links.insert(path.clone());
        } else {
            self.unlink(path);
        }
    }

    /// Stops following a stream, for it is gone.
    pub(crate) fn unlink(&mut self, path: &StreamPath) {
        if self.links.remove(path).is_some() {
            self.unsaved.links.insert(path.clone());
            self.pending.remove(path);
        }
    }

    /// Moves a cursor forward; one that is already there stays.
    pub(crate) fn acknowledge_to(&mut self, path: &StreamPath, offset: Position) {
        let Some(link) = self.links.get_mut(path) else { return };
        if link.acked < Some(offset) {
            link.acked = Some(offset);
            self.unsaved.links.insert(path.clone());
            self.refresh(path);
        }
    }

    /// Gives the lease of the wake to `worker`; wakes first if work is pending. The wake
    /// is then current: read it from the subscription.
    pub(crate) fn claim(&mut self, worker: &str, moment: Moment) -> Result<(), ClaimError> {
        self.expire(moment.now);
        if self.wake.is_none() {
            self.start_wake_if_pending(moment);
            if let Some(wake) = &mut self.wake {
                // The worker is already here: nobody needs to be called.
                wake.notice = Notice::Told;
            }
        }
        let generation = self.generation;
        let lease_until = moment.now + self.config.lease_ttl_ms;
        let wake = self.wake.as_mut().ok_or(ClaimError::NoPendingWork)?;
        if let Some(holder) = &wake.holder {
            return Err(ClaimError::AlreadyClaimed { holder: holder.clone(), generation });
        }
        wake.holder = Some(worker.to_owned());
        wake.lease_until = Some(lease_until);
        if matches!(wake.notice, Notice::Retry(_)) {
            wake.notice = Notice::Told;
            self.failures = 0;
        }
        self.unsaved.record = true;
        Ok(())
    }

    /// Takes a callback or ack: moves cursors, renews the lease or, with `done`, ends the
    /// wake. Returns whether the next wake has begun.
    pub(crate) fn acknowledge(
        &mut self,
        fence: &Fence,
        acks: &[Ack],
        done: bool,
        moment: Moment,
    ) -> Result<bool, AckError> {
        self.expire(moment.now);
        self.check(fence)?;
        ack::apply(self, acks).map_err(AckError::InvalidOffset)?;
        self.failures = 0;
        self.unsaved.record = true;
        if done {
            return Ok(self.finish(moment));
        }
        if let Some(wake) = &mut self.wake {
            wake.lease_until = Some(moment.now + self.config.lease_ttl_ms);
            if matches!(wake.notice, Notice::Retry(_)) {
                // The worker is at work, whatever became of the answer to the delivery.
                wake.notice = Notice::Told;
            }
        }
        Ok(false)
    }

    /// Takes the lease back from a worker that gives up.
    pub(crate) fn release(&mut self, fence: &Fence, moment: Moment) -> Result<(), AckError> {
        self.expire(moment.now);
        self.check(fence)?;
        self.finish(moment);
        Ok(())
    }

    /// Takes the outcome of a notification; one of an earlier wake changes nothing.
    pub(crate) fn notified(&mut self, wake_id: &str, outcome: Outcome, moment: Moment) {
        let Some(wake) = self.wake.as_mut().filter(|wake| *wake.id == *wake_id && wake.notice == Notice::InFlight)
        else {
            return;
        };
        self.unsaved.record = true;
        match outcome {
            Outcome::Told => {
                wake.notice = Notice::Told;
                self.failures = 0;
            }
            Outcome::Done => {
                self.failures = 0;
                for (path, tail) in std::mem::take(&mut wake.snapshot) {
                    self.acknowledge_to(&path, tail);
                }
                self.finish(moment);
            }
            // A worker that claimed meanwhile needs no event any more.
            Outcome::Failed if wake.holder.is_some() => wake.notice = Notice::Told,
            Outcome::Failed => {
                self.failures = self.failures.saturating_add(1);
                let entropy = (moment.entropy >> 64) as u64;
                wake.notice = Notice::Retry(moment.now + retry_delay_ms(self.failures, entropy));
                // No worker knows of this wake: nobody's lease runs while it waits.
                wake.lease_until = None;
            }
        }
    }

    /// The server is reached under another address now.
    pub(crate) fn move_to(&mut self, public_base: &str) {
        public_base.clone_into(&mut self.public_base);
        self.unsaved.record = true;
    }

    /// Puts the state read from the store in order: what was being sent when the server
    /// stopped is sent again.
    pub(crate) fn recover(&mut self) {
        if let Some(wake) = &mut self.wake
            && wake.notice == Notice::InFlight
        {
            wake.notice = if wake.holder.is_some() { Notice::Told } else { Notice::Due };
        }
        self.pending = self.links.iter().filter(|(_, link)| link.is_pending()).map(|(path, _)| path.clone()).collect();
    }

    /// Whether a stale value is among those shown: any of them ends it (protocol.md §23.6).
    fn check(&self, fence: &Fence) -> Result<(), AckError> {
        if fence.token_generation != self.generation {
            return Err(AckError::Fenced("the token belongs to an earlier generation"));
        }
        if fence.generation != self.generation {
            return Err(AckError::Fenced("\"generation\" is not the current one"));
        }
        match &self.wake {
            Some(wake) if *wake.id == *fence.wake_id => Ok(()),
            Some(_) => Err(AckError::Fenced("\"wake_id\" is not the current one")),
            None => Err(AckError::Fenced("it was finished, released or its lease ended")),
        }
    }

    fn expire(&mut self, now: UnixMs) {
        let Some(wake) = &self.wake else { return };
        let undecided = wake.notice == Notice::InFlight && wake.holder.is_none();
        if !undecided && wake.lease_until.is_some_and(|until| until <= now) {
            self.wake = None;
            self.unsaved.record = true;
        }
    }

    /// Ends the wake and starts the next one if work is left; returns whether it did.
    fn finish(&mut self, moment: Moment) -> bool {
        self.wake = None;
        self.unsaved.record = true;
        self.start_wake_if_pending(moment)
    }

    fn start_wake_if_pending(&mut self, moment: Moment) -> bool {
        if self.wake.is_some() {
            return false;
        }
        let Some(trigger) = self.pending.first().cloned() else { return false };
        self.generation += 1;
        self.wake = Some(Wake {
            id: wake_id(moment.entropy),
            trigger,
            holder: None,
            lease_until: None,
            notice: Notice::Due,
            snapshot: Vec::new(),
        });
        self.unsaved.record = true;
        true
    }

    fn pending_tails(&self) -> Vec<(StreamPath, Position)> {
        self.pending
            .iter()
            .filter_map(|path| self.links.get(path).and_then(|link| link.tail).map(|tail| (path.clone(), tail)))
            .collect()
    }

    fn refresh(&mut self, path: &StreamPath) {
        if self.links.get(path).is_some_and(Link::is_pending) {
            if !self.pending.contains(path) {
                self.pending.insert(path.clone());
            }
        } else {
            self.pending.remove(path);
        }
    }
}

/// `w_` and 24 hex digits.
fn wake_id(entropy: u128) -> Box<str> {
    let mut id = String::with_capacity(26);
    let _ = write!(id, "w_{:024x}", entropy & ((1 << 96) - 1));
    id.into()
}

#[cfg(test)]
mod tests;
