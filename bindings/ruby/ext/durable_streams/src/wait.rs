//! Blocking calls. The lock of Ruby's threads is released while an operation is under way, and
//! whatever interrupts the thread (a signal, `Thread#kill`, `Timeout`) ends the wait.
//!
//! The operation is a future on this thread's stack. An interrupt only wakes the thread; if
//! Ruby then raises, the future is dropped, which cancels it; if not (a signal handler ran), the
//! wait goes on and nothing is lost.

use std::{
    cell::OnceCell,
    ffi::c_void,
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    ptr,
};

use durable_streams_bindings::{ErrorInfo, call::Outcome, runtime};
use magnus::{Error, Ruby, rb_sys::protect};
use tokio::sync::{Notify, mpsc};

use crate::{
    error::raised,
    host::{ASKS, Job},
};

enum Event<T> {
    Done(Outcome<T>),
    Asked(Job),
    Interrupted,
}

/// The outcome of an operation. Callables it needs are called on this thread.
pub(crate) fn wait<T>(ruby: &Ruby, operation: impl Future<Output = Outcome<T>>) -> Result<T, Error> {
    let runtime = runtime::handle().map_err(|error| raised(ruby, &error))?;
    let interrupt = Notify::new();
    let (asks, mut asked) = mpsc::unbounded_channel();
    // See `runtime::within`. Not before: a callable may wait for operations of its own.
    let ending = OnceCell::new();
    let end = |_: &Error| {
        ending.get_or_init(|| runtime.enter());
    };
    let mut operation = pin!(ASKS.scope(asks, operation));
    loop {
        let event = without_lock(&interrupt, || {
            runtime.block_on(async {
                tokio::select! {
                    biased;
                    outcome = operation.as_mut() => Event::Done(outcome),
                    Some(job) = asked.recv() => Event::Asked(job),
                    () = interrupt.notified() => Event::Interrupted,
                }
            })
        })
        .inspect_err(end)?;
        match event {
            Some(Ok(Event::Done(outcome))) => return outcome.map_err(|error| raised(ruby, &error)),
            Some(Ok(Event::Asked(job))) => job.perform(ruby).inspect_err(end)?,
            Some(Ok(Event::Interrupted)) | None => check_interrupts().inspect_err(end)?,
            Some(Err(())) => {
                let error = ErrorInfo::internal("the operation panicked; this is a fault of the library");
                return Err(raised(ruby, &error));
            }
        }
    }
}

/// Lets Ruby handle what interrupted this thread.
/// Errors: what Ruby raises, or a jump such as the end of a killed thread.
pub(crate) fn check_interrupts() -> Result<(), Error> {
    protect(|| {
        // SAFETY: the thread holds the lock, and `protect` catches the jump.
        unsafe { rb_sys::rb_thread_check_ints() };
        rb_sys::Qnil.into()
    })?;
    Ok(())
}

/// Runs `work` without the lock of Ruby's threads. It must not touch Ruby. `interrupt` is
/// notified when Ruby wants the thread back. `None`: an interrupt was waiting already and `work`
/// has not run. `Some(Err)`: `work` panicked.
/// Errors: what Ruby raises meanwhile; what `work` returned is dropped then.
pub(crate) fn without_lock<R>(interrupt: &Notify, work: impl FnOnce() -> R) -> Result<Option<Result<R, ()>>, Error> {
    struct Region<F, R> {
        work: Option<F>,
        result: Option<Result<R, ()>>,
    }

    unsafe extern "C" fn run<F: FnOnce() -> R, R>(region: *mut c_void) -> *mut c_void {
        // SAFETY: `region` is the one below, which outlives the call and is used by nobody else.
        let region = unsafe { &mut *region.cast::<Region<F, R>>() };
        if let Some(work) = region.work.take() {
            region.result = Some(catch_unwind(AssertUnwindSafe(work)).map_err(drop));
        }
        ptr::null_mut()
    }

    unsafe extern "C" fn unblock(interrupt: *mut c_void) {
        // SAFETY: `interrupt` is borrowed for the whole call.
        unsafe { &*interrupt.cast::<Notify>() }.notify_one();
    }

    fn runner<F: FnOnce() -> R, R>(_: &Region<F, R>) -> unsafe extern "C" fn(*mut c_void) -> *mut c_void {
        run::<F, R>
    }

    let mut region = Region { work: Some(work), result: None };
    let run = runner(&region);
    // This call does not check for interrupts, unlike its sibling. But for a program's only thread
    // Ruby starts another one that calls `unblock`, and waiting for its end does check: a jump
    // from there must not pass over the frames of Rust, whose futures would stay as they are.
    protect(|| {
        // SAFETY: both functions get what they expect, and `protect` catches the jump.
        unsafe {
            rb_sys::rb_thread_call_without_gvl2(
                Some(run),
                ptr::from_mut(&mut region).cast(),
                Some(unblock),
                ptr::from_ref(interrupt).cast_mut().cast(),
            );
        }
        rb_sys::Qnil.into()
    })?;
    Ok(region.result)
}
