//! Questions to Python: dynamic headers, error callbacks, the caller's own HTTP client.
//!
//! A question is the name of a method of the handler object and its arguments. Blocking
//! handles ask on a thread that may wait for the interpreter; asynchronous ones leave a
//! [`Job`] at the port of the event loop that used the handle last, which runs a coroutine.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use durable_streams_bindings::{
    BoxFuture,
    call::where_waiting_is_fine,
    client::{Dynamic, Resolved},
    error::HostError,
    runtime,
};
use parking_lot::Mutex;
use pyo3::{prelude::*, types::PyTuple};
use tokio::sync::oneshot;

use crate::{
    error::carried,
    port::{Mail, Mailbox, Port},
};

/// Whom to ask. Its methods answer `resolve`, `send`, `chunk`, `close` and `report`.
#[pyclass(frozen, module = "durable_streams._durable_streams")]
pub(crate) struct Host(pub(crate) Arc<Shared>);

/// What clones of a host share.
pub(crate) struct Shared {
    handler: Py<PyAny>,
    place: Place,
}

/// Where questions are answered.
enum Place {
    /// On a thread of their own.
    Thread,
    /// On the loop that used the handle last.
    Loop(Mutex<Option<Arc<Mailbox>>>),
}

/// Arguments, made once the interpreter is at hand.
type Arguments = Box<dyn for<'py> FnOnce(Python<'py>) -> PyResult<Bound<'py, PyTuple>> + Send>;

/// What is done with an answer, on the thread that gives it.
type Settle = Box<dyn for<'py> FnOnce(PyResult<Bound<'py, PyAny>>) + Send>;

/// A callback for an event loop to run.
#[pyclass(frozen, module = "durable_streams._durable_streams")]
pub(crate) struct Job {
    key: u64,
    host: Arc<Shared>,
    method: &'static str,
    arguments: Mutex<Option<Arguments>>,
    settle: Mutex<Option<Settle>>,
}

#[pymethods]
impl Host {
    #[new]
    fn new(handler: Py<PyAny>, is_async: bool) -> Self {
        let place = if is_async { Place::Loop(Mutex::default()) } else { Place::Thread };
        Self(Arc::new(Shared { handler, place }))
    }

    /// Binds questions to an event loop until another one uses the handle.
    fn bind(&self, port: &Port) {
        self.0.bind(&port.mailbox());
    }
}

#[pymethods]
impl Job {
    /// By which name the loop hears that nobody waits any more.
    #[getter]
    const fn key(&self) -> u64 {
        self.key
    }

    /// Calls the handler; the result may be an awaitable.
    fn call<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let arguments = self.arguments.lock().take();
        let arguments = arguments.map_or_else(|| Ok(PyTuple::empty(py)), |make| make(py))?;
        self.host.handler.bind(py).call_method1(self.method, arguments)
    }

    /// Answers the question.
    fn done(&self, value: Bound<'_, PyAny>) {
        self.settle_with(Ok(value));
    }

    /// Answers with an exception.
    fn fail(&self, error: Bound<'_, PyAny>) {
        self.settle_with(Err(PyErr::from_value(error)));
    }
}

impl Job {
    fn settle_with(&self, answer: PyResult<Bound<'_, PyAny>>) {
        let settle = self.settle.lock().take();
        if let Some(settle) = settle {
            settle(answer);
        }
    }
}

impl Shared {
    /// Lets a loop answer from now on.
    pub(crate) fn bind(&self, mailbox: &Arc<Mailbox>) {
        if let Place::Loop(bound) = &self.place {
            let earlier = bound.lock().replace(Arc::clone(mailbox));
            // With it may go callbacks that nobody will run, and what they hold in Python.
            drop(earlier);
        }
    }

    /// Asks, and makes something of the answer while the interpreter is at hand.
    pub(crate) async fn ask<T: Send + 'static>(
        self: &Arc<Self>,
        method: &'static str,
        arguments: impl for<'py> FnOnce(Python<'py>) -> PyResult<Bound<'py, PyTuple>> + Send + 'static,
        read: impl for<'py> FnOnce(Bound<'py, PyAny>) -> PyResult<T> + Send + 'static,
    ) -> Result<T, HostError> {
        match &self.place {
            Place::Thread => {
                let asked = Arc::clone(self);
                blocking(move |py| read(asked.handler.bind(py).call_method1(method, arguments(py)?)?)).await
            }
            Place::Loop(bound) => {
                let mailbox = bound.lock().clone();
                let mailbox = mailbox.ok_or_else(|| lost("no event loop has used this object yet"))?;
                self.ask_loop(&mailbox, method, arguments, read).await
            }
        }
    }

    /// Tells, without waiting for an answer.
    pub(crate) fn tell(
        self: &Arc<Self>,
        method: &'static str,
        arguments: impl for<'py> FnOnce(Python<'py>) -> PyResult<Bound<'py, PyTuple>> + Send + 'static,
    ) {
        let Ok(handle) = runtime::handle() else { return };
        let asked = Arc::clone(self);
        handle.spawn(async move {
            // Nobody is left to hear of a failure.
            drop(asked.ask(method, arguments, |_| Ok(())).await);
        });
    }

    async fn ask_loop<T: Send + 'static>(
        self: &Arc<Self>,
        mailbox: &Arc<Mailbox>,
        method: &'static str,
        arguments: impl for<'py> FnOnce(Python<'py>) -> PyResult<Bound<'py, PyTuple>> + Send + 'static,
        read: impl for<'py> FnOnce(Bound<'py, PyAny>) -> PyResult<T> + Send + 'static,
    ) -> Result<T, HostError> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let key = NEXT.fetch_add(1, Ordering::Relaxed);
        let (tell, answered) = oneshot::channel();
        let settle = move |answer: PyResult<Bound<'_, PyAny>>| {
            // Whoever asked may have given up.
            drop(tell.send(answer.and_then(read)));
        };
        mailbox.post(Mail::Job(Job {
            key,
            host: Arc::clone(self),
            method,
            arguments: Mutex::new(Some(Box::new(arguments))),
            settle: Mutex::new(Some(Box::new(settle))),
        }));
        let mut abandon = Abandon { mailbox, key: Some(key) };
        let answer = answered.await;
        abandon.key = None;
        answer.map_err(|_| lost("the event loop dropped the callback"))?.map_err(carried)
    }
}

/// Tells the loop when the one who asked has gone.
struct Abandon<'m> {
    mailbox: &'m Arc<Mailbox>,
    key: Option<u64>,
}

impl Drop for Abandon<'_> {
    fn drop(&mut self) {
        if let Some(key) = self.key {
            self.mailbox.post(Mail::Abandoned(key));
        }
    }
}

/// Runs something on a thread that may wait for the interpreter.
async fn blocking<T: Send + 'static>(
    work: impl for<'py> FnOnce(Python<'py>) -> PyResult<T> + Send + 'static,
) -> Result<T, HostError> {
    let handle = runtime::handle().map_err(|error| lost(error.detail()))?;
    match handle.spawn_blocking(move || where_waiting_is_fine(|| Python::try_attach(work))).await {
        Ok(Some(result)) => result.map_err(carried),
        Ok(None) => Err(lost("the interpreter ends")),
        Err(_) => Err(lost("the runtime stopped")),
    }
}

fn lost(why: &str) -> HostError {
    HostError::new(format!("a Python callback cannot run: {why}"), ())
}

/// Headers and parameters from functions.
pub(crate) struct Source(pub(crate) Arc<Shared>);

impl Dynamic for Source {
    fn resolve(&self) -> BoxFuture<'static, Result<Resolved, durable_streams_bindings::BoxError>> {
        let host = Arc::clone(&self.0);
        Box::pin(async move {
            let read = |answer: Bound<'_, PyAny>| {
                let (headers, params) = answer.extract()?;
                Ok(Resolved { headers, params })
            };
            host.ask("resolve", |py| Ok(PyTuple::empty(py)), read).await.map_err(HostError::boxed)
        })
    }
}
