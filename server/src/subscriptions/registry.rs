//! All subscriptions and the indexes that find those an event concerns: an append costs
//! its followers and the patterns that cover it, whatever else there is.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use durable_streams_protocol::offset::Position;

use super::{
    config::Config,
    glob::GlobIndex,
    inbox::Change,
    machine::{Moment, Notify},
    model::{Link, Subscription, UnixMs, Unsaved},
    persist,
    port::{KvBatch, StreamsPort},
    root::Root,
};
use crate::path::StreamPath;

/// Name of a subscription.
pub(crate) type Id = Arc<str>;

/// All subscriptions. Without I/O; what to store and to send comes out of
/// [`Registry::take_unsaved`] and [`Registry::poll`].
#[derive(Debug)]
pub(crate) struct Registry {
    root: Root,
    entries: HashMap<Id, Entry>,
    /// Who follows a stream.
    followers: HashMap<StreamPath, Vec<Id>>,
    globs: GlobIndex<Id>,
    deadlines: BTreeSet<(UnixMs, Id)>,
    /// Changed since the last poll.
    touched: BTreeSet<Id>,
    /// Changed since the last write.
    unsaved: BTreeSet<Id>,
    /// Removed since the last write, with the links they had.
    removed: Vec<(Id, Vec<StreamPath>)>,
}

#[derive(Debug)]
struct Entry {
    subscription: Subscription,
    deadline: Option<UnixMs>,
}

/// What a write has to bring to the store, kept to be repeated if it fails.
#[derive(Debug, Default)]
pub(crate) struct Pending {
    /// The entries to write.
    pub(crate) batch: KvBatch,
    changed: Vec<(Id, Unsaved)>,
    removed: Vec<(Id, Vec<StreamPath>)>,
}

impl Registry {
    /// No subscriptions yet.
    pub(crate) fn new(root: Root) -> Self {
        Self {
            root,
            entries: HashMap::new(),
            followers: HashMap::new(),
            globs: GlobIndex::new(),
            deadlines: BTreeSet::new(),
            touched: BTreeSet::new(),
            unsaved: BTreeSet::new(),
            removed: Vec::new(),
        }
    }

    /// Number of subscriptions.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// One subscription.
    pub(crate) fn get(&self, id: &str) -> Option<&Subscription> {
        self.entries.get(id).map(|entry| &entry.subscription)
    }

    /// Adds a subscription that was just created: streams that exist are followed from
    /// their tails, named ones that do not from their start (protocol.md §23.4).
    pub(crate) fn create(&mut self, id: &str, config: Config, public_base: &str, now: UnixMs, port: &dyn StreamsPort) {
        let mut subscription = Subscription::new(id, config, public_base, now);
        if subscription.config.pattern.is_some() {
            for (path, tail) in port.streams() {
                if self.root.stream(&path).is_some_and(|relative| subscription.config.covers(&path, relative)) {
                    let link = Link { by_glob: true, by_name: false, acked: Some(tail), tail: Some(tail) };
                    subscription.link(path, link);
                }
            }
        }
        for path in subscription.config.streams.clone() {
            let link = link_by_name(&path, port);
            subscription.link(path, link);
        }
        subscription.unsaved.links = subscription.links.keys().cloned().collect();
        self.add(subscription);
    }

    /// Adds a subscription read from the store and brings it up to the streams as they
    /// are: a crash may have lost the last events, never what they meant.
    pub(crate) fn restore(&mut self, mut subscription: Subscription, tails: &HashMap<StreamPath, Position>) {
        let links: Vec<(StreamPath, Link)> =
            subscription.links.iter().map(|(path, link)| (path.clone(), link.clone())).collect();
        for (path, link) in links {
            match tails.get(&path) {
                Some(tail) if link.acked.is_none_or(|acked| acked <= *tail) => {
                    subscription.advance(&path, *tail);
                }
                // Deleted, perhaps created anew; only a stream yet to come may be missing.
                Some(_) => subscription.unlink(&path),
                None if link.by_name && link.acked == Some(Position::START) => {}
                None => subscription.unlink(&path),
            }
        }
        subscription.recover();
        self.add(subscription);
    }

    /// Follows what the restored patterns cover and no link names yet: streams that were
    /// created and written just before a crash. A fork nobody has written to counts as
    /// well: its tail does not tell inherited data from its own.
    pub(crate) fn discover(&mut self, tails: &HashMap<StreamPath, Position>) {
        if !self.globs.is_empty() {
            for (path, tail) in tails {
                self.appended(path, *tail);
            }
        }
    }

    /// Removes a subscription; tells whether there was one.
    pub(crate) fn remove(&mut self, id: &str) -> bool {
        let Some((id, entry)) = self.entries.remove_entry(id) else { return false };
        if let Some(deadline) = entry.deadline {
            self.deadlines.remove(&(deadline, id.clone()));
        }
        if let Some(glob) = &entry.subscription.config.pattern {
            self.globs.remove(glob, &id);
        }
        for path in entry.subscription.links.keys() {
            self.unfollow(path, &id);
        }
        self.touched.remove(&id);
        self.unsaved.remove(&id);
        // Links removed but not yet written are to be removed from the store as well.
        let links: BTreeSet<StreamPath> =
            entry.subscription.links.into_keys().chain(entry.subscription.unsaved.links).collect();
        self.removed.push((id, links.into_iter().collect()));
        true
    }

    /// Follows streams by name.
    pub(crate) fn link(&mut self, id: &str, paths: BTreeSet<StreamPath>, port: &dyn StreamsPort) {
        let Some((id, _)) = self.entries.get_key_value(id) else { return };
        let id = id.clone();
        for path in paths {
            let link = link_by_name(&path, port);
            self.follow(&id, path, link);
        }
    }

    /// Stops following a stream by name.
    pub(crate) fn unlink(&mut self, id: &str, path: &StreamPath) {
        if self.update(id, |subscription| subscription.unlink_explicit(path)).is_some()
            && self.get(id).is_some_and(|subscription| !subscription.links.contains_key(path))
        {
            self.unfollow(path, id);
        }
    }

    /// Changes one subscription; it is then polled and stored.
    pub(crate) fn update<R>(&mut self, id: &str, change: impl FnOnce(&mut Subscription) -> R) -> Option<R> {
        let (id, _) = self.entries.get_key_value(id)?;
        let id = id.clone();
        let entry = self.entries.get_mut(&id)?;
        let result = change(&mut entry.subscription);
        self.touched.insert(id.clone());
        self.unsaved.insert(id);
        Some(result)
    }

    /// Takes what happened to one stream.
    pub(crate) fn apply(&mut self, path: &StreamPath, change: Change, port: &dyn StreamsPort) {
        if self.root.stream(path).is_none() {
            return;
        }
        if change.removed {
            for id in self.followers.remove(path).unwrap_or_default() {
                self.update(&id, |subscription| subscription.unlink(path));
            }
        }
        // A commit tells of deletions first: after one, only the stream itself knows whether
        // the append came before or after.
        let tail = if change.removed { change.tail.and_then(|_| port.tail(path)) } else { change.tail };
        if let Some(tail) = tail {
            self.appended(path, tail);
        } else if change.created
            && self.followers.contains_key(path)
            // A fork is created with data that no append tells of.
            && let Some(tail) = port.tail(path)
        {
            self.advance(path, tail);
        }
    }

    /// Everything that has to be sent now. Entropy differs with every call of `moment`.
    pub(crate) fn poll(&mut self, now: UnixMs, mut moment: impl FnMut() -> Moment) -> Vec<(Id, Notify)> {
        while let Some((deadline, id)) = self.deadlines.first()
            && *deadline <= now
        {
            let due = (*deadline, id.clone());
            self.deadlines.remove(&due);
            if let Some(entry) = self.entries.get_mut(&due.1) {
                entry.deadline = None;
            }
            self.touched.insert(due.1);
        }
        let mut out = Vec::new();
        for id in std::mem::take(&mut self.touched) {
            let Some(entry) = self.entries.get_mut(&id) else { continue };
            while let Some(notify) = entry.subscription.poll(moment()) {
                out.push((id.clone(), notify));
            }
            let deadline = entry.subscription.next_deadline();
            if deadline != entry.deadline {
                if let Some(old) = entry.deadline {
                    self.deadlines.remove(&(old, id.clone()));
                }
                if let Some(new) = deadline {
                    self.deadlines.insert((new, id.clone()));
                }
                entry.deadline = deadline;
            }
            if !entry.subscription.unsaved.is_empty() {
                self.unsaved.insert(id);
            }
        }
        out
    }

    /// When [`Registry::poll`] has something to do even if nothing else happens.
    pub(crate) fn next_deadline(&self) -> Option<UnixMs> {
        self.deadlines.first().map(|(deadline, _)| *deadline)
    }

    /// What is to be stored; hand it back to [`Registry::keep_unsaved`] if that fails.
    pub(crate) fn take_unsaved(&mut self) -> Pending {
        let mut pending = Pending { removed: std::mem::take(&mut self.removed), ..Pending::default() };
        // Removals first: the same id may have been created anew.
        for (id, links) in &pending.removed {
            persist::remove(id, links.iter(), &self.root, &mut pending.batch);
        }
        for id in std::mem::take(&mut self.unsaved) {
            let Some(entry) = self.entries.get_mut(&id) else { continue };
            let unsaved = std::mem::take(&mut entry.subscription.unsaved);
            if !unsaved.is_empty() {
                persist::save(&entry.subscription, &unsaved, &self.root, &mut pending.batch);
                pending.changed.push((id, unsaved));
            }
        }
        if !pending.removed.is_empty() {
            // A store may not order two changes of one key within a batch.
            let last: BTreeMap<_, _> = std::mem::take(&mut pending.batch).into_iter().collect();
            pending.batch = last.into_iter().collect();
        }
        pending
    }

    /// Takes back what could not be stored, to be tried again.
    pub(crate) fn keep_unsaved(&mut self, pending: Pending) {
        self.removed.splice(0..0, pending.removed);
        for (id, unsaved) in pending.changed {
            if let Some(entry) = self.entries.get_mut(&id) {
                entry.subscription.unsaved.merge(unsaved);
                self.unsaved.insert(id);
            }
        }
    }

    /// The stream root.
    pub(crate) const fn root(&self) -> &Root {
        &self.root
    }

    fn add(&mut self, subscription: Subscription) {
        let id: Id = Arc::from(&*subscription.id);
        if let Some(glob) = &subscription.config.pattern {
            self.globs.insert(glob, id.clone());
        }
        for path in subscription.links.keys() {
            self.followers.entry(path.clone()).or_default().push(id.clone());
        }
        self.touched.insert(id.clone());
        self.unsaved.insert(id.clone());
        self.entries.insert(id, Entry { subscription, deadline: None });
    }

    fn appended(&mut self, path: &StreamPath, tail: Position) {
        if !self.globs.is_empty()
            && tail > Position::START
            && let Some(relative) = self.root.stream(path)
        {
            for id in self.globs.matching(relative) {
                let is_new = self
                    .get(&id)
                    .is_some_and(|it| it.links.get(path).is_none_or(|link| !link.by_glob) && !it.config.wakes_on(path));
                if is_new {
                    // protocol.md §23.4: linked before the append, so that the append counts.
                    self.follow(&id, path.clone(), Link { by_glob: true, by_name: false, acked: None, tail: None });
                }
            }
        }
        self.advance(path, tail);
    }

    fn advance(&mut self, path: &StreamPath, tail: Position) {
        for id in self.followers.get(path).cloned().unwrap_or_default() {
            self.update(&id, |subscription| subscription.advance(path, tail));
        }
    }

    fn follow(&mut self, id: &Id, path: StreamPath, link: Link) {
        let is_new = self.get(id).is_some_and(|subscription| !subscription.links.contains_key(&path));
        if is_new {
            self.followers.entry(path.clone()).or_default().push(id.clone());
        }
        self.update(id, |subscription| subscription.link(path, link));
    }

    fn unfollow(&mut self, path: &StreamPath, id: &str) {
        if let Some(ids) = self.followers.get_mut(path) {
            ids.retain(|other| **other != *id);
            if ids.is_empty() {
                self.followers.remove(path);
            }
        }
    }
}

fn link_by_name(path: &StreamPath, port: &dyn StreamsPort) -> Link {
    let tail = port.tail(path);
    Link { by_glob: false, by_name: true, acked: Some(tail.unwrap_or(Position::START)), tail }
}

#[cfg(test)]
mod tests;
