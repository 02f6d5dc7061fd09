//! What Elixir functions ask the engine for, and the terms they get.

use std::time::Duration;

use bytes::Bytes;
use durable_streams_bindings::{ErrorInfo, call::Outcome};
use durable_streams_protocol::{
    expiry::{Deadline, Expiry},
    offset::Position,
};
use durable_streams_server::{
    engine::types::{
        AppendError, AppendRequest, CreateError, CreateRequest, DeleteError, LookupError, ReadError, StreamInfo,
    },
    path::StreamPath,
};
use rustler::{Binary, Encoder, Env, NewBinary, NifResult, Reference, ResourceArc, Term, types::atom};

use super::{
    Engine, Keeper,
    name::path_of,
    page::{self, From, MessagePage, Page, ReadRequest},
};
use crate::{
    options::{Options, copied},
    reply::{Operation, start},
};

rustler::atoms! {
    already_exists, bad_request, closed, gone, internal_error, invalid_offset, not_found, seq_conflict,
    content_type, created_at, data, earliest_offset, expires_at, has_more, messages, next_offset, offset,
    total_bytes, ttl,
}

/// Why a function of a stream refused.
pub(super) enum Refusal {
    AlreadyExists,
    Closed,
    Gone,
    NotFound,
    SeqConflict,
    Offset,
    BadRequest(String),
    Failed(String),
}

/// Creates a stream: `:ok`.
#[rustler::nif]
fn keeper_create<'a>(
    env: Env<'a>,
    reference: Reference<'a>,
    keeper: ResourceArc<Keeper>,
    id: Binary<'a>,
    options: Term<'a>,
) -> NifResult<ResourceArc<Operation>> {
    let engine = keeper.engine();
    let path = path(&engine, id);
    let options = Options::new(options);
    let content_type = options.get("content_type")?;
    let ttl = options.get("ttl")?.map(Expiry::Ttl);
    let deadline = options.get::<String>("expires_at")?;
    let closed = options.get_or_default("closed")?;
    let body = options.bytes("data")?.unwrap_or_default();
    let work = async move {
        let expiry = match deadline {
            Some(text) => Some(Expiry::At(Deadline::parse(&text).ok_or_else(|| not_a_deadline(&text))?)),
            None => ttl,
        };
        let request = CreateRequest { content_type, expiry, closed, fork: None, body: kept(body) };
        let created = engine?.engine().create(path?, request).await?;
        if created.is_new { Ok(()) } else { Err(Refusal::AlreadyExists) }
    };
    Ok(answer(env, reference, work, |env, ()| atom::ok().encode(env)))
}

fn not_a_deadline(text: &str) -> Refusal {
    Refusal::BadRequest(format!("expires_at must be an RFC 3339 timestamp, got {text:?}"))
}

/// Appends a binary: `{:ok, offset}`.
#[rustler::nif]
fn keeper_append<'a>(
    env: Env<'a>,
    reference: Reference<'a>,
    keeper: ResourceArc<Keeper>,
    id: Binary<'a>,
    data: Binary<'a>,
    seq: Option<Binary<'a>>,
) -> ResourceArc<Operation> {
    let engine = keeper.engine();
    let path = path(&engine, id);
    let body = copied(env, data);
    let seq = seq.map(|seq| seq.as_slice().into());
    let work = async move {
        let path = path?;
        let engine = engine?;
        let engine = engine.engine();
        let content_type = Some(engine.head(&path)?.content_type.to_string());
        if body.is_empty() {
            return Err(Refusal::BadRequest("data is empty; an append needs at least one byte".to_owned()));
        }
        let request = AppendRequest { content_type, body: kept(body), seq, ..AppendRequest::default() };
        Ok(engine.append(&path, request).await?.tail)
    };
    answer(env, reference, work, |env, tail| (atom::ok(), tail.to_string()).encode(env))
}

/// Closes a stream: `:ok`, also when it is closed already.
#[rustler::nif]
fn keeper_close<'a>(
    env: Env<'a>,
    reference: Reference<'a>,
    keeper: ResourceArc<Keeper>,
    id: Binary<'a>,
) -> ResourceArc<Operation> {
    let engine = keeper.engine();
    let path = path(&engine, id);
    let work = async move {
        let request = AppendRequest { close: true, ..AppendRequest::default() };
        engine?.engine().append(&path?, request).await?;
        Ok(())
    };
    answer(env, reference, work, |env, ()| atom::ok().encode(env))
}

/// Deletes a stream: `:ok`.
#[rustler::nif]
fn keeper_delete<'a>(
    env: Env<'a>,
    reference: Reference<'a>,
    keeper: ResourceArc<Keeper>,
    id: Binary<'a>,
) -> ResourceArc<Operation> {
    let engine = keeper.engine();
    let path = path(&engine, id);
    let work = async move { Ok(engine?.engine().delete(&path?).await?) };
    answer(env, reference, work, |env, ()| atom::ok().encode(env))
}

/// What is known of a stream: `{:ok, map}`.
#[rustler::nif]
fn keeper_metadata<'a>(
    env: Env<'a>,
    reference: Reference<'a>,
    keeper: ResourceArc<Keeper>,
    id: Binary<'a>,
) -> ResourceArc<Operation> {
    let engine = keeper.engine();
    let path = path(&engine, id);
    let work = async move { Ok(engine?.engine().head(&path?)?) };
    answer(env, reference, work, |env, info| (atom::ok(), metadata(env, &info)).encode(env))
}

fn metadata<'a>(env: Env<'a>, info: &StreamInfo) -> Term<'a> {
    let (seconds, deadline) = match &info.expiry {
        None => (None, None),
        Some(Expiry::Ttl(seconds)) => (Some(*seconds), None),
        Some(Expiry::At(deadline)) => (None, Some(deadline.unix_ms)),
    };
    rustler::term_map!(env, {
        content_type() => &*info.content_type,
        created_at() => info.created_unix_ms,
        closed() => info.closed,
        ttl() => seconds,
        expires_at() => deadline,
        earliest_offset() => Position::START.to_string(),
        next_offset() => info.tail.to_string(),
        total_bytes() => info.tail.0,
    })
}

/// Reads data: `{:ok, map}`. Waits up to `wait` ms for some, if given.
#[rustler::nif]
fn keeper_read<'a>(
    env: Env<'a>,
    reference: Reference<'a>,
    keeper: ResourceArc<Keeper>,
    id: Binary<'a>,
    from: Binary<'a>,
    wait: Option<u64>,
) -> ResourceArc<Operation> {
    let engine = keeper.engine();
    let request = read_request(&engine, id, from, wait);
    let work = async move { page::read(engine?.engine(), request?).await };
    answer(env, reference, work, |env, page: Page| {
        let map = rustler::term_map!(env, {
            data() => joined(env, &page.data),
            offset() => page.next.to_string(),
            has_more() => page.has_more,
            closed() => page.closed,
        });
        (atom::ok(), map).encode(env)
    })
}

/// Reads messages: `{:ok, map}`. Waits up to `wait` ms for some, if given.
#[rustler::nif]
fn keeper_read_messages<'a>(
    env: Env<'a>,
    reference: Reference<'a>,
    keeper: ResourceArc<Keeper>,
    id: Binary<'a>,
    from: Binary<'a>,
    wait: Option<u64>,
) -> ResourceArc<Operation> {
    let engine = keeper.engine();
    let request = read_request(&engine, id, from, wait);
    let work = async move { page::read_messages(engine?.engine(), request?).await };
    answer(env, reference, work, |env, page: MessagePage| {
        let list: Vec<Term<'_>> = page
            .messages
            .iter()
            .map(|(text, behind)| {
                rustler::term_map!(env, { data() => joined(env, std::slice::from_ref(text)), offset() => behind })
            })
            .collect();
        let map = rustler::term_map!(env, {
            messages() => list,
            offset() => page.next.to_string(),
            has_more() => page.has_more,
            closed() => page.closed,
        });
        (atom::ok(), map).encode(env)
    })
}

fn read_request(
    engine: &Outcome<Engine>,
    id: Binary<'_>,
    from: Binary<'_>,
    wait: Option<u64>,
) -> Result<ReadRequest, Refusal> {
    let path = path(engine, id)?;
    let engine = engine.as_ref().map_err(Refusal::of)?;
    // A missing stream is reported before a malformed offset.
    engine.engine().head(&path)?;
    Ok(ReadRequest {
        path,
        from: From::parse(from.as_slice()).ok_or(Refusal::Offset)?,
        wait: wait.map(Duration::from_millis),
        max_bytes: engine.options().max_chunk_bytes,
    })
}

fn path(engine: &Outcome<Engine>, id: Binary<'_>) -> Result<StreamPath, Refusal> {
    let prefix = &engine.as_ref().map_err(Refusal::of)?.options().prefix;
    path_of(prefix, id.as_slice()).map_err(|error| Refusal::BadRequest(error.to_string()))
}

/// Data in memory of its own, copied on a thread of the runtime: what is stored lives long, and
/// what the VM shares may be a small part of a large binary.
pub(super) fn kept(data: Bytes) -> Bytes {
    Bytes::copy_from_slice(&data)
}

/// One binary of all pieces.
pub(super) fn joined<'a>(env: Env<'a>, pieces: &[Bytes]) -> Term<'a> {
    let mut binary = NewBinary::new(env, pieces.iter().map(Bytes::len).sum());
    let mut rest = binary.as_mut_slice();
    for piece in pieces {
        let (here, after) = rest.split_at_mut(piece.len());
        here.copy_from_slice(piece);
        rest = after;
    }
    binary.into()
}

/// Starts what may refuse; a refusal is `{:error, reason}`.
fn answer<T, W, E>(env: Env<'_>, reference: Reference<'_>, work: W, encode: E) -> ResourceArc<Operation>
where
    T: Send + 'static,
    W: Future<Output = Result<T, Refusal>> + Send + 'static,
    E: for<'a> FnOnce(Env<'a>, T) -> Term<'a> + Send + 'static,
{
    start(env, reference, async move { Ok(work.await) }, |env, outcome| match outcome {
        Ok(value) => encode(env, value),
        Err(refusal) => (atom::error(), refusal.reason(env)).encode(env),
    })
}

impl Refusal {
    fn of(error: &ErrorInfo) -> Self {
        Self::Failed(error.detail().to_owned())
    }

    fn reason<'a>(&self, env: Env<'a>) -> Term<'a> {
        match self {
            Self::AlreadyExists => already_exists().encode(env),
            Self::Closed => closed().encode(env),
            Self::Gone => gone().encode(env),
            Self::NotFound => not_found().encode(env),
            Self::SeqConflict => seq_conflict().encode(env),
            Self::Offset => invalid_offset().encode(env),
            Self::BadRequest(text) => (bad_request(), text).encode(env),
            Self::Failed(text) => (internal_error(), text).encode(env),
        }
    }
}

impl std::convert::From<ErrorInfo> for Refusal {
    fn from(error: ErrorInfo) -> Self {
        Self::of(&error)
    }
}

impl std::convert::From<LookupError> for Refusal {
    fn from(error: LookupError) -> Self {
        match error {
            LookupError::NotFound => Self::NotFound,
            LookupError::Gone => Self::Gone,
        }
    }
}

impl std::convert::From<CreateError> for Refusal {
    fn from(error: CreateError) -> Self {
        let text = error.to_string();
        match error {
            CreateError::Exists(_) | CreateError::SoftDeleted => Self::AlreadyExists,
            CreateError::Json(_)
            | CreateError::SourceMissing(_)
            | CreateError::SourceSoftDeleted(_)
            | CreateError::SourceContentType(_)
            | CreateError::ForkOffset(_)
            | CreateError::ForkSubOffset { .. } => Self::BadRequest(text),
            CreateError::TooManyStreams(_) | CreateError::Store(_) => Self::Failed(text),
        }
    }
}

impl std::convert::From<AppendError> for Refusal {
    fn from(error: AppendError) -> Self {
        let text = error.to_string();
        match error {
            AppendError::NotFound => Self::NotFound,
            AppendError::Gone => Self::Gone,
            AppendError::Closed(_) => Self::Closed,
            AppendError::SeqConflict => Self::SeqConflict,
            AppendError::Json(_) => Self::BadRequest(text),
            // The stream was deleted and created anew with another type in this very moment, or
            // the store failed; nothing here claims to be a producer.
            AppendError::ContentType(_)
            | AppendError::StaleEpoch(_)
            | AppendError::EpochMustStartAtZero
            | AppendError::Gap { .. }
            | AppendError::Store(_) => Self::Failed(text),
        }
    }
}

impl std::convert::From<DeleteError> for Refusal {
    fn from(error: DeleteError) -> Self {
        match error {
            DeleteError::Lookup(error) => error.into(),
            DeleteError::Store(error) => Self::Failed(error.to_string()),
        }
    }
}

impl std::convert::From<ReadError> for Refusal {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Lookup(error) => error.into(),
            ReadError::Offset => Self::Offset,
            ReadError::Store(error) => Self::Failed(error.to_string()),
        }
    }
}
