//! One operation of the core as a Python object: waited for by a thread, or started on behalf
//! of an event loop.

use std::{
    cell::Cell,
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Instant,
};

use durable_streams_bindings::{BoxFuture, CancelHandle, ErrorCode, ErrorInfo, call, runtime};
use parking_lot::Mutex;
use pyo3::{exceptions::PyRuntimeError, prelude::*, sync::PyOnceLock};

use crate::{
    error::{Outcome, carried, to_python},
    host::Shared as HostShared,
    port::{Mail, Port},
};

/// Makes the Python value of a result, once somebody asks for it. Dropped unasked, it gives
/// back what it holds.
pub(crate) type Convert = Box<dyn for<'py> FnOnce(Python<'py>) -> PyResult<Bound<'py, PyAny>> + Send>;

/// An operation that has not begun, is under way, or has ended.
#[pyclass(frozen, module = "durable_streams._durable_streams")]
pub(crate) struct Call {
    stage: Arc<Mutex<Stage>>,
    cancel: CancelHandle,
    host: Option<Arc<HostShared>>,
}

enum Stage {
    Idle(BoxFuture<'static, Outcome<Convert>>),
    Running,
    Done(Outcome<Convert>),
    Gone,
}

impl Call {
    /// An operation, and how its result becomes a Python value.
    pub(crate) fn new<T: Send + 'static>(
        host: Option<&Arc<HostShared>>,
        work: impl Future<Output = Outcome<T>> + Send + 'static,
        convert: impl for<'py> FnOnce(Python<'py>, T) -> PyResult<Bound<'py, PyAny>> + Send + 'static,
    ) -> Self {
        let work = async move {
            let value = work.await?;
            Ok(later(move |py| convert(py, value)))
        };
        Self {
            stage: Arc::new(Mutex::new(Stage::Idle(Box::pin(work)))),
            cancel: CancelHandle::new(),
            host: host.cloned(),
        }
    }

    /// The same for an operation without a result.
    pub(crate) fn unit(
        host: Option<&Arc<HostShared>>,
        work: impl Future<Output = Outcome<()>> + Send + 'static,
    ) -> Self {
        Self::new(host, work, |py, ()| Ok(py.None().into_bound(py)))
    }

    fn take_work(&self) -> PyResult<BoxFuture<'static, Outcome<Convert>>> {
        let mut stage = self.stage.lock();
        match std::mem::replace(&mut *stage, Stage::Running) {
            Stage::Idle(work) => Ok(work),
            used @ (Stage::Running | Stage::Done(_) | Stage::Gone) => {
                *stage = used;
                Err(PyRuntimeError::new_err("a call can be used once"))
            }
        }
    }
}

#[pymethods]
impl Call {
    /// Performs the operation while this thread waits, without the interpreter's lock. Given
    /// up after so many seconds, if that is said.
    #[pyo3(signature = (seconds=None))]
    fn wait<'py>(&self, py: Python<'py>, seconds: Option<f64>) -> PyResult<Bound<'py, PyAny>> {
        let work = self.take_work()?;
        let hears_signals = hears_signals(py)?;
        let began = Instant::now();
        let tick = || {
            if seconds.is_some_and(|seconds| began.elapsed().as_secs_f64() > seconds) {
                return Err(ErrorInfo::new(ErrorCode::Timeout, "the time is up"));
            }
            if hears_signals { check_signals() } else { Ok(()) }
        };
        let outcome = py.detach(|| {
            let outcome = call::wait(&self.cancel, work, tick);
            if !hears_signals {
                stay_if_exiting();
            }
            outcome
        });
        finish(py, outcome)
    }

    /// Starts the operation for an event loop, which is told by this key when it has ended.
    fn start(&self, port: &Port, key: u64) -> PyResult<()> {
        let work = self.take_work()?;
        let mailbox = port.mailbox();
        if let Some(host) = &self.host {
            host.bind(&mailbox);
        }
        let stage = Arc::clone(&self.stage);
        call::start(&self.cancel, work, move |outcome| {
            let is_awaited = {
                let mut stage = stage.lock();
                let is_awaited = matches!(*stage, Stage::Running);
                if is_awaited {
                    *stage = Stage::Done(outcome);
                }
                is_awaited
            };
            if is_awaited {
                mailbox.post(Mail::Done(key));
            }
        });
        Ok(())
    }

    /// The result of an operation that has ended; raises what it failed with.
    fn result<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let stage = std::mem::replace(&mut *self.stage.lock(), Stage::Gone);
        match stage {
            Stage::Done(outcome) => finish(py, outcome),
            Stage::Idle(_) | Stage::Running | Stage::Gone => Err(PyRuntimeError::new_err("the call has not ended")),
        }
    }

    /// Gives the operation up. What it got and nobody took goes back to where it came from.
    fn cancel(&self) {
        self.cancel.cancel();
        let stage = std::mem::replace(&mut *self.stage.lock(), Stage::Gone);
        drop(stage);
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        self.cancel.cancel();
    }
}

fn later(convert: impl for<'py> FnOnce(Python<'py>) -> PyResult<Bound<'py, PyAny>> + Send + 'static) -> Convert {
    Box::new(convert)
}

fn finish(py: Python<'_>, outcome: Outcome<Convert>) -> PyResult<Bound<'_, PyAny>> {
    match outcome {
        Ok(convert) => convert(py),
        Err(error) => Err(to_python(py, &error)),
    }
}

fn check_signals() -> Outcome<()> {
    match Python::try_attach(|py| py.check_signals()) {
        Some(Err(raised)) => Err(ErrorInfo::host(carried(raised))),
        Some(Ok(())) | None => Ok(()),
    }
}

/// Whether Python runs signal handlers on this thread.
fn hears_signals(py: Python<'_>) -> PyResult<bool> {
    // A fork can make any thread the main one, so the answer holds for one generation.
    thread_local!(static KNOWN: Cell<Option<(u64, bool)>> = const { Cell::new(None) });
    let generation = runtime::generation();
    if let Some((known, answer)) = KNOWN.get()
        && known == generation
    {
        return Ok(answer);
    }
    static THREADING: PyOnceLock<Py<PyModule>> = PyOnceLock::new();
    let threading = THREADING.get_or_try_init(py, || py.import("threading").map(Bound::unbind))?.bind(py);
    let main: Option<u64> = threading.call_method0("main_thread")?.getattr("ident")?.extract()?;
    let own: u64 = threading.call_method0("get_ident")?.extract()?;
    let answer = main == Some(own);
    KNOWN.set(Some((generation, answer)));
    Ok(answer)
}

static IS_EXITING: AtomicBool = AtomicBool::new(false);

/// The interpreter ends: from now on no thread but the main one comes back from a wait.
pub(crate) fn begin_exit() {
    IS_EXITING.store(true, Ordering::Release);
}

/// Python ends daemon threads where they stand. Coming back now would only make them print an
/// error about a runtime that has stopped.
fn stay_if_exiting() {
    while IS_EXITING.load(Ordering::Acquire) {
        thread::park();
    }
}
