//! Subscriptions in the store's key-value area: one record each, and one per link, so
//! that a wake writes little however many streams are followed (S65).

use bytes::Bytes;
use durable_streams_protocol::offset::Position;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;

use super::{
    config::Config,
    model::{Link, Notice, Subscription, UnixMs, Unsaved, Wake},
    port::KvBatch,
    root::Root,
};
use crate::path::StreamPath;

/// Everything of ours starts with this.
const RECORD: &[u8] = b"subscriptions/record/";
const LINK: &[u8] = b"subscriptions/link/";
const SIGNING_KEY: &[u8] = b"subscriptions/signing-key/";
/// Key of the token secret.
pub(crate) const TOKEN_SECRET: &[u8] = b"subscriptions/token-secret";
/// Between id and path in the key of a link; neither can contain it.
const SEPARATOR: u8 = 0;

/// Prefix of all subscription records.
pub(crate) const fn record_prefix() -> &'static [u8] {
    RECORD
}

/// Prefix of all signing keys.
pub(crate) const fn signing_key_prefix() -> &'static [u8] {
    SIGNING_KEY
}

/// Key of one signing key.
pub(crate) fn signing_key_key(kid: &str) -> Vec<u8> {
    [SIGNING_KEY, kid.as_bytes()].concat()
}

/// Prefix of the links of one subscription.
pub(crate) fn link_prefix(id: &str) -> Vec<u8> {
    [LINK, id.as_bytes(), &[SEPARATOR]].concat()
}

/// Adds the entries that bring the store up to the subscription's present state.
pub(crate) fn save(subscription: &Subscription, unsaved: &Unsaved, root: &Root, batch: &mut KvBatch) {
    if unsaved.record {
        batch.push((record_key(&subscription.id), Some(to_json(&Record::of(subscription, root)))));
    }
    for path in &unsaved.links {
        let value = subscription.links.get(path).map(|link| to_json(&LinkRecord::of(link)));
        batch.push((link_key(&subscription.id, root, path), value));
    }
}

/// Adds the entries that remove a subscription and its links.
pub(crate) fn remove<'p>(id: &str, links: impl Iterator<Item = &'p StreamPath>, root: &Root, batch: &mut KvBatch) {
    batch.push((record_key(id), None));
    batch.extend(links.map(|path| (link_key(id, root, path), None)));
}

/// Reads a record and the links belonging to it; tails are not known yet.
pub(crate) fn load(
    key: &[u8],
    record: &[u8],
    links: &[(Vec<u8>, Bytes)],
    root: &Root,
) -> Result<Subscription, Corrupt> {
    let id = text_after(key, RECORD.len())?;
    let stored: Record = from_json(key, record)?;
    let config = Config::parse(stored.config.to_string().as_bytes(), root).map_err(|error| corrupt(key, error))?;
    let mut subscription = Subscription::new(id, config, &stored.public_base, stored.created_at);
    subscription.generation = stored.generation;
    subscription.failures = stored.failures;
    subscription.wake = stored.wake.map(|wake| wake.restore(key, root)).transpose()?;
    for (key, value) in links {
        let path = text_after(key, LINK.len() + id.len() + 1)?;
        let path = root.resolve(path).map_err(|error| corrupt(key, error))?;
        subscription.links.insert(path, from_json::<LinkRecord>(key, value)?.restore(key)?);
    }
    subscription.unsaved = Unsaved::default();
    Ok(subscription)
}

/// A stored entry that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("the stored entry {key:?} cannot be read: {reason}")]
pub struct Corrupt {
    key: String,
    reason: String,
}

pub(crate) fn corrupt(key: &[u8], reason: impl ToString) -> Corrupt {
    Corrupt { key: String::from_utf8_lossy(key).into_owned(), reason: reason.to_string() }
}

pub(crate) fn from_json<T: DeserializeOwned>(key: &[u8], value: &[u8]) -> Result<T, Corrupt> {
    serde_json::from_slice(value).map_err(|error| corrupt(key, error))
}

/// Our records hold strings, numbers and booleans: writing them cannot fail.
pub(crate) fn to_json(value: &impl Serialize) -> Bytes {
    serde_json::to_vec(value).unwrap_or_default().into()
}

fn record_key(id: &str) -> Vec<u8> {
    [RECORD, id.as_bytes()].concat()
}

fn link_key(id: &str, root: &Root, path: &StreamPath) -> Vec<u8> {
    let mut key = link_prefix(id);
    key.extend_from_slice(root.stream(path).unwrap_or_default().as_bytes());
    key
}

fn text_after(key: &[u8], at: usize) -> Result<&str, Corrupt> {
    let rest = key.get(at..).ok_or_else(|| corrupt(key, "it is too short"))?;
    std::str::from_utf8(rest).map_err(|error| corrupt(key, error))
}

#[derive(Debug, Serialize, Deserialize)]
struct Record {
    config: Value,
    created_at: UnixMs,
    public_base: String,
    generation: u64,
    failures: u32,
    wake: Option<WakeRecord>,
}

#[derive(Debug, Serialize, Deserialize)]
struct WakeRecord {
    id: String,
    trigger: String,
    holder: Option<String>,
    lease_until: Option<UnixMs>,
    /// `due`, `told` or `retry`.
    notice: NoticeRecord,
    /// With `retry`.
    next_attempt_at: Option<UnixMs>,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum NoticeRecord {
    Due,
    Told,
    Retry,
}

#[derive(Debug, Serialize, Deserialize)]
struct LinkRecord {
    by_glob: bool,
    by_name: bool,
    /// Cursor token.
    acked: Option<String>,
}

impl Record {
    fn of(subscription: &Subscription, root: &Root) -> Self {
        Self {
            config: serde_json::to_value(subscription.config.normalised(root)).unwrap_or_default(),
            created_at: subscription.created_at,
            public_base: subscription.public_base.clone(),
            generation: subscription.generation,
            failures: subscription.failures,
            wake: subscription.wake.as_ref().map(|wake| WakeRecord::of(wake, root)),
        }
    }
}

impl WakeRecord {
    fn of(wake: &Wake, root: &Root) -> Self {
        let (notice, next_attempt_at) = match wake.notice {
            // Its outcome is lost in a crash: send it again then.
            Notice::Due | Notice::InFlight => (NoticeRecord::Due, None),
            Notice::Told => (NoticeRecord::Told, None),
            Notice::Retry(at) => (NoticeRecord::Retry, Some(at)),
        };
        Self {
            id: wake.id.to_string(),
            trigger: root.stream(&wake.trigger).unwrap_or_default().to_owned(),
            holder: wake.holder.clone(),
            lease_until: wake.lease_until,
            notice,
            next_attempt_at,
        }
    }

    fn restore(self, key: &[u8], root: &Root) -> Result<Wake, Corrupt> {
        let notice = match self.notice {
            // A worker that holds the lease needs no event any more.
            NoticeRecord::Due if self.holder.is_some() => Notice::Told,
            NoticeRecord::Due => Notice::Due,
            NoticeRecord::Told => Notice::Told,
            NoticeRecord::Retry => Notice::Retry(self.next_attempt_at.unwrap_or_default()),
        };
        Ok(Wake {
            id: self.id.into(),
            trigger: root.resolve(&self.trigger).map_err(|error| corrupt(key, error))?,
            holder: self.holder,
            lease_until: self.lease_until,
            notice,
            snapshot: Vec::new(),
        })
    }
}

impl LinkRecord {
    fn of(link: &Link) -> Self {
        Self { by_glob: link.by_glob, by_name: link.by_name, acked: link.acked.map(|position| position.to_string()) }
    }

    fn restore(self, key: &[u8]) -> Result<Link, Corrupt> {
        let acked = match self.acked {
            None => None,
            Some(token) => {
                Some(Position::parse(token.as_bytes()).ok_or_else(|| corrupt(key, format!("{token:?} is no offset")))?)
            }
        };
        Ok(Link { by_glob: self.by_glob, by_name: self.by_name, acked, tail: None })
    }
}
