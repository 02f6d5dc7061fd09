//! An append whose data is still being made: the process that makes it hands over piece by piece,
//! and waits when the network is slower.

use durable_streams::transport::BodyStream;
use durable_streams_bindings::{Bytes, ErrorInfo};
use futures_util::stream;
use rustler::{Binary, Encoder, Env, NifResult, Reference, Resource, ResourceArc, Term};
use tokio::sync::mpsc::{Receiver, Sender, channel, error::TrySendError};

use crate::{
    handle::Handle,
    options::{Options, copied},
    reply::{self, Operation},
    stream::{append_config, stored},
};

rustler::atoms! { ok, closed }

/// Pieces that may wait for the network.
const WAITING: usize = 8;

/// The end that pieces are put into; nothing is the end of the data.
pub(crate) struct Body(Sender<Option<Bytes>>);

#[rustler::resource_impl]
impl Resource for Body {}

/// Starts an append: its operation, and where its data goes.
#[rustler::nif]
fn append_stream<'a>(
    env: Env<'a>,
    reference: Reference<'a>,
    handle: Term<'a>,
    options: Term<'a>,
) -> NifResult<(ResourceArc<Operation>, ResourceArc<Body>)> {
    let handle = Handle::new(handle)?;
    let config = append_config(&Options::new(options))?;
    let (pieces, data) = channel(WAITING);
    let work = async move {
        let handle = handle?;
        let outcome = handle.stream.append_streaming(body(data), config).await;
        handle.note(&outcome);
        outcome
    };
    Ok((reply::start(env, reference, work, stored), ResourceArc::new(Body(pieces))))
}

/// Hands over a piece, or with `nil` the end: `:ok`; `:closed` when the append is over; or an
/// operation that is answered once there is room.
#[rustler::nif]
fn body_push<'a>(
    env: Env<'a>,
    reference: Reference<'a>,
    body: ResourceArc<Body>,
    piece: Option<Binary<'a>>,
) -> Term<'a> {
    match body.0.try_send(piece.map(|piece| copied(env, piece))) {
        Ok(()) => ok().encode(env),
        Err(TrySendError::Closed(_)) => closed().encode(env),
        Err(TrySendError::Full(piece)) => {
            let pieces = body.0.clone();
            let push = async move { pieces.send(piece).await.map_err(|_| ErrorInfo::cancelled()) };
            reply::start_unit(env, reference, push).encode(env)
        }
    }
}

/// The request's body. Without its end there is no body: half of the data must not be stored.
fn body(data: Receiver<Option<Bytes>>) -> BodyStream {
    Box::pin(stream::try_unfold(data, |mut data| async move {
        match data.recv().await {
            Some(piece) => Ok(piece.map(|piece| (piece, data))),
            None => Err("the data was not made to its end".into()),
        }
    }))
}
