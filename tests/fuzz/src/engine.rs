//! The server's engine by operations, with group commits of any size, against the tables of
//! docs/protocol.md §6, §7 and §19 written down again.

use std::{
    cell::RefCell,
    collections::BTreeMap,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use durable_streams_protocol::{
    offset::{Position, ReadFrom},
    produce::decide::{ProducerClaim, ProducerState},
};
use durable_streams_server::{
    engine::{
        Clock, Engine, EngineOptions,
        types::{AppendError, AppendKind, AppendRequest, Appended, CreateRequest},
    },
    path::StreamPath,
    store::memory::MemoryStore,
};
use tokio::runtime::Runtime;

use crate::input::Input;

thread_local! {
    /// Only for reads of cold data, which the engine hands to a blocking thread.
    static RUNTIME: RefCell<Runtime> =
        RefCell::new(tokio::runtime::Builder::new_current_thread().max_blocking_threads(1).build().expect("a runtime"));
}

struct Still;

impl Clock for Still {
    fn unix_ms(&self) -> u64 {
        1_800_000_000_000
    }
}

type Answer = Pin<Box<dyn Future<Output = Result<Appended, AppendError>>>>;

/// Appends and closes of three producers and of none, on a JSON and a text stream.
///
/// # Panics
/// When the engine answers or stores something else than the tables say.
pub fn engine(data: &[u8]) {
    let mut input = Input::new(data);
    let options = EngineOptions {
        hot_bytes_per_stream: input.pick(&[1, 16, 1 << 20]),
        clock: Arc::new(Still),
        on_fatal: Arc::new(|reason| panic!("{reason}")),
        ..EngineOptions::default()
    };
    let (engine, mut stepper) = Engine::open_stepped(options, Arc::new(MemoryStore::new())).expect("an empty store");
    let mut streams: Vec<Model> = Vec::new();
    for content_type in ["application/json", "text/plain"] {
        let path = StreamPath::parse(&format!("/{}", streams.len())).expect("a path");
        let request = CreateRequest { content_type: Some(content_type.to_owned()), ..CreateRequest::default() };
        let mut creating = Box::pin(engine.create(path.clone(), request));
        assert!(poll(creating.as_mut()).is_pending());
        stepper.step();
        assert!(matches!(poll(creating.as_mut()), Poll::Ready(Ok(_))));
        streams.push(Model::new(path, content_type));
    }
    for _ in 0..300 {
        if input.is_empty() {
            break;
        }
        // What arrives before one commit is decided in its order.
        let mut asked: Vec<(Answer, Told)> = Vec::new();
        for _ in 0..=input.below(4) {
            let stream = input.below(streams.len());
            let model = &mut streams[stream];
            let request = request(&mut input);
            let told = model.decide(&request);
            let (to, engine) = (model.path.clone(), engine.clone());
            let mut answer: Answer = Box::pin(async move { engine.append(&to, request).await });
            let answered = poll(answer.as_mut());
            assert!(answered.is_pending(), "an append is answered by a commit");
            asked.push((answer, told));
        }
        stepper.step();
        for (mut answer, told) in asked {
            let Poll::Ready(answer) = poll(answer.as_mut()) else { panic!("no answer after the commit") };
            assert_eq!(shown(&answer), told);
        }
        let at = input.below(streams.len());
        streams[at].check(&engine, &mut input);
    }
    for model in &streams {
        model.check(&engine, &mut input);
    }
}

/// An answer in the words of the protocol.
#[derive(Debug, PartialEq, Eq)]
enum Told {
    Done { status: u16, tail: u64, is_closed: bool, producer: Option<(u64, u64)> },
    Closed(u64),
    ContentType,
    StaleEpoch(u64),
    BadRequest,
    Gap(u64, u64),
    SeqConflict,
}

fn shown(answer: &Result<Appended, AppendError>) -> Told {
    match answer {
        Ok(Appended { kind, tail, closed, producer }) => {
            let status = if *kind == AppendKind::Data && producer.is_some() { 200 } else { 204 };
            let producer = producer.map(|state| (state.epoch, state.seq));
            Told::Done { status, tail: tail.0, is_closed: *closed, producer }
        }
        Err(AppendError::Closed(tail)) => Told::Closed(tail.0),
        Err(AppendError::ContentType(_)) => Told::ContentType,
        Err(AppendError::StaleEpoch(epoch)) => Told::StaleEpoch(*epoch),
        Err(AppendError::EpochMustStartAtZero | AppendError::Json(_)) => Told::BadRequest,
        Err(AppendError::Gap { expected, received }) => Told::Gap(*expected, *received),
        Err(AppendError::SeqConflict) => Told::SeqConflict,
        Err(error @ (AppendError::NotFound | AppendError::Gone | AppendError::Store(_))) => panic!("{error}"),
    }
}

fn request(input: &mut Input<'_>) -> AppendRequest {
    let bodies: [&[u8]; 10] = [
        b"",
        b"[]",
        b"[1, 2]",
        b"{\"a\" : [ ] }",
        b"[[1],[2]]",
        b"{",
        b"x",
        b" 7 ",
        b"\"]\"",
        b"[\"\\u0041\", -0.5e3]",
    ];
    let body = if input.below(8) == 7 { input.bytes() } else { input.pick(&bodies) };
    let close = body.is_empty() || input.below(16) == 15;
    let content_types = ["application/json", "Application/JSON; charset=utf-8", "text/plain", "image/png"];
    let producer = input.flag().then(|| {
        let id: &[u8] = input.pick(&[&b"a"[..], b"b", b"a:/ "]);
        let state = ProducerState { epoch: input.below(4) as u64, seq: input.below(6) as u64 };
        ProducerClaim { id: id.into(), state }
    });
    let seqs: [&[u8]; 6] = [b"1", b"2", b"09", b"10", b"a", b"B"];
    AppendRequest {
        content_type: (!body.is_empty()).then(|| input.pick(&content_types).to_owned()),
        body: Bytes::copy_from_slice(body),
        close,
        seq: (input.below(4) == 3).then(|| input.pick(&seqs).into()),
        producer,
    }
}

/// One stream as the tables have it.
struct Model {
    path: StreamPath,
    content_type: &'static str,
    /// Stored units.
    units: Vec<Vec<u8>>,
    producers: BTreeMap<Vec<u8>, (u64, u64)>,
    is_closed: bool,
    closed_by: Option<(Vec<u8>, u64, u64)>,
    last_seq: Option<Vec<u8>>,
}

impl Model {
    const fn new(path: StreamPath, content_type: &'static str) -> Self {
        Self {
            path,
            content_type,
            units: Vec::new(),
            producers: BTreeMap::new(),
            is_closed: false,
            closed_by: None,
            last_seq: None,
        }
    }

    fn tail(&self) -> u64 {
        self.units.iter().map(|unit| unit.len() as u64).sum()
    }

    /// Rows 7 to 14 of §6, and §7.
    fn decide(&mut self, request: &AppendRequest) -> Told {
        let is_close_only = request.body.is_empty();
        let claim = request.producer.as_ref().map(|claim| (claim.id.to_vec(), claim.state.epoch, claim.state.seq));
        let echo = claim.as_ref().map(|(_, epoch, seq)| (*epoch, *seq));
        let done = |model: &Self, status, producer| Told::Done {
            status,
            tail: model.tail(),
            is_closed: model.is_closed,
            producer,
        };
        if self.is_closed {
            let is_repeat = claim.is_some() && claim == self.closed_by;
            if is_repeat || (claim.is_none() && is_close_only) {
                return done(self, 204, echo);
            }
            return Told::Closed(self.tail());
        }
        let media = |text: &str| text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        if !is_close_only && request.content_type.as_deref().map(media).as_deref() != Some(self.content_type) {
            return Told::ContentType;
        }
        if let Some((id, epoch, seq)) = &claim {
            match self.producers.get(id).copied() {
                None if *seq > 0 => return Told::Gap(0, *seq),
                Some((current, _)) if *epoch < current => return Told::StaleEpoch(current),
                Some((current, _)) if *epoch > current && *seq > 0 => return Told::BadRequest,
                Some((current, last)) if *epoch == current && *seq <= last => {
                    return done(self, 204, Some((current, last)));
                }
                Some((current, last)) if *epoch == current && *seq > last + 1 => return Told::Gap(last + 1, *seq),
                None | Some(_) => {}
            }
        }
        let writer_seq = request.seq.as_ref().filter(|_| !is_close_only).map(|seq| seq.to_vec());
        if writer_seq.is_some() && writer_seq <= self.last_seq {
            return Told::SeqConflict;
        }
        let unit = if is_close_only || self.content_type == "text/plain" {
            request.body.to_vec()
        } else {
            match stored(&request.body) {
                Some(unit) => unit,
                None => return Told::BadRequest,
            }
        };
        if !unit.is_empty() {
            self.units.push(unit);
        }
        self.last_seq = writer_seq.or(self.last_seq.take());
        if request.close {
            (self.is_closed, self.closed_by) = (true, claim.clone());
        }
        if let Some((id, epoch, seq)) = claim {
            self.producers.insert(id, (epoch, seq));
        }
        done(self, if is_close_only || echo.is_none() { 204 } else { 200 }, echo)
    }

    /// Reads from a boundary of units on, in parts of any size.
    fn check(&self, engine: &Engine, input: &mut Input<'_>) {
        let whole: Vec<u8> = self.units.concat();
        let first = input.below(256) % (self.units.len() + 1);
        let start: usize = self.units[..first].iter().map(Vec::len).sum();
        let from = ReadFrom::At(Position(start as u64));
        let mut reader = engine.reader(&self.path, from, false).expect("the stream is there");
        let most = 1 + input.below(64);
        let mut read = Vec::new();
        loop {
            let next = reader.next(most);
            let chunk = RUNTIME.with_borrow(|runtime| runtime.block_on(next)).expect("an issued offset");
            assert_eq!(chunk.from.0 as usize, start + read.len());
            read.extend(chunk.data.iter().flat_map(|piece| piece.to_vec()));
            assert_eq!(chunk.next.0 as usize, start + read.len());
            if chunk.up_to_date {
                assert_eq!(chunk.closed, self.is_closed);
                break;
            }
            assert!(!chunk.is_empty(), "a part that neither moves nor is up to date");
        }
        assert_eq!(read, &whole[start..]);
    }
}

/// A JSON body in stored form by `serde_json`; `None` when it is refused.
fn stored(body: &[u8]) -> Option<Vec<u8>> {
    use serde_json::value::RawValue;
    let values: Vec<&RawValue> = match serde_json::from_slice(body) {
        Ok(values) => values,
        Err(_) => vec![serde_json::from_slice(body).ok()?],
    };
    let stored: Vec<u8> =
        values.iter().flat_map(|value| [&crate::json::compact(value.get())[..], b","].concat()).collect();
    (!stored.is_empty()).then_some(stored)
}

fn poll<F: Future + ?Sized>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}
