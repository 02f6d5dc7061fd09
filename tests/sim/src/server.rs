//! The server: the real engine on the disk in memory, stepped by hand. It starts,
//! commits in groups, loses power, and keeps live readers waiting in virtual time.

use std::{
    collections::BTreeMap,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, Waker},
};

use bytes::{Bytes, BytesMut};
use durable_streams_protocol::{
    Time,
    cursor::CursorClock,
    offset::{Position, ReadFrom},
    request::RequestPlan,
    response::ReplyHead,
    sse::{control::ControlEvent, encoder},
};
use durable_streams_server::{
    engine::{
        Clock, Engine, EngineOptions, Reader, Stepper,
        types::{AppendError, AppendKind, AppendRequest, Appended, Change, CreateRequest},
    },
    path::StreamPath,
};
use http::{Method, StatusCode};

use crate::{
    Bug,
    rng::Rng,
    store::Disk,
    wire::{self, Live},
};

/// The virtual clock starts here. Units: Unix milliseconds.
const EPOCH_MS: u64 = 1_800_000_000_000;
/// How long a long-poll is held.
const LONG_POLL: Time = Time::from_secs(20);
/// How long an answer of server-sent events lasts.
const SSE_LIFE: Time = Time::from_secs(60);

/// Who asked, and under which number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Connection {
    pub(crate) client: Client,
    pub(crate) exchange: u64,
}

/// A client by its index.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Client {
    Writer(usize),
    Reader(usize),
    /// Closes what nobody closed, so that every reader comes to an end.
    Janitor(usize),
    /// Nobody hears the answer: to a copy of a request for this stream, which the network made.
    Nobody(usize),
}

/// A part of an answer.
#[derive(Debug)]
pub(crate) enum Part {
    Head(ReplyHead),
    Piece(Bytes),
    End,
}

/// Parts for connections, in order.
pub(crate) type Parts = Vec<(Connection, Part)>;

/// How a commit goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    Clean,
    /// Power goes before anything is durable.
    LostBefore,
    /// Power goes when all is durable and nobody has been answered.
    LostAfter,
}

/// Sizes that shape a run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ServerShape {
    pub(crate) max_chunk_bytes: usize,
    pub(crate) hot_bytes_per_stream: usize,
}

pub(crate) struct Server {
    disk: Arc<Disk>,
    clock: Arc<VirtualClock>,
    runtime: tokio::runtime::Runtime,
    shape: ServerShape,
    bug: Option<Bug>,
    up: Option<Up>,
    next_session: u64,
    starts: u64,
}

struct Up {
    engine: Engine,
    stepper: Stepper,
    pending: Vec<Pending>,
    sessions: BTreeMap<u64, Session>,
}

struct Pending {
    connection: Connection,
    path: StreamPath,
    request: AppendRequest,
    future: Pin<Box<dyn Future<Output = Result<Appended, AppendError>>>>,
}

struct Session {
    connection: Connection,
    reader: Reader,
    live: Live,
    deadline: Time,
    cursor: Option<u64>,
    is_first: bool,
}

#[derive(Debug, Default)]
struct VirtualClock(AtomicU64);

impl Clock for VirtualClock {
    fn unix_ms(&self) -> u64 {
        EPOCH_MS + self.0.load(Ordering::Relaxed)
    }
}

impl Server {
    pub(crate) fn new(disk: Arc<Disk>, shape: ServerShape, bug: Option<Bug>) -> Result<Self, String> {
        // Only for reads of cold data, which the engine hands to a blocking thread; each is
        // waited for on the spot, so no order depends on it.
        let runtime = tokio::runtime::Builder::new_current_thread()
            .max_blocking_threads(1)
            .build()
            .map_err(|error| format!("no runtime: {error}"))?;
        let clock = Arc::new(VirtualClock::default());
        Ok(Self { disk, clock, runtime, shape, bug, up: None, next_session: 0, starts: 0 })
    }

    pub(crate) fn set_time(&self, now: Time) {
        self.clock.0.store(u64::try_from(now.as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    pub(crate) const fn is_up(&self) -> bool {
        self.up.is_some()
    }

    /// Recovers from the disk.
    pub(crate) fn start(&mut self) -> Result<(), String> {
        let options = EngineOptions {
            hot_bytes_per_stream: self.shape.hot_bytes_per_stream,
            clock: Arc::clone(&self.clock) as Arc<dyn Clock>,
            // A power loss shows as a failed commit; the simulation takes the server down.
            on_fatal: Arc::new(|_| {}),
            ..EngineOptions::default()
        };
        let (engine, stepper) =
            Engine::open_stepped(options, Arc::clone(&self.disk) as _).map_err(|error| format!("recovery: {error}"))?;
        self.up = Some(Up { engine, stepper, pending: Vec::new(), sessions: BTreeMap::new() });
        self.starts += 1;
        Ok(())
    }

    /// Creates a stream, before the run.
    pub(crate) fn create(&mut self, path: &StreamPath, content_type: &str) -> Result<(), String> {
        let Some(up) = &mut self.up else { return Err("the server is down".to_owned()) };
        let request = CreateRequest { content_type: Some(content_type.to_owned()), ..CreateRequest::default() };
        let mut creating = Box::pin(up.engine.create(path.clone(), request));
        let _ = poll(creating.as_mut());
        up.stepper.step();
        match poll(creating.as_mut()) {
            Poll::Ready(Ok(_)) => Ok(()),
            Poll::Ready(Err(error)) => Err(format!("create: {error}")),
            Poll::Pending => Err("create: no answer after the commit".to_owned()),
        }
    }

    /// Everything in memory is gone; returns the connections that break.
    pub(crate) fn crash(&mut self) -> Vec<Connection> {
        let Some(up) = self.up.take() else { return Vec::new() };
        self.disk.power_lost();
        let asked = up.pending.iter().map(|pending| pending.connection);
        asked.chain(up.sessions.values().map(|session| session.connection)).collect()
    }

    /// Ends as on SIGTERM: answers what was asked, ends live answers, writes checkpoints.
    pub(crate) fn stop(&mut self, now: Time, rng: &mut Rng) -> Parts {
        let mut parts = self.commit(Fate::Clean, now, rng);
        let Some(up) = &self.up else { return parts };
        up.engine.shut_down();
        parts.extend(self.serve_live(now, rng));
        if let Some(up) = self.up.take() {
            drop((up.pending, up.sessions));
            up.stepper.finish();
        }
        parts
    }

    /// Takes a request. Reads are answered at once or become live; writes wait for
    /// [`Server::commit`].
    pub(crate) fn take(
        &mut self,
        now: Time,
        connection: Connection,
        path: &StreamPath,
        plan: &RequestPlan,
        rng: &mut Rng,
    ) -> Parts {
        let Some(up) = &mut self.up else { return Vec::new() };
        if plan.method == Method::GET {
            return self.read(now, connection, path, plan, rng);
        }
        match wire::append_request(plan) {
            Ok(mut request) => {
                if self.bug == Some(Bug::ServerForgetsProducers) {
                    request.producer = None;
                }
                up.append(connection, path.clone(), request);
                Vec::new()
            }
            Err(refused) => whole(connection, refused, Vec::new()),
        }
    }

    /// Commits what was asked so far, answers, and serves live readers.
    pub(crate) fn commit(&mut self, fate: Fate, now: Time, rng: &mut Rng) -> Parts {
        let Some(up) = &mut self.up else { return Vec::new() };
        if fate == Fate::LostBefore {
            self.disk.fail_next_commit();
        }
        up.stepper.step();
        if fate != Fate::Clean {
            return Vec::new();
        }
        let mut parts = up.answers(self.bug);
        parts.extend(self.serve_live(now, rng));
        parts
    }

    /// Live answers that have something to say now, or end.
    pub(crate) fn serve_live(&mut self, now: Time, rng: &mut Rng) -> Parts {
        let mut parts = Vec::new();
        let Some(up) = &mut self.up else { return parts };
        up.sessions.retain(|_, session| session.serve(now, &self.runtime, self.shape, rng, &mut parts));
        parts
    }

    /// When the next live answer ends by itself.
    pub(crate) fn next_deadline(&self) -> Option<Time> {
        self.up.as_ref()?.sessions.values().map(|session| session.deadline).min()
    }

    fn read(
        &mut self,
        now: Time,
        connection: Connection,
        path: &StreamPath,
        plan: &RequestPlan,
        rng: &mut Rng,
    ) -> Parts {
        let Some(up) = &mut self.up else { return Vec::new() };
        let Some(query) = wire::read_query(plan) else {
            return whole(connection, wire::head(StatusCode::BAD_REQUEST), Vec::new());
        };
        let is_issued = matches!(query.from, ReadFrom::At(at) if at > Position::START);
        if self.bug == Some(Bug::ServerForgetsOffsets) && self.starts > 1 && is_issued {
            return whole(connection, wire::head(StatusCode::GONE), Vec::new());
        }
        let Ok(mut reader) = up.engine.reader(path, query.from, query.live != Live::No) else {
            return whole(connection, wire::head(StatusCode::NOT_FOUND), Vec::new());
        };
        let info = reader.info().clone();
        let mut parts = Vec::new();
        if query.live == Live::No {
            return match self.runtime.block_on(reader.next(self.shape.max_chunk_bytes)) {
                Ok(chunk) => {
                    let (head, body) = wire::data(&info.content_type, info.framing, chunk, None);
                    whole(connection, head, body)
                }
                Err(_) => whole(connection, wire::head(StatusCode::BAD_REQUEST), Vec::new()),
            };
        }
        let life = if query.live == Live::Sse { SSE_LIFE } else { LONG_POLL };
        let (deadline, cursor) = (now + life, query.cursor);
        let mut session = Session { connection, reader, live: query.live, deadline, cursor, is_first: true };
        if query.live == Live::Sse {
            parts.push((connection, Part::Head(wire::events(info.framing))));
        }
        if session.serve(now, &self.runtime, self.shape, rng, &mut parts) {
            up.sessions.insert(self.next_session, session);
            self.next_session += 1;
        }
        parts
    }
}

impl Up {
    fn append(&mut self, connection: Connection, path: StreamPath, request: AppendRequest) {
        let (engine, to, asked) = (self.engine.clone(), path.clone(), request.clone());
        let mut future: Pin<Box<dyn Future<Output = _>>> = Box::pin(async move { engine.append(&to, asked).await });
        // The first poll puts the request into the engine's queue, or refuses it; the answer
        // is looked for after the commit either way.
        let done = poll(future.as_mut());
        if let Poll::Ready(result) = done {
            future = Box::pin(std::future::ready(result));
        }
        self.pending.push(Pending { connection, path, request, future });
    }

    fn answers(&mut self, bug: Option<Bug>) -> Parts {
        let mut parts = Vec::new();
        for mut pending in std::mem::take(&mut self.pending) {
            let Poll::Ready(result) = poll(pending.future.as_mut()) else {
                self.pending.push(pending);
                continue;
            };
            let is_let_through = matches!(
                (&result, bug),
                (Err(AppendError::StaleEpoch(_)), Some(Bug::ServerForgetsEpochs))
                    | (Err(AppendError::Gap { .. }), Some(Bug::ServerForgetsGaps))
            );
            if is_let_through {
                let producer = pending.request.producer.take();
                let state = producer.map(|claim| claim.state);
                let unheard = Connection { client: Client::Nobody(0), exchange: 0 };
                self.append(unheard, pending.path, pending.request);
                self.stepper.step();
                let accepted =
                    Appended { kind: AppendKind::Data, tail: Position::START, closed: false, producer: state };
                parts.extend(whole(pending.connection, wire::appended(&Ok(accepted)), Vec::new()));
                continue;
            }
            parts.extend(whole(pending.connection, wire::appended(&result), Vec::new()));
        }
        parts
    }
}

impl Session {
    /// Says what there is to say; false when the answer is over.
    fn serve(
        &mut self,
        now: Time,
        runtime: &tokio::runtime::Runtime,
        shape: ServerShape,
        rng: &mut Rng,
        parts: &mut Parts,
    ) -> bool {
        let info = self.reader.info().clone();
        let seconds = EPOCH_MS / 1000 + now.as_secs();
        loop {
            let Ok(chunk) = runtime.block_on(self.reader.next(shape.max_chunk_bytes)) else {
                parts.push((self.connection, Part::End));
                return false;
            };
            let cursor = CursorClock::default().respond(self.cursor, seconds, rng.next());
            if self.live == Live::LongPoll {
                if !chunk.is_empty() {
                    let (head, body) = wire::data(&info.content_type, info.framing, chunk, Some(cursor));
                    parts.extend(whole(self.connection, head, body));
                    return false;
                }
                let is_stopping = self.reader.pending_change() == Some(Change::ShuttingDown);
                if chunk.closed || now >= self.deadline || is_stopping {
                    parts.extend(whole(self.connection, wire::nothing_new(chunk.next, chunk.closed, cursor), vec![]));
                    return false;
                }
                return true;
            }
            if std::mem::take(&mut self.is_first) || !chunk.is_empty() || chunk.closed {
                let mut frame = BytesMut::new();
                encoder::encode_data(info.framing, &chunk.data, &mut frame);
                let control = ControlEvent {
                    next_offset: chunk.next.token().as_str().to_owned().into(),
                    cursor: (!chunk.closed).then(|| cursor.to_string().into()),
                    up_to_date: chunk.up_to_date,
                    stream_closed: chunk.closed,
                };
                encoder::encode_control(&control, &mut frame);
                parts.push((self.connection, Part::Piece(frame.freeze())));
            }
            let is_stopping = self.reader.pending_change() == Some(Change::ShuttingDown);
            if chunk.closed || (chunk.up_to_date && (now >= self.deadline || is_stopping)) {
                parts.push((self.connection, Part::End));
                return false;
            }
            if chunk.up_to_date {
                return true;
            }
        }
    }
}

fn whole(connection: Connection, head: ReplyHead, body: Vec<Bytes>) -> Parts {
    let pieces = body.into_iter().map(|piece| (connection, Part::Piece(piece)));
    std::iter::once((connection, Part::Head(head))).chain(pieces).chain([(connection, Part::End)]).collect()
}

fn poll<F: Future + ?Sized>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}
