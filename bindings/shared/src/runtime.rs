//! One runtime per process, made when it is first needed.
//!
//! A fork copies the memory but not the threads: in the child the parent's runtime is a
//! picture of a runtime, and whoever waits on it waits for ever. So a fork begins a new
//! *generation*: the child makes a runtime of its own, the old one is left alone (dropping it
//! would wait for threads that do not exist), and objects of the old generation refuse to
//! work, by name.

use std::{
    ptr,
    sync::{
        OnceLock,
        atomic::{AtomicPtr, AtomicU64, Ordering},
    },
    time::Duration,
};

use durable_streams::Client;
use parking_lot::Mutex;
use tokio::runtime::{Builder, Handle, Runtime};

use crate::error::ErrorInfo;

/// Threads that do the I/O of all streams: two, so that one can read while the other writes, if
/// that leaves as many processors to the host. On the last processor a second thread only gets in
/// the way of a host that works on what is read.
fn workers() -> usize {
    let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    (processors / 2).clamp(1, 2)
}

static CURRENT: AtomicPtr<Engine> = AtomicPtr::new(ptr::null_mut());
static GENERATION: AtomicU64 = AtomicU64::new(0);

/// The runtime of this process and what all clients on it share.
pub(crate) struct Engine {
    generation: u64,
    handle: Handle,
    /// Taken by [`shutdown`].
    runtime: Mutex<Option<Runtime>>,
    /// The client whose connections all others share.
    pub(crate) client: OnceLock<Client>,
    /// The same for clients with a limit of connecting, by that limit.
    pub(crate) limited: Mutex<Vec<(Duration, Client)>>,
}

/// Which generation of the process this is: 0, and one more after every fork.
pub fn generation() -> u64 {
    GENERATION.load(Ordering::Relaxed)
}

/// Refuses to go on with an object made before a fork.
/// Errors: `INTERNAL_ERROR` that names `what`.
pub fn check(made_in: u64, what: &str) -> Result<(), ErrorInfo> {
    if made_in == generation() {
        return Ok(());
    }
    Err(ErrorInfo::internal(format!(
        "this {what} was made before the process forked and cannot be used in the child: make a new one"
    )))
}

/// Where background work runs.
/// Errors: `INTERNAL_ERROR` when the system gives no threads.
pub fn handle() -> Result<&'static Handle, ErrorInfo> {
    engine().map(|engine| &engine.handle)
}

/// Ends something on a thread of the host's. A connection that is cut short may leave work to
/// the runtime, and panics where it finds none.
pub(crate) fn within<T>(end: impl FnOnce() -> T) -> T {
    let current = CURRENT.load(Ordering::Acquire);
    // SAFETY: null, or an engine, which is never freed.
    let engine = unsafe { current.as_ref() }.filter(|engine| engine.generation == generation());
    let _entered = engine.map(|engine| engine.handle.enter());
    end()
}

/// Stops the runtime: what is under way is cancelled, threads are waited for at most this
/// long. The next use makes a new one. For a host that ends.
pub fn shutdown(patience: Duration) {
    let current = CURRENT.swap(ptr::null_mut(), Ordering::AcqRel);
    if current.is_null() {
        return;
    }
    // SAFETY: engines are never freed, see `engine`.
    let engine = unsafe { &*current };
    if engine.generation != generation() {
        return;
    }
    let runtime = engine.runtime.lock().take();
    if let Some(runtime) = runtime {
        runtime.shutdown_timeout(patience);
    }
}

/// The engine of this process; made on first use.
pub(crate) fn engine() -> Result<&'static Engine, ErrorInfo> {
    let current = CURRENT.load(Ordering::Acquire);
    if !current.is_null() {
        // SAFETY: engines are leaked below and never freed: handles to them are `'static`.
        let engine = unsafe { &*current };
        if engine.generation == generation() {
            return Ok(engine);
        }
    }
    watch_forks();
    let runtime = Builder::new_multi_thread()
        .worker_threads(workers())
        .thread_name("durable-streams")
        .enable_all()
        .build()
        .map_err(|error| ErrorInfo::internal(format!("cannot start the runtime: {error}")))?;
    let made = Box::into_raw(Box::new(Engine {
        generation: generation(),
        handle: runtime.handle().clone(),
        runtime: Mutex::new(Some(runtime)),
        client: OnceLock::new(),
        limited: Mutex::default(),
    }));
    match CURRENT.compare_exchange(current, made, Ordering::AcqRel, Ordering::Acquire) {
        // SAFETY: leaked a moment ago and never freed.
        Ok(_) => Ok(unsafe { &*made }),
        Err(_) => {
            // Another thread was faster. Nobody else has seen ours.
            // SAFETY: `made` comes from `Box::into_raw` above and was not published.
            let lost = unsafe { Box::from_raw(made) };
            if let Some(runtime) = lost.runtime.lock().take() {
                runtime.shutdown_background();
            }
            engine()
        }
    }
}

#[cfg(unix)]
fn watch_forks() {
    static WATCHING: OnceLock<()> = OnceLock::new();

    extern "C" fn in_the_child() {
        GENERATION.fetch_add(1, Ordering::Relaxed);
    }

    WATCHING.get_or_init(|| {
        // SAFETY: the handler only adds to an atomic, which is allowed after a fork.
        unsafe { libc::pthread_atfork(None, None, Some(in_the_child)) };
    });
}

#[cfg(not(unix))]
fn watch_forks() {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_threads_find_the_same_runtime() {
        let threads: Vec<_> = (0..8).map(|_| std::thread::spawn(|| handle().map(Handle::id))).collect();
        let ids: Vec<_> =
            threads.into_iter().map(|thread| thread.join().expect("no panic").expect("a runtime")).collect();
        assert!(ids.windows(2).all(|pair| pair[0] == pair[1]));
    }

    #[test]
    fn an_object_of_another_generation_is_refused_by_name() {
        assert!(check(generation(), "reader").is_ok());
        let error = check(generation() + 1, "reader").expect_err("refused");
        assert!(error.to_string().contains("reader"), "{error}");
    }
}
