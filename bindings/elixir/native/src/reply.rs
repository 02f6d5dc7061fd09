//! Operations: started by a process, carried out on the runtime, answered by one message
//! `{ref, result}` where `result` is `:ok`, `{:ok, value}` or `{:error, details}`.
//!
//! An operation ends early when its process dies or cancels it. Cancelling says whether the
//! message was still to come: a process that gave up waiting never finds it later.

use std::{
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::atomic::{AtomicU8, Ordering},
};

use durable_streams_bindings::{
    CancelHandle, ErrorInfo,
    call::{self, Outcome},
    runtime,
};
use rustler::{Encoder, Env, LocalPid, Monitor, OwnedEnv, Reference, Resource, ResourceArc, Term, types::atom};

use crate::error::details;

/// An operation under way.
pub(crate) struct Operation {
    state: AtomicU8,
    cancel: CancelHandle,
}

const PENDING: u8 = 0;
const ANSWERED: u8 = 1;
const CANCELLED: u8 = 2;

#[rustler::resource_impl]
impl Resource for Operation {
    const IMPLEMENTS_DOWN: bool = true;

    fn down<'a>(&'a self, _env: Env<'a>, _pid: LocalPid, _monitor: Monitor) {
        self.cancel();
    }
}

impl Operation {
    /// Whether no message will come. Otherwise it is in the mailbox, or about to be.
    fn cancel(&self) -> bool {
        let is_first = self.settle(CANCELLED);
        if is_first {
            self.cancel.cancel();
        }
        is_first
    }

    fn settle(&self, state: u8) -> bool {
        self.state.compare_exchange(PENDING, state, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }
}

/// Ends an operation. `true`: its message will never come.
#[rustler::nif]
fn cancel(operation: ResourceArc<Operation>) -> bool {
    operation.cancel()
}

/// Starts an operation for the calling process. `encode` makes the value's term, on a thread
/// of the runtime.
pub(crate) fn start<T, W, E>(env: Env<'_>, reference: Reference<'_>, work: W, encode: E) -> ResourceArc<Operation>
where
    T: Send + 'static,
    W: Future<Output = Outcome<T>> + Send + 'static,
    E: for<'a> FnOnce(Env<'a>, T) -> Term<'a> + Send + 'static,
{
    let owner = env.pid();
    let operation = ResourceArc::new(Operation { state: AtomicU8::new(PENDING), cancel: CancelHandle::new() });
    if let Err(error) = runtime::handle() {
        operation.settle(ANSWERED);
        let refused = (atom::error(), details(env, &error));
        // To itself: the process is alive.
        let _ = env.send(&owner, (reference, refused));
        return operation;
    }
    if env.monitor(&operation, &owner).is_none() {
        // The process is being killed while it runs this.
        operation.cancel();
    }
    let letter = Letter::new(owner, reference);
    // Kept until the answer is sent: the process may drop its own reference while it waits.
    let under_way = operation.clone();
    call::start(&operation.cancel, work, move |outcome| {
        if under_way.settle(ANSWERED) {
            letter.send(outcome, encode);
        }
    });
    operation
}

/// The same for operations without a value, answered by `:ok`.
pub(crate) fn start_unit<W>(env: Env<'_>, reference: Reference<'_>, work: W) -> ResourceArc<Operation>
where
    W: Future<Output = Outcome<()>> + Send + 'static,
{
    start(env, reference, async move { work.await.map(|()| Unit) }, |env, Unit| atom::ok().encode(env))
}

struct Unit;

/// Whom to tell, and the reference it waits for.
struct Letter {
    owner: LocalPid,
    env: OwnedEnv,
    reference: rustler::env::SavedTerm,
}

impl Letter {
    fn new(owner: LocalPid, reference: Reference<'_>) -> Self {
        let env = OwnedEnv::new();
        let reference = env.save(reference);
        Self { owner, env, reference }
    }

    fn send<T, E>(mut self, outcome: Outcome<T>, encode: E)
    where
        E: for<'a> FnOnce(Env<'a>, T) -> Term<'a>,
    {
        let reference = self.reference;
        // A process that is gone needs no answer.
        let _ = self.env.send_and_clear(&self.owner, |env| {
            let result = match outcome {
                Ok(value) => catch_unwind(AssertUnwindSafe(|| encode(env, value))).unwrap_or_else(|_| {
                    let fault = ErrorInfo::internal("a result could not be converted; this is a fault of the library");
                    (atom::error(), details(env, &fault)).encode(env)
                }),
                Err(error) => (atom::error(), details(env, &error)).encode(env),
            };
            (reference.load(env), result)
        });
    }
}
