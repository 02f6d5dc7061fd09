//! Random lives of many subscriptions: the indexes agree with the links at every step, and
//! what was stored is what there is.

use std::cell::RefCell;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use proptest::prelude::*;

use super::*;
use crate::{
    engine::types::Observer,
    store::StoreError,
    subscriptions::{
        machine::{Fence, Outcome},
        model::{Link, Wake},
        persist,
        port::EventError,
    },
};

const STREAMS: [&str; 5] = ["a", "a/b", "a/c", "b/c", "wakes"];
const PATTERNS: [&str; 4] = ["**", "a/*", "*/c", "a/**"];

/// Streams that exist, without an engine.
#[derive(Default)]
struct FakePort {
    tails: parking_lot::Mutex<BTreeMap<StreamPath, Position>>,
}

impl StreamsPort for FakePort {
    fn streams(&self) -> Vec<(StreamPath, Position)> {
        self.tails.lock().iter().map(|(path, tail)| (path.clone(), *tail)).collect()
    }

    fn tail(&self, path: &StreamPath) -> Option<Position> {
        self.tails.lock().get(path).copied()
    }

    fn observe(&self, _: Arc<dyn Observer>) {}

    fn append(&self, _: &StreamPath, _: Bytes) -> BoxFuture<'_, Result<(), EventError>> {
        Box::pin(async { Ok(()) })
    }

    fn kv_put(&self, _: KvBatch) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(async { Ok(()) })
    }

    fn kv_scan(&self, _: &[u8]) -> Result<Vec<(Vec<u8>, Bytes)>, StoreError> {
        Ok(Vec::new())
    }
}

#[derive(Debug, Clone)]
enum Step {
    Create { id: u8, pattern: Option<usize>, streams: Vec<usize>, webhook: bool },
    Remove { id: u8 },
    Link { id: u8, stream: usize },
    Unlink { id: u8, stream: usize },
    CreateStream { stream: usize },
    Append { stream: usize },
    DeleteStream { stream: usize },
    Recreate { stream: usize },
    Claim { id: u8 },
    Acknowledge { id: u8, done: bool },
    Release { id: u8 },
    Notified { id: u8, outcome: Outcome },
    Wait { ms: u64 },
}

fn step() -> impl Strategy<Value = Step> {
    let id = || 0_u8..3;
    let stream = || 0..STREAMS.len();
    let outcome = prop::sample::select(vec![Outcome::Told, Outcome::Done, Outcome::Failed]);
    prop_oneof![
        2 => (id(), prop::option::of(0..PATTERNS.len()), prop::collection::vec(stream(), 1..3), any::<bool>())
            .prop_map(|(id, pattern, streams, webhook)| Step::Create { id, pattern, streams, webhook }),
        1 => id().prop_map(|id| Step::Remove { id }),
        1 => (id(), stream()).prop_map(|(id, stream)| Step::Link { id, stream }),
        1 => (id(), stream()).prop_map(|(id, stream)| Step::Unlink { id, stream }),
        2 => stream().prop_map(|stream| Step::CreateStream { stream }),
        6 => stream().prop_map(|stream| Step::Append { stream }),
        1 => stream().prop_map(|stream| Step::DeleteStream { stream }),
        1 => stream().prop_map(|stream| Step::Recreate { stream }),
        2 => id().prop_map(|id| Step::Claim { id }),
        3 => (id(), any::<bool>()).prop_map(|(id, done)| Step::Acknowledge { id, done }),
        1 => id().prop_map(|id| Step::Release { id }),
        3 => (id(), outcome).prop_map(|(id, outcome)| Step::Notified { id, outcome }),
        2 => (1_u64..70_000).prop_map(|ms| Step::Wait { ms }),
    ]
}

/// A registry, the streams around it and the store behind it.
struct World {
    registry: Registry,
    port: FakePort,
    kv: BTreeMap<Vec<u8>, Bytes>,
    now: UnixMs,
    entropy: RefCell<u128>,
}

impl World {
    fn new() -> Self {
        Self {
            registry: Registry::new(Root::new("/")),
            port: FakePort::default(),
            kv: BTreeMap::new(),
            now: 1_000_000,
            entropy: RefCell::new(0),
        }
    }

    fn moment(&self) -> Moment {
        *self.entropy.borrow_mut() += 1;
        Moment { now: self.now, entropy: *self.entropy.borrow() }
    }

    fn take(&mut self, step: Step, write_fails: bool) {
        let (moment, port) = (self.moment(), &self.port);
        match step {
            Step::Create { id, pattern, streams, webhook } => {
                if self.registry.get(&name(id)).is_none() {
                    let config = config(pattern, &streams, webhook);
                    self.registry.create(&name(id), config, "http://h", self.now, port);
                }
            }
            Step::Remove { id } => {
                self.registry.remove(&name(id));
            }
            Step::Link { id, stream } => {
                let path = path(stream);
                if self.registry.get(&name(id)).is_some_and(|it| !it.config.wakes_on(&path)) {
                    self.registry.link(&name(id), BTreeSet::from([path]), port);
                }
            }
            Step::Unlink { id, stream } => self.registry.unlink(&name(id), &path(stream)),
            Step::CreateStream { stream } => {
                port.tails.lock().entry(path(stream)).or_insert(Position::START);
                let change = Change { created: true, ..Change::default() };
                self.registry.apply(&path(stream), change, port);
            }
            Step::Append { stream } => {
                let tail = {
                    let mut tails = port.tails.lock();
                    let tail = tails.entry(path(stream)).or_insert(Position::START);
                    tail.0 += 7;
                    *tail
                };
                self.registry.apply(&path(stream), Change { tail: Some(tail), ..Change::default() }, port);
            }
            Step::DeleteStream { stream } => {
                port.tails.lock().remove(&path(stream));
                self.registry.apply(&path(stream), Change { removed: true, ..Change::default() }, port);
            }
            Step::Recreate { stream } => {
                port.tails.lock().insert(path(stream), Position(3));
                let change = Change { removed: true, created: true, tail: Some(Position(3)) };
                self.registry.apply(&path(stream), change, port);
            }
            Step::Claim { id } => {
                self.registry.update(&name(id), |it| it.claim("w", moment).is_ok());
            }
            Step::Acknowledge { id, done } => {
                self.registry.update(&name(id), |it| {
                    let Some(fence) = fence(it) else { return };
                    let acks: Vec<_> = it.pending.iter().take(1).cloned().collect();
                    let acks = acks.into_iter().map(|path| crate::subscriptions::ack::Ack {
                        offset: it.links[&path].tail.unwrap_or_default().to_string(),
                        stream: path,
                    });
                    let acks: Vec<_> = acks.collect();
                    // A lease that has just ended refuses; that is fine here.
                    let _ = it.acknowledge(&fence, &acks, done, moment);
                });
            }
            Step::Release { id } => {
                self.registry.update(&name(id), |it| {
                    if let Some(fence) = fence(it) {
                        let _ = it.release(&fence, moment);
                    }
                });
            }
            Step::Notified { id, outcome } => {
                self.registry.update(&name(id), |it| {
                    if let Some(wake_id) = it.wake.as_ref().map(|wake| wake.id.clone()) {
                        it.notified(&wake_id, outcome, moment);
                    }
                });
            }
            Step::Wait { ms } => self.now += ms,
        }
        let entropy = &self.entropy;
        let now = self.now;
        self.registry.poll(now, || {
            *entropy.borrow_mut() += 1;
            Moment { now, entropy: *entropy.borrow() }
        });
        self.write(write_fails);
    }

    fn write(&mut self, fails: bool) {
        let mut pending = self.registry.take_unsaved();
        let batch = std::mem::take(&mut pending.batch);
        if fails {
            self.registry.keep_unsaved(pending);
            return;
        }
        let keys: BTreeSet<_> = batch.iter().map(|(key, _)| key.clone()).collect();
        assert_eq!(keys.len(), batch.len(), "each key once");
        for (key, value) in batch {
            match value {
                Some(value) => self.kv.insert(key, value),
                None => self.kv.remove(&key),
            };
        }
    }

    /// Indexes against a plain look at everything.
    fn check(&self) {
        let mut followers: HashMap<StreamPath, BTreeSet<Id>> = HashMap::new();
        let mut deadlines = BTreeSet::new();
        for (id, entry) in &self.registry.entries {
            let it = &entry.subscription;
            for path in it.links.keys() {
                followers.entry(path.clone()).or_default().insert(id.clone());
                assert!(!it.config.wakes_on(path), "{id} follows its own wake stream");
            }
            let pending: BTreeSet<_> =
                it.links.iter().filter(|(_, link)| link.is_pending()).map(|(path, _)| path.clone()).collect();
            assert_eq!(it.pending, pending);
            assert!(it.wake.is_some() || pending.is_empty(), "pending work is always waking");
            assert_eq!(entry.deadline, it.next_deadline());
            deadlines.extend(entry.deadline.map(|at| (at, id.clone())));
        }
        let indexed: HashMap<StreamPath, BTreeSet<Id>> =
            self.registry.followers.iter().map(|(path, ids)| (path.clone(), ids.iter().cloned().collect())).collect();
        assert_eq!(indexed, followers);
        assert!(self.registry.followers.values().all(|ids| ids.iter().collect::<BTreeSet<_>>().len() == ids.len()));
        assert_eq!(self.registry.deadlines, deadlines);
        for (path, tail) in self.port.streams() {
            for entry in self.registry.entries.values() {
                if let Some(link) = entry.subscription.links.get(&path) {
                    assert_eq!(link.tail, Some(tail), "{path}");
                }
            }
        }
    }

    /// What a restart would read.
    fn stored(&self) -> BTreeMap<String, Stored> {
        let scan = |prefix: &[u8]| -> Vec<(Vec<u8>, Bytes)> {
            self.kv
                .iter()
                .filter(|(key, _)| key.starts_with(prefix))
                .map(|(key, value)| (key.clone(), value.clone()))
                .collect()
        };
        let mut read = BTreeMap::new();
        let mut links_read = 0;
        for (key, record) in scan(persist::record_prefix()) {
            let id = String::from_utf8(key[persist::record_prefix().len()..].to_vec()).expect("UTF-8");
            let links = scan(&persist::link_prefix(&id));
            links_read += links.len();
            let it = persist::load(&key, &record, &links, &self.registry.root).expect("readable");
            read.insert(id, Stored::of(&it));
        }
        assert_eq!(read.len() + links_read, self.kv.len(), "nothing is left over in the store");
        read
    }
}

/// What must survive of a subscription.
#[derive(Debug, PartialEq)]
struct Stored {
    config: Config,
    generation: u64,
    failures: u32,
    wake: Option<Wake>,
    links: BTreeMap<StreamPath, Link>,
}

impl Stored {
    fn of(it: &Subscription) -> Self {
        use crate::subscriptions::model::Notice;
        let mut wake = it.wake.clone();
        if let Some(wake) = &mut wake {
            wake.snapshot.clear();
            if wake.notice == Notice::InFlight {
                wake.notice = if wake.holder.is_some() { Notice::Told } else { Notice::Due };
            }
        }
        let links = it.links.iter().map(|(path, link)| (path.clone(), Link { tail: None, ..link.clone() })).collect();
        Self { config: it.config.clone(), generation: it.generation, failures: it.failures, wake, links }
    }
}

fn name(id: u8) -> String {
    // One id is a prefix of another, as in the keys of the store.
    "s".repeat(usize::from(id) + 1)
}

fn path(stream: usize) -> StreamPath {
    StreamPath::parse(&format!("/{}", STREAMS[stream])).expect("a path")
}

fn config(pattern: Option<usize>, streams: &[usize], webhook: bool) -> Config {
    let streams: Vec<&str> =
        streams.iter().map(|at| STREAMS[*at]).filter(|stream| webhook || *stream != "wakes").collect();
    let mut body = serde_json::json!({ "streams": streams, "lease_ttl_ms": 1000 });
    body["pattern"] = serde_json::json!(pattern.map_or("a/*", |at| PATTERNS[at]));
    if webhook {
        body["type"] = "webhook".into();
        body["webhook"] = serde_json::json!({ "url": "https://e.example/" });
    } else {
        body["type"] = "pull-wake".into();
        body["wake_stream"] = "wakes".into();
    }
    Config::parse(body.to_string().as_bytes(), &Root::new("/")).expect("valid")
}

fn fence(it: &Subscription) -> Option<Fence> {
    let wake = it.wake.as_ref()?;
    Some(Fence { token_generation: it.generation, generation: it.generation, wake_id: wake.id.to_string() })
}

proptest! {
    #[test]
    fn indexes_and_store_agree_with_the_links(steps in prop::collection::vec((step(), prop::bool::weighted(0.2)), 1..60)) {
        let mut world = World::new();
        for (step, write_fails) in steps {
            world.take(step, write_fails);
            world.check();
        }
        world.write(false);
        let live: BTreeMap<String, Stored> =
            world.registry.entries.iter().map(|(id, entry)| (id.to_string(), Stored::of(&entry.subscription))).collect();
        prop_assert_eq!(world.stored(), live);
    }
}
