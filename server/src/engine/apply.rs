//! The decisions of the committer: create, append, close, delete. Each either changes
//! the decided state and adds to the transaction, or fails and changes nothing.

use std::{collections::HashMap, sync::Arc};

use bytes::Bytes;
use durable_streams_protocol::{
    content_type,
    expiry::Expiry,
    json_mode::{self, JsonError},
    offset::Position,
    produce::decide::{Decision, ProducerClaim, ProducerState, decide},
};

use super::{
    committer::{Answer, Committer, Effect},
    reader::unit_at,
    stream::{Decided, Gone, NewStream, Producer, Source, Stream},
    types::{
        AppendError, AppendKind, AppendRequest, Appended, CreateError, CreateRequest, Created, DeleteError,
        ForkRequest, LookupError,
    },
};
use crate::{
    path::StreamPath,
    store::{Mutation, UnitRecord},
};

/// What the next commit will carry.
#[derive(Default)]
pub(super) struct Transaction {
    pub(super) mutations: Vec<Mutation>,
    pub(super) answers: Vec<Answer>,
    pub(super) effects: Vec<Effect>,
    /// The stream of each append mutation, in order.
    pub(super) changed: Vec<Arc<Stream>>,
    /// Stored bytes in the mutations.
    pub(super) bytes: usize,
    /// Paths created or freed in this transaction: the committer's view of them.
    paths: HashMap<StreamPath, Option<Arc<Stream>>>,
}

impl Transaction {
    /// The emptied transaction, its buffers kept for the next one.
    pub(super) fn recycled(mut self) -> Self {
        self.paths.clear();
        Self { bytes: 0, ..self }
    }
}

impl Committer {
    /// protocol.md §5, steps 6 to 9.
    pub(super) fn create(&mut self, path: StreamPath, request: CreateRequest) -> Result<Created, CreateError> {
        let now = self.now();
        if let Some(existing) = self.lookup(&path) {
            if existing.decided.lock().is_deleted {
                return Err(CreateError::SoftDeleted);
            }
            if !existing.is_expired(now) {
                return confirm(&existing, &request);
            }
            self.remove(&existing);
            if existing.reference_count() > 0 {
                return Err(CreateError::SoftDeleted);
            }
        }
        self.refusal()?;
        if let Some(limit) = self.shared.options.max_streams
            && self.shared.paths.read().len() + self.transaction.effects.len() >= limit
        {
            return Err(CreateError::TooManyStreams(limit));
        }
        let source = request.fork.as_ref().map(|fork| self.resolve_fork(fork, &request)).transpose()?;
        let (fork, prefix) = match source {
            Some((fork, prefix)) => (Some(fork), prefix),
            None => (None, Bytes::new()),
        };
        let content_type: Arc<str> = match (&request.content_type, &fork) {
            (None, Some(source)) => Arc::clone(source.stream.content_type()),
            (given, _) => content_type::or_default(given.as_deref()).into(),
        };
        let body = if content_type::is_json(&content_type) && !request.body.is_empty() {
            json_mode::split(request.body.clone()).map_err(CreateError::Json)?.stored
        } else {
            request.body.clone()
        };
        let inherited = fork.as_ref().and_then(|source| source.stream.expiry().cloned());
        let stream = Arc::new(Stream::new(
            NewStream {
                id: self.take_id(),
                path: path.clone(),
                content_type: Arc::clone(&content_type),
                expiry: request.expiry.clone().or(inherited),
                requested_expiry: request.expiry,
                created_unix_ms: now,
                source: fork,
            },
            Arc::clone(&self.shared.hot_bytes),
        ));
        if let Some(source) = stream.source() {
            source.stream.add_reference();
        }
        if stream.expiry().is_some() {
            self.expiring.insert(stream.id(), Arc::clone(&stream));
        }
        self.transaction.paths.insert(path, Some(Arc::clone(&stream)));
        self.transaction.effects.push(Effect::Created(Arc::clone(&stream)));
        self.checkpoint(&stream);
        let mut decided = stream.decided.lock();
        for (data, closes) in [(prefix, false), (body, request.closed)] {
            if !data.is_empty() || closes {
                self.push_unit(&stream, &mut decided, Accepted { data, closes, producer: None, seq: None }, now);
            }
        }
        Ok(Created { is_new: true, content_type, tail: decided.tail, closed: decided.is_closed })
    }

    /// protocol.md §21.1: all checks, and the part of the unit that a sub-offset takes over.
    fn resolve_fork(&mut self, fork: &ForkRequest, request: &CreateRequest) -> Result<(Source, Bytes), CreateError> {
        // Units decided in this transaction are not in the store yet.
        self.commit();
        let missing = || CreateError::SourceMissing(fork.source.clone());
        let stream = self.lookup(&fork.source).ok_or_else(missing)?;
        if stream.decided.lock().is_deleted {
            return Err(CreateError::SourceSoftDeleted(fork.source.clone()));
        }
        if stream.is_expired(self.now()) {
            return Err(if stream.reference_count() > 0 {
                CreateError::SourceSoftDeleted(fork.source.clone())
            } else {
                missing()
            });
        }
        if request.content_type.as_ref().is_some_and(|given| !content_type::same(given, stream.content_type())) {
            return Err(CreateError::SourceContentType(Arc::clone(stream.content_type())));
        }
        let tail = stream.decided.lock().tail;
        let at = fork.offset.unwrap_or(tail);
        let unit = if at < tail { unit_at(&self.shared, &stream, at)? } else { None };
        if at > tail || (at < tail && unit.is_none()) {
            return Err(CreateError::ForkOffset(tail));
        }
        let prefix = if fork.sub_offset == 0 {
            Bytes::new()
        } else {
            let data = unit.map(|unit| unit.data).unwrap_or_default();
            take_prefix(&data, fork.sub_offset, stream.is_json())
                .map_err(|available| CreateError::ForkSubOffset { sub_offset: fork.sub_offset, available })?
        };
        Ok((Source { stream, path: fork.source.clone(), at, sub_offset: fork.sub_offset }, prefix))
    }

    /// protocol.md §6 from row 4 on, and §7.
    pub(super) fn append(
        &mut self,
        stream: &Arc<Stream>,
        request: AppendRequest,
        unit: Option<Result<Bytes, JsonError>>,
    ) -> Result<Appended, AppendError> {
        let now = self.now();
        let mut decided = stream.decided.lock();
        // Gone since the caller looked it up; if the path was created anew meanwhile, the
        // request counts as the earlier one.
        if decided.is_deleted || stream.is_expired(now) {
            let is_referenced = stream.reference_count() > 0;
            return Err(if is_referenced { AppendError::Gone } else { AppendError::NotFound });
        }
        let decided = &mut *decided;
        let is_close_only = unit.is_none();
        let claim = request.producer;
        let appended = |decided: &Decided, kind, producer| Appended {
            kind,
            tail: decided.tail,
            closed: decided.is_closed,
            producer,
        };
        if decided.is_closed {
            return match claim {
                None if is_close_only => {
                    stream.touch(now);
                    Ok(appended(decided, AppendKind::Close, None))
                }
                Some(claim) if decided.closed_by.as_ref() == Some(&claim) => {
                    stream.touch(now);
                    Ok(appended(decided, AppendKind::Duplicate, Some(claim.state)))
                }
                _ => Err(AppendError::Closed(decided.tail)),
            };
        }
        if !is_close_only {
            let given = request.content_type.as_deref().unwrap_or_default();
            if !content_type::same(given, stream.content_type()) {
                return Err(AppendError::ContentType(Arc::clone(stream.content_type())));
            }
        }
        let producer = claim.as_ref().map(|claim| claim.state);
        if let Some(claim) = &claim {
            match decide(self.known_producer(decided, claim, now), claim.state) {
                Decision::Append(_) => {}
                Decision::Duplicate(accepted) => {
                    stream.touch(now);
                    return Ok(appended(decided, AppendKind::Duplicate, Some(accepted)));
                }
                Decision::StaleEpoch { current } => return Err(AppendError::StaleEpoch(current)),
                Decision::EpochMustStartAtZero => return Err(AppendError::EpochMustStartAtZero),
                Decision::Gap { expected, received } => return Err(AppendError::Gap { expected, received }),
            }
        }
        // protocol.md §7: close-only ignores Stream-Seq.
        let seq = request.seq.filter(|_| !is_close_only);
        if let Some(seq) = &seq
            && decided.last_seq.as_ref().is_some_and(|last| seq <= last)
        {
            return Err(AppendError::SeqConflict);
        }
        let data = unit.unwrap_or(Ok(Bytes::new())).map_err(AppendError::Json)?;
        if data.is_empty() && !is_close_only {
            return Err(AppendError::Json(JsonError::EmptyArray));
        }
        self.refusal()?;
        stream.touch(now);
        self.push_unit(stream, decided, Accepted { data, closes: request.close, producer: claim, seq }, now);
        if self.wants_checkpoint(decided) {
            decided.since_checkpoint = 0;
            decided.checkpoint_touched_unix_ms = stream.touched();
            self.transaction.mutations.push(Mutation::Put(Box::new(stream.record(decided))));
        }
        let kind = if is_close_only { AppendKind::Close } else { AppendKind::Data };
        Ok(appended(decided, kind, producer))
    }

    /// Moves the decided state over an accepted unit and puts it into the transaction.
    fn push_unit(&mut self, stream: &Arc<Stream>, decided: &mut Decided, accepted: Accepted, now: u64) {
        let Accepted { data, closes, producer, seq } = accepted;
        let at = decided.tail;
        decided.tail = Position(at.0 + data.len() as u64);
        decided.since_checkpoint += 1;
        decided.is_in_commit = true;
        if closes {
            decided.is_closed = true;
            decided.closed_by.clone_from(&producer);
        }
        if let Some(seq) = &seq {
            decided.last_seq = Some(seq.clone());
        }
        if let Some(ProducerClaim { id, state }) = &producer {
            let known = Producer { state: *state, used_unix_ms: now };
            match decided.producers.get_mut(id) {
                Some(slot) => *slot = known,
                None => {
                    decided.producers.insert(id.clone(), known);
                }
            }
        }
        self.transaction.bytes += data.len();
        self.transaction.changed.push(Arc::clone(stream));
        self.transaction.mutations.push(Mutation::Append(UnitRecord {
            stream: stream.id(),
            at,
            data,
            producer,
            seq,
            closes,
            time_unix_ms: now,
        }));
    }

    fn known_producer(&self, decided: &mut Decided, claim: &ProducerClaim, now: u64) -> Option<ProducerState> {
        let known = *decided.producers.get(&claim.id)?;
        let is_forgotten = self.shared.store.is_volatile()
            && now.saturating_sub(known.used_unix_ms) > self.shared.options.producer_idle_ms;
        if is_forgotten {
            decided.producers.remove(&claim.id);
            return None;
        }
        Some(known.state)
    }

    /// protocol.md §8.
    pub(super) fn delete(&mut self, path: &StreamPath) -> Result<(), DeleteError> {
        let stream = self.lookup(path).ok_or(LookupError::NotFound)?;
        if stream.decided.lock().is_deleted {
            return Err(LookupError::Gone.into());
        }
        let was_expired = stream.is_expired(self.now());
        let is_referenced = stream.reference_count() > 0;
        self.remove(&stream);
        match (was_expired, is_referenced) {
            (false, _) => Ok(()),
            (true, true) => Err(LookupError::Gone.into()),
            (true, false) => Err(LookupError::NotFound.into()),
        }
    }

    /// Removes a stream, or soft-deletes it while forks read through it, and releases
    /// its source, up the chain (protocol.md §21.5).
    pub(super) fn remove(&mut self, stream: &Arc<Stream>) {
        stream.decided.lock().is_deleted = true;
        self.expiring.remove(&stream.id());
        if stream.reference_count() > 0 {
            self.checkpoint(stream);
            self.transaction.effects.push(Effect::Gone(Arc::clone(stream), Gone::SoftDeleted));
            return;
        }
        let mut next = Some(Arc::clone(stream));
        while let Some(stream) = next.take() {
            self.transaction.mutations.push(Mutation::Remove(stream.id()));
            self.transaction.paths.insert(stream.path().clone(), None);
            if let Some(source) = stream.source() {
                let is_last = source.stream.release_reference() == 0;
                next = (is_last && source.stream.decided.lock().is_deleted).then(|| Arc::clone(&source.stream));
            }
            self.transaction.effects.push(Effect::Gone(stream, Gone::Removed));
        }
    }

    /// The stream at a path as decided so far.
    fn lookup(&self, path: &StreamPath) -> Option<Arc<Stream>> {
        match self.transaction.paths.get(path) {
            Some(decided) => decided.clone(),
            None => self.shared.paths.read().get(path).cloned(),
        }
    }

    fn take_id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id - 1
    }

    fn now(&self) -> u64 {
        self.shared.options.clock.unix_ms()
    }
}

/// An append that passed all checks.
struct Accepted {
    data: Bytes,
    closes: bool,
    producer: Option<ProducerClaim>,
    seq: Option<Box<[u8]>>,
}

/// protocol.md §5: the comparison of a repeated create with what exists.
fn confirm(stream: &Stream, request: &CreateRequest) -> Result<Created, CreateError> {
    let is_fork = stream.source().is_some();
    let matches_type = match &request.content_type {
        None if is_fork => true,
        given => content_type::same(content_type::or_default(given.as_deref()), stream.content_type()),
    };
    if !matches_type {
        return Err(CreateError::Exists("content type"));
    }
    // A fork may repeat what it asked for, or name what it inherited.
    let asked: Option<&Expiry> = request.expiry.as_ref();
    if asked != stream.requested_expiry() && asked != stream.expiry() {
        return Err(CreateError::Exists("TTL or expiry"));
    }
    let decided = stream.decided.lock();
    if request.closed != decided.is_closed {
        return Err(CreateError::Exists("closed state"));
    }
    let matches_fork = match (&request.fork, stream.source()) {
        (None, None) => true,
        (Some(fork), Some(source)) => {
            fork.source == source.path
                && fork.offset.is_none_or(|offset| offset == source.at)
                && fork.sub_offset == source.sub_offset
        }
        _ => false,
    };
    if !matches_fork {
        return Err(CreateError::Exists("fork origin"));
    }
    Ok(Created {
        is_new: false,
        content_type: Arc::clone(stream.content_type()),
        tail: decided.tail,
        closed: decided.is_closed,
    })
}

/// The first bytes or messages of a unit; the error is how many there are.
fn take_prefix(data: &Bytes, sub_offset: u64, is_json: bool) -> Result<Bytes, u64> {
    let len = if is_json {
        json_mode::prefix_len(data, sub_offset).ok_or_else(|| json_mode::messages(data).count() as u64)?
    } else {
        let available = data.len() as u64;
        usize::try_from(sub_offset).ok().filter(|len| *len <= data.len()).ok_or(available)?
    };
    Ok(data.slice(..len))
}
