//! The way between our threads and one JavaScript thread: promises settled from outside,
//! and questions to JavaScript that are answered later.
//!
//! One thread-safe function per JavaScript environment carries everything, so ten thousand
//! parked reads cost one handle of the event loop. It holds the event loop open exactly
//! while a promise is pending. When the environment ends, it is let go, every operation is
//! cancelled, and what arrives later is dropped.

use std::{
    collections::HashMap,
    ffi::c_void,
    ptr,
    sync::{
        Arc,
        atomic::{AtomicU32, AtomicUsize, Ordering},
    },
};

use durable_streams_bindings::{CancelHandle, call, error::ErrorInfo};
use napi::{
    Env, JsValue, Status,
    bindgen_prelude::{Function, ToNapiValue, Unknown},
    check_status, sys,
};
use napi_derive::napi;
use parking_lot::Mutex;
use tokio::sync::oneshot;

use crate::{
    answer::{Answer, Question},
    cancel::Cancel,
    error::Rejection,
};

/// The link of one JavaScript environment; made once per environment.
#[napi]
#[derive(Debug)]
pub struct Loop {
    pub(crate) link: Arc<Link>,
}

#[napi]
impl Loop {
    /// Links this environment. `ask` is called with every question; see `native.d.ts`.
    #[napi(constructor)]
    pub fn new(env: Env, ask: Function<'_, Unknown<'_>, ()>) -> napi::Result<Self> {
        Ok(Self { link: Link::open(env, ask.raw())? })
    }

    /// Number of promises not yet settled.
    #[napi(getter)]
    pub fn pending(&self) -> u32 {
        u32::try_from(self.link.pending.load(Ordering::Relaxed)).unwrap_or(u32::MAX)
    }
}

/// What our threads know of a JavaScript environment.
#[derive(Debug)]
pub(crate) struct Link {
    /// Gone once the environment ends. Calls happen under the lock, so none can race that.
    function: Mutex<Option<ThreadsafeFunction>>,
    /// Promises not yet settled; touched on the JavaScript thread only.
    pending: AtomicUsize,
    next_id: AtomicU32,
    running: Mutex<HashMap<u32, CancelHandle>>,
    waiting: Mutex<HashMap<u32, oneshot::Sender<Answer>>>,
}

#[derive(Debug)]
struct ThreadsafeFunction(sys::napi_threadsafe_function);

// SAFETY: thread-safe functions may be called from any thread; that is what they are for.
unsafe impl Send for ThreadsafeFunction {}

/// What travels to the JavaScript thread.
type Message = Box<dyn FnOnce(sys::napi_env, sys::napi_value) + Send>;

/// A promise's other end. Only ever used on the JavaScript thread that made it.
struct Deferred(sys::napi_deferred);

// SAFETY: carried through other threads as an opaque number; dereferenced by Node-API only,
// on the thread of its environment.
unsafe impl Send for Deferred {}

impl Link {
    fn open(env: Env, ask: sys::napi_value) -> napi::Result<Arc<Self>> {
        let link = Arc::new(Self {
            function: Mutex::new(None),
            pending: AtomicUsize::new(0),
            next_id: AtomicU32::new(0),
            running: Mutex::default(),
            waiting: Mutex::default(),
        });
        let name = env.create_string("durable-streams")?;
        let mut function = ptr::null_mut();
        let context = Arc::into_raw(Arc::clone(&link)).cast_mut().cast::<c_void>();
        // SAFETY: all values belong to `env`; the finalizer takes the reference in `context` back.
        check_status!(unsafe {
            sys::napi_create_threadsafe_function(
                env.raw(),
                ask,
                ptr::null_mut(),
                name.raw(),
                0,
                1,
                context,
                Some(finalize),
                context,
                Some(deliver),
                &mut function,
            )
        })?;
        // SAFETY: just made, on this thread. Idle, it must not hold the event loop.
        check_status!(unsafe { sys::napi_unref_threadsafe_function(env.raw(), function) })?;
        *link.function.lock() = Some(ThreadsafeFunction(function));
        let hook = Arc::into_raw(Arc::clone(&link)).cast_mut().cast::<c_void>();
        // SAFETY: the hook takes the reference in `hook` back, once. Hooks run last in, first
        // out: before the host tears the thread-safe function down.
        check_status!(unsafe { sys::napi_add_env_cleanup_hook(env.raw(), Some(environment_ends), hook) })?;
        Ok(link)
    }

    /// Starts an operation; the promise settles with its outcome.
    pub(crate) fn start<T>(
        self: &Arc<Self>,
        env: Env,
        operation: impl Future<Output = Result<T, ErrorInfo>> + Send + 'static,
        cancel: Option<&Cancel>,
    ) -> napi::Result<Unknown<'static>>
    where
        T: ToNapiValue + Send + 'static,
    {
        let (mut deferred, mut promise) = (ptr::null_mut(), ptr::null_mut());
        // SAFETY: `env` is the environment of the call we are in.
        check_status!(unsafe { sys::napi_create_promise(env.raw(), &mut deferred, &mut promise) })?;
        let deferred = Deferred(deferred);
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        self.hold(env.raw());
        let handle = CancelHandle::new();
        if let Some(cancel) = cancel {
            cancel.attach(&handle);
        }
        self.running.lock().insert(id, handle.clone());
        let link = Arc::clone(self);
        call::start(&handle, operation, move |outcome| {
            let its_link = Arc::clone(&link);
            its_link.post(Box::new(move |env, _| {
                link.running.lock().remove(&id);
                settle(env, deferred, outcome);
                link.release(env);
            }));
        });
        // SAFETY: a promise of this environment, made above.
        Ok(unsafe { Unknown::from_raw_unchecked(env.raw(), promise) })
    }

    /// Asks JavaScript and waits for the answer; none comes after the environment's end.
    pub(crate) async fn ask(&self, source: u32, question: Question) -> Option<Answer> {
        self.ask_as(source, self.next_token(), question).await
    }

    /// A number for a question.
    pub(crate) fn next_token(&self) -> u32 {
        self.next_id.fetch_add(1, Ordering::Relaxed)
    }

    /// The same with a token of [`Link::next_token`].
    pub(crate) async fn ask_as(&self, source: u32, token: u32, question: Question) -> Option<Answer> {
        let (sender, receiver) = oneshot::channel();
        self.waiting.lock().insert(token, sender);
        // Also when the asking future is dropped.
        let _forget = Forget { link: self, token };
        self.tell(source, token, question);
        receiver.await.ok()
    }

    /// Tells JavaScript something that needs no answer.
    pub(crate) fn tell(&self, source: u32, token: u32, question: Question) {
        self.post(Box::new(move |env, ask| question.put(env, ask, source, token)));
    }

    /// An answer of JavaScript arrived. Late ones, which nobody waits for, are dropped.
    pub(crate) fn answered(&self, token: u32, answer: Answer) {
        if let Some(waiting) = self.waiting.lock().remove(&token) {
            let _ = waiting.send(answer);
        }
    }

    fn post(&self, message: Message) {
        let function = self.function.lock();
        let Some(ThreadsafeFunction(function)) = &*function else { return };
        let data = Box::into_raw(Box::new(message));
        // SAFETY: the function lives while it stands behind the lock we hold; `deliver` takes
        // the message back.
        let status = unsafe {
            sys::napi_call_threadsafe_function(*function, data.cast(), sys::ThreadsafeFunctionCallMode::nonblocking)
        };
        if status != sys::Status::napi_ok {
            // SAFETY: not taken, so still ours.
            drop(unsafe { Box::from_raw(data) });
        }
    }

    /// One promise more is pending: from the first on the event loop stays.
    fn hold(&self, env: sys::napi_env) {
        if self.pending.fetch_add(1, Ordering::Relaxed) == 0
            && let Some(ThreadsafeFunction(function)) = &*self.function.lock()
        {
            // SAFETY: on the environment's thread, with a living function.
            unsafe { sys::napi_ref_threadsafe_function(env, *function) };
        }
    }

    /// One promise was settled: after the last one the event loop may end.
    fn release(&self, env: sys::napi_env) {
        if self.pending.fetch_sub(1, Ordering::Relaxed) == 1
            && let Some(ThreadsafeFunction(function)) = &*self.function.lock()
        {
            // SAFETY: on the environment's thread, with a living function.
            unsafe { sys::napi_unref_threadsafe_function(env, *function) };
        }
    }

    /// The environment ends: nobody can be told anything any more.
    fn shut(&self) -> Option<ThreadsafeFunction> {
        let function = self.function.lock().take();
        self.waiting.lock().clear();
        let running = std::mem::take(&mut *self.running.lock());
        for handle in running.into_values() {
            handle.cancel();
        }
        function
    }
}

struct Forget<'l> {
    link: &'l Link,
    token: u32,
}

impl Drop for Forget<'_> {
    fn drop(&mut self) {
        self.link.waiting.lock().remove(&self.token);
    }
}

fn settle<T: ToNapiValue>(env: sys::napi_env, deferred: Deferred, outcome: Result<T, ErrorInfo>) {
    // SAFETY: Node-API calls this on the environment's thread, with a living environment; a
    // deferred is settled once.
    unsafe {
        let outcome = match outcome {
            Ok(value) => T::to_napi_value(env, value).map_err(Rejection::internal),
            Err(info) => Err(Rejection::from(info)),
        };
        match outcome {
            Ok(value) => sys::napi_resolve_deferred(env, deferred.0, value),
            Err(rejection) => match Rejection::to_napi_value(env, rejection) {
                Ok(value) => sys::napi_reject_deferred(env, deferred.0, value),
                Err(error) => sys::napi_reject_deferred(env, deferred.0, napi::JsError::from(error).into_value(env)),
            },
        };
    }
}

/// Runs a message on the JavaScript thread; without an environment it is only dropped.
unsafe extern "C" fn deliver(env: sys::napi_env, ask: sys::napi_value, _context: *mut c_void, data: *mut c_void) {
    // SAFETY: made by `post`, delivered once.
    let message = unsafe { Box::from_raw(data.cast::<Message>()) };
    if !env.is_null() {
        message(env, ask);
    }
}

/// The host has closed the thread-safe function.
unsafe extern "C" fn finalize(_env: sys::napi_env, data: *mut c_void, _hint: *mut c_void) {
    // SAFETY: the reference that `open` gave away, taken back once.
    let link = unsafe { Arc::from_raw(data.cast::<Link>().cast_const()) };
    // Normally let go before; a host without cleanup hooks would leave it dangling.
    link.shut();
}

/// The environment is about to end.
unsafe extern "C" fn environment_ends(data: *mut c_void) {
    // SAFETY: the reference that `open` gave away, taken back once.
    let link = unsafe { Arc::from_raw(data.cast::<Link>().cast_const()) };
    if let Some(ThreadsafeFunction(function)) = link.shut() {
        // SAFETY: still alive in a cleanup hook, and nobody else can reach it from here on.
        unsafe { sys::napi_release_threadsafe_function(function, sys::ThreadsafeFunctionReleaseMode::abort) };
    }
}

/// An error of our own making, for impossible arguments.
pub(crate) fn invalid(reason: impl Into<String>) -> napi::Error {
    napi::Error::new(Status::InvalidArg, reason.into())
}
