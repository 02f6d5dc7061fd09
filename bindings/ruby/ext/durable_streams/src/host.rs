//! Callables of the host: sources of headers, and what is told of a producer's failures.
//!
//! The core asks them from futures that know nothing of Ruby. A future that a Ruby thread
//! waits for asks that thread (`ASKS`); background work, such as a producer's, asks the
//! dispatcher, one Ruby thread that the package keeps for it.

use std::sync::{
    Arc, LazyLock, OnceLock,
    atomic::{AtomicPtr, AtomicU64, Ordering},
    mpsc as std_mpsc,
};

use durable_streams::transport::BodyStream;
use durable_streams_bindings::{
    BoxError, BoxFuture, Bytes, ErrorInfo,
    client::{Dynamic, Resolved},
    error::HostError,
    runtime,
};
use futures_util::stream;
use magnus::{Error, Exception, RHash, RString, Ruby, Value, error::ErrorType, prelude::*, value::Opaque};
use tokio::sync::{Notify, mpsc, oneshot};

use crate::{
    convert::copied,
    error::{raised, to_exception},
    wait::{check_interrupts, without_lock},
};

tokio::task_local! {
    /// Where the future that is being polled finds its waiting thread.
    pub(crate) static ASKS: mpsc::UnboundedSender<Job>;
}

/// Something to call, on a thread of Ruby.
pub(crate) enum Job {
    /// Headers and parameters for one HTTP request.
    Ask(Arc<Kept>, oneshot::Sender<Result<Resolved, BoxError>>),
    /// The next piece of a request's body; nothing at its end.
    Piece(Arc<Kept>, oneshot::Sender<Result<Option<Bytes>, BoxError>>),
    /// A producer has given up a batch.
    Report(Arc<Kept>, ErrorInfo),
}

impl Job {
    /// Calls. What it raises goes to who asked.
    /// Errors: a jump that is no exception, such as the end of a killed thread.
    pub(crate) fn perform(self, ruby: &Ruby) -> Result<(), Error> {
        match self {
            Self::Ask(source, reply) => {
                let answer = source.value(ruby)?.funcall("call", ());
                answer_with(ruby, reply, answer.map(|(headers, params)| Resolved { headers, params }))
            }
            Self::Piece(source, reply) => {
                let piece: Result<Option<RString>, _> = source.value(ruby)?.funcall("call", ());
                answer_with(ruby, reply, piece.map(|piece| piece.map(copied)))
            }
            Self::Report(callback, error) => {
                let exception = to_exception(ruby, &raised(ruby, &error))?;
                callback.value(ruby)?.funcall::<_, _, Value>("call", (exception,)).map(drop)
            }
        }
    }
}

/// Tells who asked what came of it, be it an exception.
/// Errors: a jump that is no exception.
fn answer_with<T>(
    ruby: &Ruby,
    reply: oneshot::Sender<Result<T, BoxError>>,
    outcome: Result<T, Error>,
) -> Result<(), Error> {
    let answer = match outcome {
        Ok(value) => Ok(value),
        Err(error) => match error.error_type() {
            ErrorType::Jump(_) => return Err(error),
            ErrorType::Error(..) | ErrorType::Exception(_) => Err(kept_error(ruby, &error)?),
        },
    };
    // The request is gone when nobody listens.
    drop(reply.send(answer));
    Ok(())
}

fn kept_error(ruby: &Ruby, error: &Error) -> Result<BoxError, Error> {
    let exception = to_exception(ruby, error)?;
    Ok(HostError::new(error.to_string(), Kept::new(ruby, exception.as_value())?).boxed())
}

/// A callable as the core's source of headers.
pub(crate) struct Source(pub(crate) Arc<Kept>);

impl Dynamic for Source {
    fn resolve(&self) -> BoxFuture<'static, Result<Resolved, BoxError>> {
        let source = Arc::clone(&self.0);
        Box::pin(async move {
            // A reader may begin its next request while a call returns with the batch before:
            // that call's thread no longer answers, and the next call asks its own.
            loop {
                let (reply, answer) = oneshot::channel();
                submit(Job::Ask(Arc::clone(&source), reply))?;
                if let Ok(answer) = answer.await {
                    return answer;
                }
            }
        })
    }
}

/// What a callable gives, piece by piece. The thread that waits for this future calls it, though
/// the pieces are taken elsewhere: an enumerator belongs to one thread.
pub(crate) async fn pieces(source: Arc<Kept>) -> Result<BodyStream, ErrorInfo> {
    let asks = ASKS.try_with(Clone::clone).map_err(|_| ErrorInfo::internal("no thread waits for this append"))?;
    Ok(Box::pin(stream::try_unfold((source, asks), |(source, asks)| async move {
        let (reply, answer) = oneshot::channel();
        asks.send(Job::Piece(Arc::clone(&source), reply)).map_err(|_| "the append has ended")?;
        let piece = answer.await.map_err(|_| "the append has ended")??;
        Ok(piece.map(|piece| (piece, (source, asks))))
    })))
}

/// Hands a job to the thread that waits for this future, or to the dispatcher.
fn submit(job: Job) -> Result<(), BoxError> {
    let sender = ASKS.try_with(Clone::clone).ok();
    let sender = sender.or_else(|| dispatcher().map(|dispatcher| dispatcher.jobs.clone()));
    let sender = sender.ok_or("no thread evaluates callable headers")?;
    sender.send(job).map_err(|_| "the thread that evaluates callable headers has ended".into())
}

/// What a producer calls when it gives up a batch.
pub(crate) fn reporter(callback: Arc<Kept>) -> impl Fn(ErrorInfo) + Send + Sync {
    move |error| {
        // Without a dispatcher the process is ending; the next flush tells all the same.
        if let Some(dispatcher) = dispatcher() {
            drop(dispatcher.jobs.send(Job::Report(Arc::clone(&callback), error)));
        }
    }
}

struct Dispatcher {
    generation: u64,
    jobs: mpsc::UnboundedSender<Job>,
    queue: std::sync::Mutex<mpsc::UnboundedReceiver<Job>>,
}

/// One per generation of the process, leaked: references to it are `'static`.
static DISPATCHER: AtomicPtr<Dispatcher> = AtomicPtr::new(std::ptr::null_mut());

fn dispatcher() -> Option<&'static Dispatcher> {
    let current = DISPATCHER.load(Ordering::Acquire);
    // SAFETY: null, or a dispatcher that is never freed.
    unsafe { current.as_ref() }.filter(|dispatcher| dispatcher.generation == runtime::generation())
}

/// Makes the dispatcher's queue, so that nothing asked before its thread runs is lost. Called
/// with the lock of Ruby's threads, hence by one thread at a time.
pub(crate) fn prepare_dispatcher() {
    if dispatcher().is_none() {
        let (jobs, queue) = mpsc::unbounded_channel();
        let made = Dispatcher { generation: runtime::generation(), jobs, queue: std::sync::Mutex::new(queue) };
        DISPATCHER.store(Box::into_raw(Box::new(made)), Ordering::Release);
    }
}

/// Performs jobs until the thread is killed. `false` when another thread does it already.
pub(crate) fn serve(ruby: &Ruby) -> Result<bool, Error> {
    prepare_dispatcher();
    let handle = runtime::handle().map_err(|error| raised(ruby, &error))?;
    let Some(dispatcher) = dispatcher() else { return Ok(false) };
    let mut queue = match dispatcher.queue.try_lock() {
        Ok(queue) => queue,
        Err(std::sync::TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
        Err(std::sync::TryLockError::WouldBlock) => return Ok(false),
    };
    let interrupt = Notify::new();
    loop {
        let job = without_lock(&interrupt, || {
            handle.block_on(async {
                tokio::select! {
                    job = queue.recv() => job,
                    () = interrupt.notified() => None,
                }
            })
        })?;
        match job {
            Some(Ok(Some(job))) => {
                if let Err(error) = job.perform(ruby) {
                    match error.error_type() {
                        ErrorType::Jump(_) => return Err(error),
                        // A callback of a producer has raised: nobody waits for it.
                        ErrorType::Error(..) | ErrorType::Exception(_) => ruby.warning(&error.to_string()),
                    }
                }
            }
            Some(_) | None => check_interrupts()?,
        }
    }
}

/// A value that the collector leaves alone until this is dropped, on any thread.
#[derive(Debug)]
pub(crate) struct Kept {
    id: u64,
}

static TABLE: OnceLock<Opaque<RHash>> = OnceLock::new();
static NEXT: AtomicU64 = AtomicU64::new(1);
type Ids = (std_mpsc::Sender<u64>, std::sync::Mutex<std_mpsc::Receiver<u64>>);
/// What may leave the table. Sending takes no lock that a fork could copy in its locked state.
static RELEASED: LazyLock<Ids> = LazyLock::new(|| {
    let (sender, receiver) = std_mpsc::channel();
    (sender, std::sync::Mutex::new(receiver))
});

/// Makes the table.
pub(crate) fn set_up(ruby: &Ruby) {
    let table = ruby.hash_new();
    ruby.gc_register_mark_object(table);
    TABLE.get_or_init(|| table.into());
}

impl Kept {
    pub(crate) fn new(ruby: &Ruby, value: Value) -> Result<Arc<Self>, Error> {
        let table = table(ruby)?;
        if let Ok(released) = RELEASED.1.try_lock() {
            for id in released.try_iter() {
                table.delete::<_, Value>(id)?;
            }
        }
        let id = NEXT.fetch_add(1, Ordering::Relaxed);
        table.aset(id, value)?;
        Ok(Arc::new(Self { id }))
    }

    pub(crate) fn value(&self, ruby: &Ruby) -> Result<Value, Error> {
        table(ruby)?.aref(self.id)
    }

    /// The exception that this is.
    pub(crate) fn exception(&self, ruby: &Ruby) -> Option<Exception> {
        Exception::from_value(self.value(ruby).ok()?)
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        // The receiver is a static: sending cannot fail.
        let _ = RELEASED.0.send(self.id);
    }
}

fn table(ruby: &Ruby) -> Result<RHash, Error> {
    let missing = || Error::new(ruby.exception_runtime_error(), "the extension is not set up");
    TABLE.get().map(|table| ruby.get_inner(*table)).ok_or_else(missing)
}
