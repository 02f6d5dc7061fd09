//! One test per row of the table in protocol.md §23.5, in virtual time.

use super::*;
use crate::subscriptions::{config::Config, model::LinkType, root::Root};

const LEASE: UnixMs = 10_000;

/// A subscription and the time it lives in.
struct World {
    now: UnixMs,
    steps: u128,
    it: Subscription,
}

impl World {
    fn webhook() -> Self {
        Self::of(
            r#"{"type":"webhook","streams":["a","b"],"webhook":{"url":"https://e.example/"},"lease_ttl_ms":10000}"#,
        )
    }

    fn pull() -> Self {
        Self::of(r#"{"type":"pull-wake","streams":["a","b"],"wake_stream":"w","lease_ttl_ms":10000}"#)
    }

    fn of(config: &str) -> Self {
        let config = Config::parse(config.as_bytes(), &Root::new("/")).expect("a valid configuration");
        let mut it = Subscription::new("s", config, "http://h", 0);
        for relative in ["a", "b"] {
            let link = Link { by_name: true, acked: Some(Position(0)), tail: Some(Position(0)), ..Link::default() };
            it.link(path(relative), link);
        }
        Self { now: 1_000_000, steps: 0, it }
    }

    fn moment(&mut self) -> Moment {
        self.steps += 1;
        Moment { now: self.now, entropy: self.steps }
    }

    fn append(&mut self, stream: &str, tail: u64) -> Option<Notify> {
        assert!(self.it.advance(&path(stream), Position(tail)));
        self.poll()
    }

    fn poll(&mut self) -> Option<Notify> {
        let moment = self.moment();
        let notify = self.it.poll(moment);
        let moment = self.moment();
        assert_eq!(self.it.poll(moment), None, "a second poll finds nothing new");
        notify
    }

    /// Lets time pass until the subscription asks to be polled.
    fn poll_at_deadline(&mut self) -> Option<Notify> {
        self.now = self.it.next_deadline().expect("a deadline");
        self.poll()
    }

    fn outcome(&mut self, notify: &Notify, outcome: Outcome) -> Option<Notify> {
        let moment = self.moment();
        self.it.notified(&notify.wake_id, outcome, moment);
        self.poll()
    }

    fn claim(&mut self) -> Result<(), ClaimError> {
        let moment = self.moment();
        self.it.claim("worker", moment)
    }

    fn ack(&mut self, fence: &Fence, acks: &[(&str, u64)], done: bool) -> Result<bool, AckError> {
        let acks: Vec<Ack> = acks
            .iter()
            .map(|(stream, offset)| Ack { stream: path(stream), offset: Position(*offset).to_string() })
            .collect();
        let moment = self.moment();
        self.it.acknowledge(fence, &acks, done, moment)
    }

    fn release(&mut self, fence: &Fence) -> Result<(), AckError> {
        let moment = self.moment();
        self.it.release(fence, moment)
    }

    /// What the worker of the present wake shows.
    fn fence(&self) -> Fence {
        let wake_id = self.wake().id.to_string();
        Fence { token_generation: self.it.generation, generation: self.it.generation, wake_id }
    }

    fn wake(&self) -> &Wake {
        self.it.wake.as_ref().expect("a wake")
    }

    fn acked(&self, stream: &str) -> u64 {
        self.it.links[&path(stream)].acked.expect("a cursor").0
    }

    fn is_idle(&self) -> bool {
        self.it.wake.is_none()
    }
}

fn path(relative: &str) -> StreamPath {
    StreamPath::parse(&format!("/{relative}")).expect("a path")
}

#[test]
fn pending_work_wakes_an_idle_subscription() {
    for mut world in [World::webhook(), World::pull()] {
        assert!(world.poll().is_none());
        let notify = world.append("b", 5).expect("a notification");
        assert_eq!((world.it.generation, &notify.wake_id), (1, &world.wake().id));
        assert_eq!(world.wake().trigger, path("b"));
        let hex = notify.wake_id.strip_prefix("w_").expect("the prefix");
        assert!(hex.len() == 24 && hex.bytes().all(|byte| byte.is_ascii_hexdigit()), "{hex}");
    }
}

#[test]
fn a_webhook_wake_starts_the_lease_and_a_pull_wake_does_not() {
    let mut world = World::webhook();
    world.append("a", 5);
    assert_eq!(world.wake().lease_until, Some(world.now + LEASE));
    let mut world = World::pull();
    world.append("a", 5);
    assert_eq!(world.wake().lease_until, None);
    assert_eq!(world.it.next_deadline(), None);
}

#[test]
fn more_appends_change_nothing_while_waking_or_leased() {
    let mut world = World::pull();
    world.append("a", 5);
    let waking = world.wake().clone();
    assert_eq!(world.append("b", 9), None);
    assert_eq!(*world.wake(), waking);
    world.claim().expect("granted");
    let leased = world.wake().clone();
    assert_eq!(world.append("a", 12), None);
    assert_eq!((world.wake(), world.it.generation), (&leased, 1));
}

#[test]
fn a_claim_turns_waking_into_leased() {
    let mut world = World::pull();
    world.append("a", 5);
    world.claim().expect("granted");
    assert_eq!(world.wake().holder.as_deref(), Some("worker"));
    assert_eq!(world.wake().lease_until, Some(world.now + LEASE));
    assert_eq!(world.it.generation, 1);
}

#[test]
fn a_claim_of_an_idle_subscription_with_work_wakes_it_first() {
    let mut world = World::pull();
    world.it.advance(&path("a"), Position(5));
    world.claim().expect("granted");
    assert_eq!((world.it.generation, world.wake().holder.as_deref()), (1, Some("worker")));
    assert_eq!(world.poll(), None, "nobody needs to be called any more");
}

#[test]
fn a_claim_without_work_is_refused() {
    let mut world = World::pull();
    assert_eq!(world.claim(), Err(ClaimError::NoPendingWork));
    assert_eq!(world.it.generation, 0);
}

#[test]
fn a_second_claim_names_the_holder() {
    let mut world = World::pull();
    world.append("a", 5);
    world.claim().expect("granted");
    assert_eq!(world.claim(), Err(ClaimError::AlreadyClaimed { holder: "worker".to_owned(), generation: 1 }));
}

#[test]
fn an_ack_without_done_moves_cursors_and_renews_the_lease() {
    let mut world = World::pull();
    world.append("a", 5);
    world.claim().expect("granted");
    world.now += LEASE - 1;
    assert_eq!(world.ack(&world.fence(), &[("a", 3)], false), Ok(false));
    assert_eq!(world.acked("a"), 3);
    assert_eq!(world.wake().lease_until, Some(world.now + LEASE));
    world.now += LEASE - 1;
    assert_eq!(world.ack(&world.fence(), &[], false), Ok(false), "a bare heartbeat");
}

#[test]
fn done_ends_the_wake() {
    let mut world = World::pull();
    world.append("a", 5);
    world.claim().expect("granted");
    assert_eq!(world.ack(&world.fence(), &[("a", 5)], true), Ok(false));
    assert!(world.is_idle());
    assert_eq!(world.poll(), None);
}

#[test]
fn done_with_work_left_starts_the_next_wake() {
    let mut world = World::pull();
    world.append("a", 5);
    world.claim().expect("granted");
    let before = world.fence();
    assert_eq!(world.ack(&before, &[("a", 4)], true), Ok(true));
    assert_eq!(world.it.generation, 2);
    assert_ne!(*world.wake().id, *before.wake_id);
    assert!(world.poll().is_some(), "the next wake is announced");
}

#[test]
fn a_release_acknowledges_nothing_and_wakes_again() {
    let mut world = World::pull();
    world.append("a", 5);
    world.claim().expect("granted");
    let fence = world.fence();
    world.release(&fence).expect("accepted");
    assert_eq!((world.acked("a"), world.it.generation), (0, 2));
    assert!(world.wake().holder.is_none());
    assert!(world.poll().is_some());
    assert!(matches!(world.release(&fence), Err(AckError::Fenced(_))));
}

#[test]
fn a_webhook_answering_done_acknowledges_what_it_was_shown() {
    let mut world = World::webhook();
    let first = world.append("a", 5).expect("a delivery");
    world.append("a", 8);
    world.append("b", 2);
    let second = world.outcome(&first, Outcome::Done).expect("work is left");
    assert_eq!((world.acked("a"), world.acked("b"), world.it.generation), (5, 0, 2));
    assert_eq!(world.outcome(&second, Outcome::Done), None);
    assert_eq!((world.acked("a"), world.acked("b")), (8, 2));
    assert!(world.is_idle());
}

#[test]
fn a_webhook_answering_otherwise_has_until_the_lease_ends() {
    let mut world = World::webhook();
    let first = world.append("a", 5).expect("a delivery");
    let start = world.now;
    assert_eq!(world.outcome(&first, Outcome::Told), None);
    world.now = start + LEASE - 1;
    assert_eq!(world.ack(&world.fence(), &[("a", 2)], false), Ok(false));
    assert_eq!(world.it.next_deadline(), Some(world.now + LEASE));
    let second = world.poll_at_deadline().expect("the next wake");
    assert_ne!(second.wake_id, first.wake_id);
    assert_eq!((world.acked("a"), world.it.generation), (2, 2));
}

#[test]
fn an_expired_lease_clears_the_holder_and_fences_its_worker() {
    let mut world = World::pull();
    world.append("a", 5);
    world.claim().expect("granted");
    let late = world.fence();
    assert!(world.poll_at_deadline().is_some(), "the next wake is announced");
    assert_eq!((world.wake().holder.as_ref(), world.it.generation), (None, 2));
    assert!(matches!(world.ack(&late, &[("a", 5)], true), Err(AckError::Fenced(_))));
    assert_eq!(world.acked("a"), 0);
    world.claim().expect("another worker may claim");
}

#[test]
fn a_lease_that_ends_fences_even_before_anyone_polls() {
    let mut world = World::pull();
    world.append("a", 5);
    world.claim().expect("granted");
    let late = world.fence();
    world.now += LEASE;
    assert!(matches!(world.ack(&late, &[], true), Err(AckError::Fenced(_))));
}

#[test]
fn a_lease_that_ends_with_nothing_pending_leaves_it_idle() {
    let mut world = World::pull();
    world.append("a", 5);
    world.claim().expect("granted");
    assert_eq!(world.ack(&world.fence(), &[("a", 5)], false), Ok(false));
    assert_eq!(world.poll_at_deadline(), None);
    assert!(world.is_idle());
}

#[test]
fn every_stale_value_fences_also_right_after_the_wake() {
    let mut world = World::pull();
    world.append("a", 5);
    world.claim().expect("granted");
    let good = world.fence();
    for stale in [
        Fence { token_generation: 0, ..good.clone() },
        Fence { generation: 0, ..good.clone() },
        Fence { generation: 2, ..good.clone() },
        Fence { wake_id: "w_000000000000000000000000".to_owned(), ..good.clone() },
    ] {
        assert!(matches!(world.ack(&stale, &[("a", 5)], true), Err(AckError::Fenced(_))), "{stale:?}");
    }
    assert_eq!(world.acked("a"), 0);
    assert_eq!(world.ack(&good, &[("a", 5)], true), Ok(false));
    assert!(matches!(world.ack(&good, &[], true), Err(AckError::Fenced(_))));
}

#[test]
fn acks_are_all_or_nothing() {
    let mut world = World::pull();
    world.append("a", 5);
    world.append("b", 7);
    world.claim().expect("granted");
    let fence = world.fence();
    assert_eq!(world.ack(&fence, &[("a", 2)], false), Ok(false));
    for bad in [("b", 8), ("a", 1), ("unknown", 1)] {
        let result = world.ack(&fence, &[("a", 4), bad], true);
        assert!(matches!(result, Err(AckError::InvalidOffset(_))), "{bad:?}: {result:?}");
        assert_eq!((world.acked("a"), world.acked("b")), (2, 0));
    }
    for offset in ["-1", "now", "", "5"] {
        let acks = [Ack { stream: path("a"), offset: offset.to_owned() }];
        let moment = world.moment();
        assert!(
            matches!(world.it.acknowledge(&fence, &acks, true, moment), Err(AckError::InvalidOffset(_))),
            "{offset:?}"
        );
    }
    assert_eq!(world.ack(&fence, &[("a", 2), ("a", 5), ("b", 7)], true), Ok(false));
}

#[test]
fn a_failed_delivery_is_repeated_with_growing_delays_as_the_same_wake() {
    let mut world = World::webhook();
    let mut notify = world.append("a", 5).expect("a delivery");
    let wake_id = notify.wake_id.clone();
    for expected in [1, 2, 4, 8, 16, 32, 60, 60] {
        let failed_at = world.now;
        assert_eq!(world.outcome(&notify, Outcome::Failed), None);
        assert_eq!((world.it.status(), world.wake().lease_until), ("failed", None));
        notify = world.poll_at_deadline().expect("the next attempt");
        let waited = world.now - failed_at;
        assert!((expected * 800..=expected * 1200).contains(&waited), "{waited} ms instead of {expected} s");
        assert_eq!((&notify.wake_id, world.it.generation), (&wake_id, 1));
        assert_eq!(world.wake().lease_until, Some(world.now + LEASE), "the lease starts anew");
    }
    assert_eq!(world.outcome(&notify, Outcome::Told), None);
    assert_eq!((world.it.status(), world.it.failures), ("active", 0));
}

#[test]
fn a_retry_shows_and_acknowledges_what_has_come_since() {
    let mut world = World::webhook();
    let first = world.append("a", 5).expect("a delivery");
    world.outcome(&first, Outcome::Failed);
    world.append("a", 9);
    let second = world.poll_at_deadline().expect("the next attempt");
    assert_eq!(world.outcome(&second, Outcome::Done), None);
    assert_eq!(world.acked("a"), 9);
}

#[test]
fn a_slow_delivery_is_not_overtaken_by_its_own_lease() {
    let mut world = World::webhook();
    let first = world.append("a", 5).expect("a delivery");
    world.now += 3 * LEASE;
    assert_eq!((world.it.next_deadline(), world.poll()), (None, None));
    let second = world.outcome(&first, Outcome::Told).expect("the lease is over by now");
    assert_ne!(second.wake_id, first.wake_id);
}

#[test]
fn a_callback_counts_although_the_delivery_seemed_to_fail() {
    let mut world = World::webhook();
    let first = world.append("a", 5).expect("a delivery");
    world.outcome(&first, Outcome::Failed);
    assert_eq!(world.ack(&world.fence(), &[], false), Ok(false));
    assert_eq!(world.it.status(), "active");
    assert_eq!(world.it.next_deadline(), Some(world.now + LEASE));
    assert_eq!(world.ack(&world.fence(), &[("a", 5)], true), Ok(false));
    assert_eq!(world.outcome(&first, Outcome::Failed), None);
    assert!(world.is_idle() && world.it.failures == 0);
}

#[test]
fn the_outcome_of_an_earlier_wake_changes_nothing() {
    let mut world = World::webhook();
    let first = world.append("a", 5).expect("a delivery");
    assert_eq!(world.ack(&world.fence(), &[("a", 5)], true), Ok(false));
    world.append("b", 3).expect("the next wake");
    assert_eq!(world.outcome(&first, Outcome::Done), None);
    assert_eq!((world.acked("b"), world.it.generation), (0, 2));
}

#[test]
fn naming_a_stream_wins_and_leaves_with_the_name() {
    let mut world = World::pull();
    let both = path("c");
    world.it.link(
        both.clone(),
        Link { by_glob: true, acked: Some(Position(4)), tail: Some(Position(4)), ..Link::default() },
    );
    world.it.link(
        both.clone(),
        Link { by_name: true, acked: Some(Position(9)), tail: Some(Position(9)), ..Link::default() },
    );
    assert_eq!(world.it.links[&both].link_type(), LinkType::Explicit);
    assert_eq!(world.acked("c"), 4, "the cursor stays");
    world.it.unlink_explicit(&both);
    assert_eq!(world.it.links[&both].link_type(), LinkType::Glob);
    world.it.unlink_explicit(&both);
    assert!(world.it.links.contains_key(&both));
    world.it.unlink_explicit(&path("a"));
    assert!(!world.it.links.contains_key(&path("a")));
}

#[test]
fn work_that_goes_away_with_its_stream_is_not_pending() {
    let mut world = World::pull();
    world.append("a", 5);
    world.it.unlink(&path("a"));
    assert!(world.it.pending.is_empty());
    world.claim().expect("the wake that was announced can still be claimed");
    assert_eq!(world.ack(&world.fence(), &[], true), Ok(false));
}
