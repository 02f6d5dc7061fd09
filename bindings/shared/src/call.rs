//! Operations on the runtime: started, and answered through a callback; or waited for by a
//! thread that has nothing else to do.

use std::{
    cell::{Cell, OnceCell},
    future::Future,
    pin::pin,
    time::Duration,
};

use tokio::runtime::Handle;

use crate::{cancel::CancelHandle, error::ErrorInfo, runtime};

/// What an operation ends with.
pub type Outcome<T> = Result<T, ErrorInfo>;

/// How long [`wait`] goes without asking its host. Units: 50 ms, half of what a person
/// notices after pressing Ctrl-C.
const TICK: Duration = Duration::from_millis(50);

/// Starts an operation. `on_done` is called exactly once, on a thread of the runtime or, when
/// there is none, on this one: with the outcome, or with `CANCELLED` as soon as `cancel` is
/// used or the runtime stops. It must not block.
pub fn start<T, F, D>(cancel: &CancelHandle, operation: F, on_done: D)
where
    T: Send + 'static,
    F: Future<Output = Outcome<T>> + Send + 'static,
    D: FnOnce(Outcome<T>) + Send + 'static,
{
    let handle = match runtime::handle() {
        Ok(handle) => handle,
        Err(error) => return on_done(Err(error)),
    };
    let cancel = cancel.clone();
    let settle = Settle { on_done: Some(on_done), outcome: std::marker::PhantomData };
    handle.spawn(async move {
        let outcome = cancellable(&cancel, operation).await;
        settle.with(outcome);
    });
}

/// Waits for an operation on this thread, which gives nothing else a chance to run meanwhile.
/// `tick` is called every 50 ms, on this thread; its error ends the operation and comes back.
/// Errors: the operation's; `CANCELLED`; `INVALID_ARGUMENT` on a thread of the runtime, where
/// waiting would block what is waited for.
pub fn wait<T, F>(cancel: &CancelHandle, operation: F, mut tick: impl FnMut() -> Result<(), ErrorInfo>) -> Outcome<T>
where
    F: Future<Output = Outcome<T>>,
{
    if Handle::try_current().is_ok() && !MAY_WAIT.get() {
        return Err(ErrorInfo::invalid("call", "a blocking call is not possible inside a callback of this library"));
    }
    let handle = runtime::handle()?;
    // See `runtime::within`. Not before: `tick` may wait for operations of its own.
    let ending = OnceCell::new();
    let mut operation = pin!(cancellable(cancel, operation));
    loop {
        let pause = async { tokio::time::timeout(TICK, operation.as_mut()).await };
        if let Ok(outcome) = handle.block_on(pause) {
            return outcome;
        }
        tick().inspect_err(|_| {
            ending.get_or_init(|| handle.enter());
        })?;
    }
}

thread_local!(static MAY_WAIT: Cell<bool> = const { Cell::new(false) });

/// Runs a callback of the host on a thread the runtime keeps for what blocks
/// (`spawn_blocking`): [`wait`] is possible in it.
pub fn where_waiting_is_fine<T>(callback: impl FnOnce() -> T) -> T {
    struct Restore(bool);
    impl Drop for Restore {
        fn drop(&mut self) {
            MAY_WAIT.set(self.0);
        }
    }
    let _restore = Restore(MAY_WAIT.replace(true));
    callback()
}

/// The operation, or `CANCELLED` as soon as `cancel` is used.
pub async fn cancellable<T>(cancel: &CancelHandle, operation: impl Future<Output = Outcome<T>>) -> Outcome<T> {
    tokio::select! {
        biased;
        () = cancel.cancelled() => Err(ErrorInfo::cancelled()),
        outcome = operation => outcome,
    }
}

/// Calls back exactly once, also when its task is dropped or panics.
struct Settle<T, D: FnOnce(Outcome<T>)> {
    on_done: Option<D>,
    outcome: std::marker::PhantomData<fn(T)>,
}

impl<T, D: FnOnce(Outcome<T>)> Settle<T, D> {
    fn with(mut self, outcome: Outcome<T>) {
        if let Some(on_done) = self.on_done.take() {
            on_done(outcome);
        }
    }
}

impl<T, D: FnOnce(Outcome<T>)> Drop for Settle<T, D> {
    fn drop(&mut self) {
        if let Some(on_done) = self.on_done.take() {
            on_done(Err(if std::thread::panicking() {
                ErrorInfo::internal("the operation panicked; this is a fault of the library")
            } else {
                ErrorInfo::cancelled()
            }));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{future::pending, sync::mpsc};

    use durable_streams::ErrorCode;

    use super::*;

    #[test]
    fn cancelling_settles_a_call_that_would_never_end() {
        let cancel = CancelHandle::new();
        let (told, outcome) = mpsc::channel();
        start(&cancel, pending::<Outcome<()>>(), move |outcome| drop(told.send(outcome)));
        cancel.cancel();
        let error = outcome.recv().expect("told").expect_err("cancelled");
        assert_eq!(error.code(), ErrorCode::Cancelled);
        assert!(outcome.recv().is_err(), "told once only");
    }

    #[test]
    fn a_panic_is_an_error_and_not_silence() {
        let (done, ended) = mpsc::channel();
        let operation = async { if pending_never() { panic!("planned") } else { Ok(()) } };
        start(&CancelHandle::new(), operation, move |outcome: Outcome<()>| drop(done.send(outcome)));
        assert_eq!(ended.recv().expect("told").expect_err("panicked").code(), ErrorCode::InternalError);
    }

    fn pending_never() -> bool {
        true
    }

    #[test]
    fn a_tick_that_fails_ends_the_wait() {
        let stop = || Err(ErrorInfo::invalid("signal", "came"));
        let error = wait(&CancelHandle::new(), pending::<Outcome<()>>(), stop).expect_err("ended");
        assert!(error.detail().starts_with("signal"), "{error}");
    }

    #[test]
    fn waiting_on_a_thread_of_the_runtime_is_refused() {
        let (told, outcome) = mpsc::channel();
        let nested = async { wait(&CancelHandle::new(), async { Ok(()) }, || Ok(())) };
        start(&CancelHandle::new(), nested, move |outcome| drop(told.send(outcome)));
        assert_eq!(outcome.recv().expect("told").expect_err("refused").code(), ErrorCode::InvalidArgument);
    }

    #[test]
    fn a_callback_on_a_thread_for_blocking_work_may_wait() {
        let nested = || where_waiting_is_fine(|| wait(&CancelHandle::new(), async { Ok(7) }, || Ok(())));
        let asked = async move { tokio::task::spawn_blocking(nested).await.map_err(|_| ErrorInfo::cancelled())? };
        assert_eq!(wait(&CancelHandle::new(), asked, || Ok(())).expect("waited"), 7);
    }
}
