//! The world: clients, network, server and time in one thread. An event happens when
//! nothing earlier is left; events at one moment keep the order they were planned in.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use bytes::Bytes;
use durable_streams_protocol::{
    Time,
    content_type::Framing,
    headers,
    read::LiveMode,
    request::{RequestPlan, TimeoutClass, close::Close},
    response::{ReplyHead, TransportFailureKind},
};
use durable_streams_server::path::StreamPath;
use http::Method;

use crate::{
    Bug, Report,
    history::{Format, History, Promise, Violation, judge},
    reader::{self, News, Reader, ReaderPlan},
    rng::Rng,
    server::{Client, Connection, Fate, Part, Parts, Server, ServerShape},
    store::Disk,
    trace::Trace,
    wire,
    writer::{self, Writer, WriterPlan, content_type},
};

/// When faults end and everything must settle.
const CALM_AT: Time = Time::from_secs(60);
/// When everything must have settled. Backoff, live answers and silence are all shorter.
const SETTLED_BY: Time = Time::from_secs(3600);
/// A run with more events goes in circles.
const MAX_EVENTS: u64 = 400_000;

/// What the network and the power supply do. Units: per mille.
#[derive(Debug, Clone, Copy)]
struct Weather {
    loses_request: u64,
    doubles_request: u64,
    loses_answer: u64,
    doubles_answer: u64,
    cuts_answer: u64,
    overloads: u64,
    max_delay_ms: u64,
    /// Mean time between crashes; 0 = none. Units: milliseconds.
    crash_every_ms: u64,
}

impl Weather {
    const CALM: Self = Self {
        loses_request: 0,
        doubles_request: 0,
        loses_answer: 0,
        doubles_answer: 0,
        cuts_answer: 0,
        overloads: 0,
        max_delay_ms: 5,
        crash_every_ms: 0,
    };
}

enum Event {
    Write(usize),
    PollWriter(usize),
    PollReader(usize),
    /// A request reaches the server.
    Request(Connection, Box<RequestPlan>),
    WriterAnswer(usize, u64, Box<ReplyHead>),
    WriterFailure(usize, u64, TransportFailureKind),
    ReaderNews(usize, u64, News),
    /// Nothing was heard since the count.
    Silence(usize, u64, u64, Time),
    Commit,
    LiveDeadline,
    ReaderRestart(usize),
    Crash,
    Start,
    Calm,
    Janitor,
}

struct StreamInWorld {
    path: StreamPath,
    format: Format,
    history: History,
    is_closed: bool,
}

struct World {
    now: Time,
    rng: Rng,
    trace: Trace,
    queue: BTreeMap<(Time, u64), Event>,
    planned: u64,
    weather: Weather,
    disk: Arc<Disk>,
    server: Server,
    streams: Vec<StreamInWorld>,
    writers: Vec<Writer>,
    readers: Vec<Reader>,
    /// Arrival time of the last part per connection of a reader; `None` once it is cut.
    wires: BTreeMap<Connection, Option<Time>>,
    is_commit_planned: bool,
    next_fate: Fate,
    crashes: u64,
    trouble: Vec<Violation>,
    bug: Option<Bug>,
}

/// Runs a seed to its end.
pub(crate) fn run(seed: u64, bug: Option<Bug>, is_traced: bool) -> Report {
    let mut rng = Rng::new(seed);
    let disk = Arc::new(Disk::new(bug));
    let shape = ServerShape {
        max_chunk_bytes: rng.pick(&[1, 20, 100, 1 << 20]),
        hot_bytes_per_stream: rng.pick(&[1, 64, 1 << 20]),
    };
    let refused = |detail| Report {
        seed,
        hash: 0,
        events: 0,
        messages: 0,
        acknowledged: 0,
        crashes: 0,
        violations: vec![Violation { promise: Promise::NoRefusal, detail }],
    };
    let server = match Server::new(Arc::clone(&disk), shape, bug) {
        Ok(server) => server,
        Err(detail) => return refused(detail),
    };
    let weather = weather(&mut rng);
    let mut world = World {
        now: Time::ZERO,
        rng,
        trace: Trace::new(is_traced),
        queue: BTreeMap::new(),
        planned: 0,
        weather,
        disk,
        server,
        streams: Vec::new(),
        writers: Vec::new(),
        readers: Vec::new(),
        wires: BTreeMap::new(),
        is_commit_planned: false,
        next_fate: Fate::Clean,
        crashes: 0,
        trouble: Vec::new(),
        bug,
    };
    world.trace.line(Time::ZERO, format_args!("seed {seed}: {weather:?} {shape:?}"));
    if let Err(detail) = world.populate(bug) {
        return refused(detail);
    }
    world.turn();
    world.report(seed)
}

fn weather(rng: &mut Rng) -> Weather {
    // Some runs have one kind of trouble only, so that it is not drowned by others.
    let mut some = |most: u64| if rng.chance(600) { rng.within(0, most) } else { 0 };
    Weather {
        loses_request: some(150),
        doubles_request: some(150),
        loses_answer: some(200),
        doubles_answer: some(100),
        cuts_answer: some(150),
        overloads: some(100),
        max_delay_ms: 1 + some(2000),
        crash_every_ms: some(15_000),
    }
}

impl World {
    fn populate(&mut self, bug: Option<Bug>) -> Result<(), String> {
        self.server.set_time(self.now);
        self.server.start()?;
        for stream in 0..self.rng.within(1, 3) as usize {
            let framing = self.rng.pick(&[Framing::Json, Framing::Text, Framing::Binary]);
            let path = StreamPath::parse(&format!("/s{stream}")).map_err(|error| error.to_string())?;
            self.server.create(&path, content_type(framing))?;
            let format = Format(framing);
            self.streams.push(StreamInWorld { path, format, history: History::default(), is_closed: false });
            self.add_writers(stream, format, bug);
            for _ in 0..self.rng.within(1, 3) {
                let index = self.readers.len();
                let plan = ReaderPlan {
                    stream,
                    live: self.rng.pick(&[LiveMode::Off, LiveMode::LongPoll, LiveMode::Sse, LiveMode::Auto]),
                    prefetch: self.rng.chance(500),
                    max_batch_bytes: self.rng.pick(&[16, 1 << 20]),
                };
                self.trace.line(self.now, format_args!("reader {index}: {plan:?}"));
                self.readers.push(Reader::new(index, plan, format, self.rng.next(), bug));
                self.plan_within(0, 5000, Event::PollReader(index));
                if self.rng.chance(500) {
                    self.plan_within(500, 40_000, Event::ReaderRestart(index));
                }
            }
        }
        self.plan_crash();
        self.plan_at(CALM_AT, Event::Calm);
        Ok(())
    }

    fn add_writers(&mut self, stream: usize, format: Format, bug: Option<Bug>) {
        let has_twins = self.rng.chance(350);
        for which in 0..self.rng.within(1, 3) {
            let is_twin = has_twins && which < 2;
            let index = self.writers.len();
            let plan = WriterPlan {
                stream,
                producer_id: if is_twin { "twin".to_owned() } else { format!("writer-{index}") },
                // The second twin takes over with a later epoch, as the protocol asks.
                epoch: if is_twin { which * 5 } else { self.rng.within(0, 2) },
                auto_claim: self.rng.chance(if is_twin { 500 } else { 200 }),
                max_in_flight: self.rng.within(1, 5) as usize,
                max_retries: if self.rng.chance(250) { self.rng.within(0, 2) as u32 } else { 200 },
                batches: self.rng.within(1, 30),
                closes: self.rng.chance(300),
                restarts: !is_twin && self.rng.chance(500),
            };
            self.trace.line(self.now, format_args!("writer {index}: {plan:?}"));
            self.writers.push(Writer::new(index, plan, format, self.rng.next(), bug));
            let starts = if is_twin { which * 8000 } else { 0 };
            self.plan_within(starts, starts + 4000, Event::Write(index));
        }
    }

    fn turn(&mut self) {
        let mut count = 0;
        while let Some(((at, _), event)) = self.queue.pop_first() {
            count += 1;
            if at > SETTLED_BY || count > MAX_EVENTS {
                break;
            }
            self.now = at;
            self.server.set_time(at);
            self.happen(event);
            if self.writers.iter().all(Writer::is_done) && self.readers.iter().all(Reader::is_done) {
                return;
            }
        }
        let writers: Vec<_> = (0..self.writers.len()).filter(|index| !self.writers[*index].is_done()).collect();
        let readers: Vec<_> = (0..self.readers.len()).filter(|index| !self.readers[*index].is_done()).collect();
        let detail = format!("after {count} events, writers {writers:?} and readers {readers:?} are not done");
        self.trouble.push(Violation { promise: Promise::EverythingSettles, detail });
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Write(index) => {
                if self.writers[index].write(&mut self.rng) {
                    self.plan_within(1, 1500, Event::Write(index));
                }
                self.poll_writer(index);
            }
            Event::PollWriter(index) => self.poll_writer(index),
            Event::PollReader(index) => self.poll_reader(index),
            Event::Request(connection, plan) => self.arrive(connection, &plan),
            Event::WriterAnswer(index, attempt, head) => {
                self.note(format_args!("writer {index} #{attempt} answered {}", head.status));
                self.writers[index].answered(self.now, attempt, &head);
                self.poll_writer(index);
            }
            Event::WriterFailure(index, attempt, kind) => {
                self.writers[index].failed(self.now, attempt, kind);
                self.poll_writer(index);
            }
            Event::ReaderNews(index, exchange, news) => {
                self.note(format_args!("reader {index} #{exchange} {}", described(&news)));
                self.readers[index].arrived(exchange, news);
                self.poll_reader(index);
            }
            Event::Silence(index, exchange, heard, limit) => {
                match self.readers[index].heard(exchange) {
                    Some(count) if count == heard => {
                        self.note(format_args!("reader {index} #{exchange} is silent"));
                        self.readers[index].arrived(exchange, News::Failed(TransportFailureKind::Timeout));
                        self.poll_reader(index);
                    }
                    Some(count) => self.plan_in(limit, Event::Silence(index, exchange, count, limit)),
                    None => {}
                };
            }
            Event::Commit => self.commit(),
            Event::LiveDeadline => {
                let parts = self.server.serve_live(self.now, &mut self.rng);
                self.deliver(parts);
            }
            Event::ReaderRestart(index) => {
                self.note(format_args!("reader {index} restarts"));
                let stream = self.readers[index].plan.stream;
                self.readers[index].restart(&mut self.streams[stream].history);
                self.poll_reader(index);
                if self.now < CALM_AT {
                    self.plan_within(500, 30_000, Event::ReaderRestart(index));
                }
            }
            Event::Crash => self.crash(),
            Event::Start => {
                self.note(format_args!("server starts"));
                if let Err(detail) = self.server.start() {
                    self.trouble.push(Violation { promise: Promise::NoRefusal, detail });
                }
            }
            Event::Calm => {
                self.note(format_args!("calm"));
                self.weather = Weather::CALM;
                self.next_fate = Fate::Clean;
                self.plan_in(Time::from_secs(1), Event::Janitor);
            }
            Event::Janitor => self.close_what_is_left(),
        }
    }

    // --- clients ---

    fn poll_writer(&mut self, index: usize) {
        let had_restarted = self.writers[index].has_restarted();
        loop {
            let (now, trace) = (self.now, &mut self.trace);
            let history = &mut self.streams[self.writers[index].plan.stream].history;
            let note = |text| trace.line(now, format_args!("writer {index}: {text}"));
            match self.writers[index].next(now, history, note) {
                writer::Move::Send { attempt, plan, note } => {
                    self.note(format_args!("writer {index} #{attempt} sends {note}"));
                    self.send_write(index, attempt, plan);
                }
                writer::Move::Wait(until) => {
                    if let Some(at) = until {
                        self.plan_at(at, Event::PollWriter(index));
                    }
                    break;
                }
            }
        }
        if self.writers[index].has_restarted() && !had_restarted {
            self.note(format_args!("writer {index} restarts"));
            self.plan_within(1, 3000, Event::Write(index));
        }
    }

    fn poll_reader(&mut self, index: usize) {
        loop {
            let (now, trace) = (self.now, &mut self.trace);
            match self.readers[index].next(now, |text| trace.line(now, format_args!("reader {index}: {text}"))) {
                reader::Move::Send { exchange, plan } => {
                    self.note(format_args!("reader {index} #{exchange} asks {:?}", plan.query));
                    self.send_read(index, exchange, plan);
                }
                reader::Move::Wait(until) => {
                    if let Some(at) = until {
                        self.plan_at(at, Event::PollReader(index));
                    }
                    return;
                }
            }
        }
    }

    /// Every stream ends, so that "a reader sees everything" can be asked.
    fn close_what_is_left(&mut self) {
        for stream in 0..self.streams.len() {
            let is_written = self.writers.iter().filter(|writer| writer.plan.stream == stream).all(Writer::is_done);
            if is_written
                && !self.streams[stream].is_closed
                && let Ok(plan) = Close::default().plan()
            {
                let connection = Connection { client: Client::Janitor(stream), exchange: 0 };
                self.arrive(connection, &plan);
            }
        }
        if !self.streams.iter().all(|stream| stream.is_closed) {
            self.plan_in(Time::from_secs(5), Event::Janitor);
        }
    }

    // --- network ---

    fn delay(&mut self) -> Time {
        let most = self.weather.max_delay_ms;
        // Most are quick; some overtake and some are overtaken by far.
        if self.rng.chance(200) { self.rng.millis(0, most) } else { self.rng.millis(0, most.div_ceil(20)) }
    }

    fn send_write(&mut self, index: usize, attempt: u64, plan: Box<RequestPlan>) {
        let connection = Connection { client: Client::Writer(index), exchange: attempt };
        self.plan_in(Time::from_secs(5), Event::WriterFailure(index, attempt, TransportFailureKind::Timeout));
        if self.rng.chance(self.weather.doubles_request) {
            let late = self.delay() + self.delay();
            let stream = self.writers[index].plan.stream;
            let copy = Connection { client: Client::Nobody(stream), exchange: attempt };
            self.plan_in(late, Event::Request(copy, plan.clone()));
        }
        let delay = self.delay();
        if !self.rng.chance(self.weather.loses_request) {
            self.plan_in(delay, Event::Request(connection, plan));
        } else if self.rng.chance(500) {
            self.plan_in(delay, Event::WriterFailure(index, attempt, TransportFailureKind::Broken));
        }
    }

    fn send_read(&mut self, index: usize, exchange: u64, plan: Box<RequestPlan>) {
        let limit = match plan.timeout {
            TimeoutClass::OneShot => Time::from_secs(5),
            TimeoutClass::LongPoll => Time::from_secs(25),
            TimeoutClass::Streaming => Time::from_secs(90),
        };
        if self.bug != Some(Bug::ClientWaitsForever) {
            self.plan_in(limit, Event::Silence(index, exchange, 0, limit));
        }
        let delay = self.delay();
        if !self.rng.chance(self.weather.loses_request) {
            let connection = Connection { client: Client::Reader(index), exchange };
            self.plan_in(delay, Event::Request(connection, plan));
        } else if self.rng.chance(500) {
            self.plan_in(delay, Event::ReaderNews(index, exchange, News::Failed(TransportFailureKind::Connect)));
        }
    }

    fn stream_of(&self, connection: Connection) -> usize {
        match connection.client {
            Client::Writer(index) => self.writers[index].plan.stream,
            Client::Reader(index) => self.readers[index].plan.stream,
            Client::Janitor(stream) | Client::Nobody(stream) => stream,
        }
    }

    fn arrive(&mut self, connection: Connection, plan: &RequestPlan) {
        self.note(format_args!("{connection:?} arrives"));
        if !self.server.is_up() {
            self.break_off(connection, TransportFailureKind::Connect);
            return;
        }
        if self.rng.chance(self.weather.overloads) {
            self.deliver(vec![(connection, Part::Head(wire::overloaded())), (connection, Part::End)]);
            return;
        }
        let path = self.streams[self.stream_of(connection)].path.clone();
        let parts = self.server.take(self.now, connection, &path, plan, &mut self.rng);
        self.deliver(parts);
        if plan.method != Method::GET && !self.is_commit_planned {
            self.is_commit_planned = true;
            self.plan_within(0, 20, Event::Commit);
        }
        if let Some(at) = self.server.next_deadline() {
            self.plan_at(at, Event::LiveDeadline);
        }
    }

    fn deliver(&mut self, parts: Parts) {
        for (connection, part) in parts {
            match connection.client {
                Client::Nobody(_) => {}
                Client::Janitor(stream) => {
                    if let Part::Head(head) = part
                        && head.status.is_success()
                    {
                        let end = headers::text(&head.headers, &headers::STREAM_NEXT_OFFSET).map(str::to_owned);
                        self.streams[stream].is_closed = true;
                        self.streams[stream].history.closed_at.push(end);
                    }
                }
                Client::Writer(index) => {
                    if let Part::Head(head) = part {
                        self.answer_writer(index, connection, head);
                    }
                }
                Client::Reader(index) => self.answer_reader(index, connection, part),
            }
        }
    }

    fn answer_writer(&mut self, index: usize, connection: Connection, head: ReplyHead) {
        if self.rng.chance(self.weather.loses_answer) {
            self.break_off(connection, TransportFailureKind::Broken);
            return;
        }
        let copies = if self.rng.chance(self.weather.doubles_answer) { 2 } else { 1 };
        for _ in 0..copies {
            let delay = self.delay();
            self.plan_in(delay, Event::WriterAnswer(index, connection.exchange, Box::new(head.clone())));
        }
    }

    /// Parts of one answer keep their order; the connection may break between or within
    /// them.
    fn answer_reader(&mut self, index: usize, connection: Connection, part: Part) {
        let not_before = match self.wires.get(&connection) {
            Some(None) => return,
            Some(Some(at)) => *at,
            None => Time::ZERO,
        };
        let mut at = not_before.max(self.now + self.delay());
        let is_cut = self.rng.chance(self.weather.cuts_answer);
        let mut pieces = match part {
            Part::Head(head) => vec![News::Head(head)],
            Part::End => vec![News::End],
            Part::Piece(piece) => split(piece, &mut self.rng).into_iter().map(News::Piece).collect(),
        };
        if is_cut {
            pieces.pop();
        }
        for news in pieces {
            self.plan_at(at, Event::ReaderNews(index, connection.exchange, news));
            at += self.rng.millis(0, 2);
        }
        self.wires.insert(connection, (!is_cut).then_some(at));
        if is_cut && self.rng.chance(700) {
            let broken = News::Failed(TransportFailureKind::Broken);
            self.plan_at(at, Event::ReaderNews(index, connection.exchange, broken));
        }
    }

    /// The client learns of it, or hears nothing until its own limit.
    fn break_off(&mut self, connection: Connection, kind: TransportFailureKind) {
        if !self.rng.chance(700) && self.weather.max_delay_ms > Weather::CALM.max_delay_ms {
            return;
        }
        let delay = self.delay();
        match connection.client {
            Client::Writer(index) => {
                self.plan_in(delay, Event::WriterFailure(index, connection.exchange, kind));
            }
            Client::Reader(index) => {
                let at = (self.now + delay).max(self.wires.get(&connection).copied().flatten().unwrap_or_default());
                self.wires.insert(connection, None);
                self.plan_at(at, Event::ReaderNews(index, connection.exchange, News::Failed(kind)));
            }
            Client::Janitor(_) | Client::Nobody(_) => {}
        }
    }

    // --- server ---

    fn commit(&mut self) {
        self.is_commit_planned = false;
        let fate = std::mem::replace(&mut self.next_fate, Fate::Clean);
        let parts = self.server.commit(fate, self.now, &mut self.rng);
        self.note(format_args!("commit {fate:?}, {} parts", parts.len()));
        if fate == Fate::Clean {
            self.deliver(parts);
        } else {
            self.go_down();
        }
    }

    fn crash(&mut self) {
        self.plan_crash();
        if !self.server.is_up() || self.now >= CALM_AT {
            return;
        }
        match self.rng.within(0, 3) {
            0 => self.next_fate = Fate::LostBefore,
            1 => self.next_fate = Fate::LostAfter,
            2 => {
                self.note(format_args!("server stops"));
                let parts = self.server.stop(self.now, &mut self.rng);
                self.deliver(parts);
                self.crashes += 1;
                self.plan_within(10, 2000, Event::Start);
            }
            _ => self.go_down(),
        }
    }

    fn go_down(&mut self) {
        let broken = self.server.crash();
        self.note(format_args!("server is down, {} connections break", broken.len()));
        self.crashes += 1;
        for connection in broken {
            self.break_off(connection, TransportFailureKind::Broken);
        }
        self.plan_within(10, 3000, Event::Start);
    }

    fn plan_crash(&mut self) {
        if self.weather.crash_every_ms > 0 {
            let most = self.weather.crash_every_ms * 2;
            self.plan_within(50, most.max(51), Event::Crash);
        }
    }

    // --- time ---

    fn plan_at(&mut self, at: Time, event: Event) {
        self.queue.insert((at.max(self.now), self.planned), event);
        self.planned += 1;
    }

    fn plan_in(&mut self, delay: Time, event: Event) {
        self.plan_at(self.now + delay, event);
    }

    fn plan_within(&mut self, from_ms: u64, to_ms: u64, event: Event) {
        let delay = self.rng.millis(from_ms, to_ms);
        self.plan_in(delay, event);
    }

    fn note(&mut self, text: std::fmt::Arguments<'_>) {
        self.trace.line(self.now, text);
    }

    fn report(mut self, seed: u64) -> Report {
        let mut violations = std::mem::take(&mut self.trouble);
        for reader in &self.readers {
            if let Some(detail) = reader.refusal() {
                violations.push(Violation { promise: Promise::NoRefusal, detail: detail.to_owned() });
            }
            self.streams[reader.plan.stream].history.reads.push(reader.seen());
        }
        let ids: BTreeMap<usize, String> =
            self.writers.iter().enumerate().map(|(index, writer)| (index, writer.plan.producer_id.clone())).collect();
        let (mut messages, mut acknowledged) = (0, 0);
        for stream in &self.streams {
            let units = self.disk.units(stream.path.as_str());
            violations.extend(judge(stream.path.as_str(), stream.format, &stream.history, &units, &ids));
            messages += stream.history.sent.len();
            acknowledged += stream.history.acknowledged.len();
            for unit in &units {
                let text = format!("{} {} {:?} {}", stream.path, unit.at.0, unit.data, unit.closes);
                self.trace.line(self.now, format_args!("{text}"));
            }
        }
        let promises: BTreeSet<_> = violations.iter().map(|violation| violation.promise).collect();
        self.trace.line(self.now, format_args!("broken: {promises:?}"));
        let (hash, events) = (self.trace.hash(), self.trace.lines());
        Report { seed, hash, events, messages, acknowledged, crashes: self.crashes, violations }
    }
}

/// A piece as the network cuts it.
fn split(piece: Bytes, rng: &mut Rng) -> Vec<Bytes> {
    if piece.len() < 2 || rng.chance(500) {
        return vec![piece];
    }
    let at = rng.within(1, piece.len() as u64 - 1) as usize;
    vec![piece.slice(..at), piece.slice(at..)]
}

fn described(news: &News) -> String {
    match news {
        News::Head(head) => format!("hears {}", head.status),
        News::Piece(piece) => format!("hears {} bytes", piece.len()),
        News::End => "hears the end".to_owned(),
        News::Failed(kind) => format!("fails: {kind:?}"),
    }
}
