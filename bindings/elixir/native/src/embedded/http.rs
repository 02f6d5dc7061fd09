//! Requests that the application's web server took in, answered by the server's own service.

use std::{
    future::poll_fn,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    pin::Pin,
};

use bytes::Bytes;
use durable_streams_bindings::{ErrorInfo, call::Outcome};
use durable_streams_server::embedded::{AnswerBody, Caller, RawRequest};
use http_body::Body;
use rustler::{Binary, Encoder, Env, NewBinary, NifResult, Reference, Resource, ResourceArc, Term, types::atom};
use tokio::sync::Mutex;

use super::{
    Engine, Keeper,
    streams::{joined, kept},
};
use crate::{
    options::{Options, copied},
    reply::{Operation, start},
};

rustler::atoms! { done, full, stream }

/// The rest of an answer, pulled piece by piece.
pub(crate) struct Rest {
    body: Mutex<Option<(AnswerBody, Engine)>>,
}

#[rustler::resource_impl]
impl Resource for Rest {}

/// An answer on its way to the caller.
struct Answered {
    status: u16,
    headers: Vec<(String, Vec<u8>)>,
    body: AnsweredBody,
}

enum AnsweredBody {
    Full(Vec<Bytes>),
    Stream(AnswerBody, Engine),
}

/// Answers a request: `{:ok, {status, headers, {:full, binary} | {:stream, rest}}}`.
#[rustler::nif]
fn keeper_call<'a>(
    env: Env<'a>,
    reference: Reference<'a>,
    keeper: ResourceArc<Keeper>,
    request: Term<'a>,
) -> NifResult<ResourceArc<Operation>> {
    let options = Options::new(request);
    let caller = caller(&options)?;
    let mount: String = options.get_or_default("mount")?;
    let headers: Vec<(Binary<'_>, Binary<'_>)> = options.get_or_default("headers")?;
    let mut raw = RawRequest {
        method: options.get_or_default("method")?,
        target: options.get_or_default("target")?,
        headers: headers.iter().map(|(name, value)| (name.to_vec(), value.to_vec())).collect(),
        body: Vec::new(),
    };
    let body: Vec<Bytes> =
        options.get_or_default::<Vec<Binary<'_>>>("body")?.into_iter().map(|piece| copied(env, piece)).collect();
    let work = async move {
        raw.body = body.into_iter().map(kept).collect();
        let engine = keeper.engine()?;
        let (head, body) = engine.answer_raw(&caller, &mount, raw).await.into_parts();
        let headers = head.headers.iter().map(|(name, value)| (name.to_string(), value.as_bytes().to_vec())).collect();
        Ok(Answered { status: head.status.as_u16(), headers, body: begin(body, engine).await? })
    };
    Ok(start(env, reference, work, |env, answered| (atom::ok(), answered.term(env)).encode(env)))
}

fn caller(options: &Options<'_>) -> NifResult<Caller> {
    let ip = options.get::<String>("peer")?.and_then(|text| text.parse().ok()).unwrap_or(NOWHERE);
    let port = options.get_or_default("port")?;
    Ok(Caller { ip, local: SocketAddr::new(NOWHERE, port), is_tls: options.get_or_default("is_tls")? })
}

const NOWHERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// A body of known length is in memory already; others come as they come.
async fn begin(mut body: AnswerBody, engine: Engine) -> Outcome<AnsweredBody> {
    if body.size_hint().exact().is_none() {
        return Ok(AnsweredBody::Stream(body, engine));
    }
    let mut pieces = Vec::new();
    while let Some(piece) = next_piece(&mut body).await? {
        pieces.push(piece);
    }
    Ok(AnsweredBody::Full(pieces))
}

async fn next_piece(body: &mut AnswerBody) -> Outcome<Option<Bytes>> {
    match poll_fn(|cx| Pin::new(&mut *body).poll_frame(cx)).await {
        None => Ok(None),
        Some(Ok(frame)) => Ok(Some(frame.into_data().unwrap_or_default())),
        Some(Err(error)) => Err(ErrorInfo::internal(error.to_string())),
    }
}

impl Answered {
    fn term(self, env: Env<'_>) -> Term<'_> {
        let headers: Vec<(String, Term<'_>)> =
            self.headers.into_iter().map(|(name, value)| (name, NewBinary::from_slice(env, &value).into())).collect();
        let body = match self.body {
            AnsweredBody::Full(pieces) => (full(), joined(env, &pieces)).encode(env),
            AnsweredBody::Stream(body, engine) => {
                (stream(), ResourceArc::new(Rest { body: Mutex::new(Some((body, engine))) })).encode(env)
            }
        };
        (self.status, headers, body).encode(env)
    }
}

/// The next piece of an answer: `{:ok, binary}`, or `:done`.
#[rustler::nif]
fn keeper_pull<'a>(env: Env<'a>, reference: Reference<'a>, rest: ResourceArc<Rest>) -> ResourceArc<Operation> {
    let work = async move {
        let mut held = rest.body.lock().await;
        let Some((body, _)) = held.as_mut() else { return Ok(None) };
        let piece = next_piece(body).await;
        if !matches!(piece, Ok(Some(_))) {
            *held = None;
        }
        piece
    };
    start(env, reference, work, |env, piece| match piece {
        Some(piece) => (atom::ok(), joined(env, &[piece])).encode(env),
        None => done().encode(env),
    })
}

/// Ends an answer nobody takes any more.
#[rustler::nif]
fn keeper_let_go(rest: ResourceArc<Rest>) -> rustler::Atom {
    // Locked only while a piece is waited for, and whoever waits ends by cancelling.
    if let Ok(mut held) = rest.body.try_lock() {
        *held = None;
    }
    atom::ok()
}
