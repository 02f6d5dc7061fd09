//! Exactly-once writing. Messages are taken at once; whoever meets a full queue waits for room
//! by a message.

use std::sync::Arc;

use durable_streams_bindings::{
    ErrorInfo,
    producer::{Acknowledged, BatchNumbers, OnError, Producer, ProducerConfig, Receipt},
};
use parking_lot::{Mutex, RwLock};
use rustler::{
    Atom, Binary, Encoder, Env, LocalPid, Monitor, NifResult, OwnedEnv, Reference, Resource, ResourceArc, Term,
    env::SavedTerm, schedule, types::atom,
};

use crate::{
    error::details,
    handle::Handle,
    json::{self, Refused},
    options::{Options, copied},
    reply::{self, Operation},
};

rustler::atoms! {
    ok, full, more, singly, final_offset, duplicate, epoch, failed, in_flight, last, next_offset, next_seq, pending, refused, seq,
}

/// A producer; it ends with the process that opened it.
pub(crate) struct OpenProducer(RwLock<Life>);

enum Life {
    Open(Producer),
    /// The epoch that was in use.
    Ended(u64),
}

#[rustler::resource_impl]
impl Resource for OpenProducer {
    const IMPLEMENTS_DOWN: bool = true;

    fn down<'a>(&'a self, _env: Env<'a>, _pid: LocalPid, _monitor: Monitor) {
        self.end();
    }
}

impl OpenProducer {
    fn get(&self) -> Result<Producer, ErrorInfo> {
        self.with(|producer| Ok(producer.clone()))
    }

    /// Does what takes no time worth mentioning: meanwhile nobody can end the producer.
    fn with<T>(&self, work: impl FnOnce(&Producer) -> Result<T, ErrorInfo>) -> Result<T, ErrorInfo> {
        match &*self.0.read() {
            Life::Open(producer) => work(producer),
            Life::Ended(_) => Err(ended()),
        }
    }

    /// Lets everything go: what is not sent is dropped.
    fn end(&self) {
        let mut life = self.0.write();
        let ended = Life::Ended(life.epoch());
        // Dropped without the lock.
        let open = std::mem::replace(&mut *life, ended);
        drop(life);
        drop(open);
    }
}

impl Life {
    fn epoch(&self) -> u64 {
        match self {
            Self::Open(producer) => producer.epoch(),
            Self::Ended(epoch) => *epoch,
        }
    }
}

fn ended() -> ErrorInfo {
    ErrorInfo::new(durable_streams_bindings::ErrorCode::AlreadyClosed, "the writer has ended")
}

/// What the messages of one call cost the scheduler, of the millisecond that is a slice; of
/// which 32 KiB of JSON take 150 microseconds.
const SLICE_PERCENT: i32 = 15;
/// What taking a message costs besides its bytes, as bytes.
const PER_MESSAGE: usize = 16;

/// A message that was taken while the queue was full.
pub(crate) struct Waiting(Mutex<Option<Receipt>>);

#[rustler::resource_impl]
impl Resource for Waiting {}

/// A producer of the calling process: `{:ok, producer}` or `{:error, details}`. Every batch
/// that is given up is told to it by `{:failed, tag, details}`.
#[rustler::nif]
fn producer_open<'a>(env: Env<'a>, handle: Term<'a>, options: Term<'a>, tag: Reference<'a>) -> NifResult<Term<'a>> {
    let options = Options::new(options);
    let config = ProducerConfig {
        producer_id: options.get_or_default("producer_id")?,
        numbers: BatchNumbers {
            epoch: options.number("epoch")?,
            max_batch_bytes: options.number("max_batch_bytes")?,
            max_batch_items: options.number("max_batch_items")?,
            max_in_flight: options.number("max_in_flight")?,
            linger_ms: options.number("linger_ms")?,
        },
        auto_claim: options.get_or_default("auto_claim")?,
        max_queued_bytes: options.get("max_queued_bytes")?,
        max_queued_messages: options.get("max_queued_messages")?,
        content_type: options.get("content_type")?,
        on_error: Some(reporter(env.pid(), tag)),
        ..ProducerConfig::default()
    };
    let opened = Handle::new(handle)?.and_then(|handle| Producer::open(&handle.stream, config));
    Ok(match opened {
        Ok(producer) => {
            let producer = ResourceArc::new(OpenProducer(RwLock::new(Life::Open(producer))));
            if env.monitor(&producer, &env.pid()).is_none() {
                // The process is being killed while it runs this.
                producer.end();
            }
            (ok(), producer).encode(env)
        }
        Err(error) => (atom::error(), details(env, &error)).encode(env),
    })
}

/// Tells a process of failures; from any thread, so the letter is posted by the runtime.
fn reporter(owner: LocalPid, tag: Reference<'_>) -> OnError {
    let env = OwnedEnv::new();
    let saved: SavedTerm = env.save(tag);
    let kept = Arc::new(Mutex::new((env, saved)));
    Arc::new(move |error| {
        let kept = Arc::clone(&kept);
        let post = move || {
            let kept = kept.lock();
            // A process that is gone needs no report.
            let _ = OwnedEnv::new().send_and_clear(&owner, |env| {
                let tag = kept.0.run(|own| kept.1.load(own).in_env(env));
                (failed(), tag, details(env, &error))
            });
        };
        if let Ok(runtime) = durable_streams_bindings::runtime::handle() {
            runtime.spawn(async move { post() });
        }
    })
}

/// Takes a message: `:ok`; `{:full, waiting}` when it was taken but `producer_room` should be
/// waited for; `{:error, details}` when it was not taken.
#[rustler::nif]
fn producer_append<'a>(env: Env<'a>, producer: ResourceArc<OpenProducer>, message: Binary<'a>) -> Term<'a> {
    receipt(env, producer.with(|producer| producer.append(message.as_slice())))
}

/// The same for a term, which becomes JSON; also `:big` when that takes more than a slice of a
/// scheduler's time, and `{:refused, reason}` when it has no JSON form.
#[rustler::nif]
fn producer_append_json<'a>(env: Env<'a>, producer: ResourceArc<OpenProducer>, term: Term<'a>) -> Term<'a> {
    json::with_text(term, |text| match text {
        Ok(text) => receipt(env, producer.with(|producer| producer.append_json(text))),
        Err(Refused::Big) => json::big().encode(env),
        Err(Refused::Term(reason)) => (refused(), reason).encode(env),
    })
}

/// Takes the messages of a list in their order, terms as JSON, as far as a slice of a
/// scheduler's time goes: `:ok` when that is all of them; `{:more, rest}`; `{:full, waiting, rest}`
/// when `producer_room` should be waited for; `{:singly, rest}` when the first of the rest was
/// not taken: the functions for one message say why.
#[rustler::nif]
fn producer_append_all<'a>(env: Env<'a>, producer: ResourceArc<OpenProducer>, messages: Term<'a>) -> Term<'a> {
    let Ok(producer) = producer.get() else { return (singly(), messages).encode(env) };
    let (mut rest, mut taken_bytes) = (messages, 0);
    while let Ok((message, behind)) = rest.list_get_cell() {
        let taken = match message.decode::<Binary<'a>>() {
            Ok(text) => {
                taken_bytes += text.len();
                producer.append(text.as_slice()).ok()
            }
            Err(_) => json::with_text(message, |text| {
                let text = text.ok()?;
                taken_bytes += text.len();
                producer.append_json(text).ok()
            }),
        };
        let Some(receipt) = taken else { return (singly(), rest).encode(env) };
        rest = behind;
        if let Some(receipt) = receipt {
            return (full(), waiting(receipt), rest).encode(env);
        }
        taken_bytes += PER_MESSAGE;
        if taken_bytes >= json::SLICE.bytes {
            schedule::consume_timeslice(env, SLICE_PERCENT);
            return (more(), rest).encode(env);
        }
    }
    if rest.is_empty_list() { ok().encode(env) } else { (singly(), rest).encode(env) }
}

fn waiting(receipt: Receipt) -> ResourceArc<Waiting> {
    ResourceArc::new(Waiting(Mutex::new(Some(receipt))))
}

fn receipt<'a>(env: Env<'a>, taken: Result<Option<Receipt>, ErrorInfo>) -> Term<'a> {
    match taken {
        Ok(None) => ok().encode(env),
        Ok(Some(receipt)) => (full(), waiting(receipt)).encode(env),
        Err(error) => (atom::error(), details(env, &error)).encode(env),
    }
}

/// Waits until a message is within the queue's limits.
#[rustler::nif]
fn producer_room<'a>(env: Env<'a>, reference: Reference<'a>, waiting: ResourceArc<Waiting>) -> ResourceArc<Operation> {
    let receipt = waiting.0.lock().take();
    reply::start_unit(env, reference, async move {
        match receipt {
            Some(receipt) => receipt.room().await,
            None => Ok(()),
        }
    })
}

/// Takes a message and waits until the server has stored it.
#[rustler::nif]
fn producer_append_sync<'a>(
    env: Env<'a>,
    reference: Reference<'a>,
    producer: ResourceArc<OpenProducer>,
    message: Binary<'a>,
) -> ResourceArc<Operation> {
    let receipt = producer.get().and_then(|producer| producer.append_with_receipt(message.as_slice()));
    let work = async move { receipt?.acknowledged().await };
    reply::start(env, reference, work, |env, stored| (ok(), acknowledged(env, stored)).encode(env))
}

#[rustler::nif]
fn producer_flush<'a>(
    env: Env<'a>,
    reference: Reference<'a>,
    producer: ResourceArc<OpenProducer>,
) -> ResourceArc<Operation> {
    let producer = producer.get();
    reply::start_unit(env, reference, async move { producer?.flush().await })
}

/// Flushes and stops; the stream stays open.
#[rustler::nif]
fn producer_detach<'a>(
    env: Env<'a>,
    reference: Reference<'a>,
    producer: ResourceArc<OpenProducer>,
) -> ResourceArc<Operation> {
    let producer = producer.get();
    reply::start_unit(env, reference, async move { producer?.detach().await })
}

/// Flushes and goes on in the next epoch.
#[rustler::nif]
fn producer_restart<'a>(
    env: Env<'a>,
    reference: Reference<'a>,
    producer: ResourceArc<OpenProducer>,
) -> ResourceArc<Operation> {
    let producer = producer.get();
    reply::start_unit(env, reference, async move { producer?.restart().await })
}

/// Flushes and ends the stream for everyone, with a last message if there is one.
#[rustler::nif]
fn producer_close_stream<'a>(
    env: Env<'a>,
    reference: Reference<'a>,
    producer: ResourceArc<OpenProducer>,
    last: Option<Binary<'a>>,
) -> ResourceArc<Operation> {
    let producer = producer.get();
    let last = last.map(|last| copied(env, last));
    let work = async move { producer?.close_stream(last).await };
    reply::start(env, reference, work, |env, ended| {
        (ok(), rustler::term_map!(env, { final_offset() => ended.final_offset })).encode(env)
    })
}

/// Where the producer stands: `{:ok, map}` or `{:error, details}`.
#[rustler::nif]
fn producer_state(env: Env<'_>, producer: ResourceArc<OpenProducer>) -> Term<'_> {
    match producer.get() {
        Ok(producer) => {
            let newest = producer.last_acknowledged().map(|stored| acknowledged(env, stored));
            let fields = rustler::term_map!(env, {
                epoch() => producer.epoch(),
                next_seq() => producer.next_seq(),
                pending() => producer.pending_messages(),
                in_flight() => producer.in_flight_batches(),
                last() => newest,
            });
            (ok(), fields).encode(env)
        }
        Err(error) => (atom::error(), details(env, &error)).encode(env),
    }
}

/// Lets everything go: what is not sent is dropped.
#[rustler::nif]
fn producer_drop(producer: ResourceArc<OpenProducer>) -> Atom {
    producer.end();
    ok()
}

/// The epoch in use, or the last one that was.
#[rustler::nif]
fn producer_epoch(producer: ResourceArc<OpenProducer>) -> u64 {
    producer.0.read().epoch()
}

fn acknowledged<'a>(env: Env<'a>, stored: Acknowledged) -> Term<'a> {
    rustler::term_map!(env, {
        next_offset() => stored.offset,
        duplicate() => stored.duplicate,
        epoch() => stored.epoch,
        seq() => stored.seq,
    })
}
