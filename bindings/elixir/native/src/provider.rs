//! Headers and parameters that are functions of the host.
//!
//! The core asks for them on its own threads, before every HTTP request. A process of the VM,
//! the dispatcher, has each question answered by a process of its own.

use durable_streams_bindings::{
    BoxError, BoxFuture,
    client::{Dynamic, Resolved},
    error::HostError,
};
use parking_lot::Mutex;
use rustler::{
    Atom, Binary, Encoder, Env, LocalPid, OwnedEnv, Resource, ResourceArc, Term, env::SavedTerm, types::atom,
};
use tokio::sync::oneshot;

rustler::atoms! { evaluate }

static DISPATCHER: Mutex<Option<LocalPid>> = Mutex::new(None);

/// Makes the calling process the dispatcher.
#[rustler::nif]
fn dispatch_here(env: Env<'_>) -> Atom {
    *DISPATCHER.lock() = Some(env.pid());
    atom::ok()
}

/// A function of the host.
pub(crate) struct Source(Mutex<(OwnedEnv, SavedTerm)>);

impl Source {
    pub(crate) fn new(function: Term<'_>) -> Self {
        let env = OwnedEnv::new();
        let saved = env.save(function);
        Self(Mutex::new((env, saved)))
    }
}

impl Dynamic for Source {
    fn resolve(&self) -> BoxFuture<'static, Result<Resolved, BoxError>> {
        let (reply, answer) = oneshot::channel();
        let sent = self.ask(reply);
        Box::pin(async move {
            sent?;
            match answer.await {
                Ok(answer) => answer,
                Err(_) => Err("the process that evaluates a function for headers has ended".into()),
            }
        })
    }
}

impl Source {
    /// Sends the question to the dispatcher.
    fn ask(&self, reply: oneshot::Sender<Result<Resolved, BoxError>>) -> Result<(), BoxError> {
        const STOPPED: &str = "functions for headers need the application durable_streams to be started";
        let dispatcher = DISPATCHER.lock().ok_or(STOPPED)?;
        let question = ResourceArc::new(Question(Mutex::new(Some(reply))));
        let saved = self.0.lock();
        let mut letter = OwnedEnv::new();
        let sent = letter.send_and_clear(&dispatcher, |env| {
            let function = saved.0.run(|own| saved.1.load(own).in_env(env));
            (evaluate(), question, function)
        });
        sent.map_err(|_| STOPPED.into())
    }
}

type Reply = oneshot::Sender<Result<Resolved, BoxError>>;

/// Whom the answer is for. Dropping it unanswered fails the request.
struct Question(Mutex<Option<Reply>>);

#[rustler::resource_impl]
impl Resource for Question {}

/// Answers with headers and parameters.
#[rustler::nif]
fn answer(question: ResourceArc<Question>, headers: Vec<(String, String)>, params: Vec<(String, String)>) -> Atom {
    question.tell(Ok(Resolved { headers, params }))
}

/// Answers that the function failed: with the exception as the external form of a term, which
/// comes out of the operation as it went in.
#[rustler::nif]
fn answer_failed(question: ResourceArc<Question>, text: String, exception: Binary<'_>) -> Atom {
    question.tell(Err(HostError::new(text, exception.as_slice().to_vec()).boxed()))
}

impl Question {
    fn tell(&self, answer: Result<Resolved, BoxError>) -> Atom {
        if let Some(reply) = self.0.lock().take() {
            // The request is gone when nobody listens.
            let _ = reply.send(answer);
        }
        atom::ok()
    }
}

/// The exception that a function failed with.
pub(crate) fn exception<'a>(env: Env<'a>, host: &HostError) -> Option<Term<'a>> {
    let kept: &Vec<u8> = host.downcast_ref()?;
    env.binary_to_term(kept).map(|(term, _)| term.encode(env))
}
