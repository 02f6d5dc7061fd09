//! One scenario being played.

use std::time::{Duration, Instant};

use base64::{Engine, engine::general_purpose::STANDARD};
use durable_streams_conformance::adapter::Adapter;
use serde_json::{Value, json};

use super::{
    direct,
    judge::{self, Book, Write},
};
use crate::{
    flaws::Kind,
    host::Place,
    proxy::{Proxy, Settings, record::Exchange},
    scenario::{Action, Command, Count, Expect, Messages, Scenario, Step, Stored},
};

/// More requests than any scenario needs: a client that sends more does so without end.
const MOST_REQUESTS: usize = 60;
/// How often a client that never gives up is feigned to try again.
const ENDLESS: usize = 3;
/// How long a read may take when the scenario does not say. Units: ms.
const READ_MS: u64 = 10_000;
/// How long to wait for a request that must come.
const PATIENCE: Duration = Duration::from_secs(20);

/// The client, both listeners, and what was written and read.
pub(super) struct World<'w> {
    scenario: &'w Scenario,
    adapter: &'w mut Adapter,
    /// What one command may take.
    timeout: Duration,
    /// A flaw of the client to feign.
    flaw: Option<Kind>,
    proxy: Proxy,
    foreign: Proxy,
    prefix: String,
    /// Below the server's URL.
    path: String,
    started: Instant,
    book: Book,
    reader: Reader,
    /// Names of headers that the client was given.
    secrets: Vec<String>,
    armed: Vec<Armed>,
    background: Option<Instant>,
}

/// What was read so far.
#[derive(Default)]
struct Reader {
    pieces: Vec<Vec<u8>>,
    offset: Option<String>,
    /// Messages that the stream had where it began.
    first: usize,
}

struct Armed {
    line: usize,
    fault: &'static str,
    rule: u64,
    is_foreign: bool,
    may_miss: bool,
}

impl<'w> World<'w> {
    /// A world in which nothing has happened.
    pub(super) async fn new(
        scenario: &'w Scenario,
        adapter: &'w mut Adapter,
        server: &Place,
        timeout: Duration,
        flaw: Option<Kind>,
    ) -> Result<Self, String> {
        let listen = |foreign| async {
            let settings = Settings { server: server.address, foreign, restart: server.restart.clone(), flaw };
            Proxy::start(settings).await.map_err(|error| format!("no port: {error}"))
        };
        let foreign = listen(None).await?;
        let proxy = listen(Some(foreign.origin())).await?;
        let unique = proxy.address().port();
        let path = format!("/faults-{}-{unique}-{}", scenario.id.replace('/', "-"), std::process::id());
        Ok(Self {
            scenario,
            adapter,
            timeout,
            flaw,
            proxy,
            foreign,
            prefix: server.prefix.clone(),
            path,
            started: Instant::now(),
            book: Book::of(&scenario.content_type),
            reader: Reader::default(),
            secrets: Vec::new(),
            armed: Vec::new(),
            background: None,
        })
    }

    /// Plays all steps and judges.
    /// Errors: what did not hold, with its place.
    pub(super) async fn play(&mut self) -> Result<(), String> {
        let scenario = self.scenario;
        let file = &scenario.place.file;
        let url = format!("{}{}", self.proxy.origin(), self.prefix);
        let init = json!({"type": "init", "serverUrl": url, "timeoutMs": self.timeout.as_millis() as u64});
        self.ask(&init).await?;
        if scenario.exists {
            let headers = [("content-type", scenario.content_type.as_str())];
            let created = direct::ask(self.proxy.server(), "PUT", &self.target(), &headers, &[]).await?;
            if created.status != 201 {
                return Err(format!("the server answers {} to the creation of {}", created.status, self.path));
            }
            // Adapters know a stream's type from what they have seen of it.
            self.ask(&json!({"type": "connect", "path": self.path})).await?;
        }
        for step in &scenario.steps {
            self.step(step).await.map_err(|why| format!("{file}:{}: {why}", step.line))?;
        }
        if self.background.is_some() {
            return Err(format!("{file}: a read is left in the background"));
        }
        self.judge().await.map_err(|why| format!("afterwards: {why}"))
    }

    /// What came to both listeners.
    pub(super) fn requests(&self) -> (Vec<Exchange>, Vec<Exchange>) {
        let (requests, mut foreign) = (self.proxy.record().all(), self.foreign.record().all());
        if self.flaw == Some(Kind::Leaks) {
            for (there, here) in foreign.iter_mut().zip(&requests) {
                there.headers.extend(here.headers.clone());
            }
        }
        (requests, foreign)
    }

    async fn step(&mut self, step: &Step) -> Result<(), String> {
        for faulty in &step.faults {
            let listener = if faulty.is_foreign { &self.foreign } else { &self.proxy };
            self.armed.push(Armed {
                line: faulty.line,
                fault: faulty.rule.fault.name(),
                rule: listener.arm(faulty.rule.clone()),
                is_foreign: faulty.is_foreign,
                may_miss: faulty.may_miss,
            });
        }
        let started = Instant::now();
        match &step.action {
            Action::Client(command) => self.command(step, command).await?,
            Action::ServerAppend(messages) => self.server_append(step.line, *messages).await?,
            Action::ServerClose => {
                let answer =
                    direct::ask(self.proxy.server(), "POST", &self.target(), &[("stream-closed", "true")], &[]).await?;
                if answer.status != 204 {
                    return Err(format!("the server answers {} to a close", answer.status));
                }
            }
            Action::Outage(outage) => self.proxy.outage(*outage).await,
            Action::Until(of, count, answered) => {
                let is_met = |exchange: &&Exchange| exchange.is(of) && (!answered || exchange.answered.is_some());
                let came = |all: &[Exchange]| all.iter().filter(is_met).count() as u64 >= *count;
                if !self.proxy.record().until(PATIENCE, came).await {
                    return Err(format!("{count} such requests did not come within {PATIENCE:?}"));
                }
            }
            Action::Disarm => {
                self.proxy.disarm();
                self.foreign.disarm();
            }
            Action::Await => {
                let since = self.background.take().ok_or("there is no read in the background")?;
                let limit = self.timeout + Duration::from_millis(READ_MS);
                let mut result = self.adapter.answer("read", limit).await.map_err(|error| error.to_string())?;
                if let Some(flaw) = self.flaw {
                    flaw.result(&mut result);
                }
                self.check(&step.expect, &result, since.elapsed())?;
                return self.take_read(&step.expect, &result).await;
            }
        }
        match (step.expect.within, started.elapsed()) {
            (Some(within), took) if took > within => Err(format!("it took {took:?}, more than {within:?}")),
            _ => Ok(()),
        }
    }

    async fn command(&mut self, step: &Step, command: &Command) -> Result<(), String> {
        let mut fields = command.fields.clone();
        fields.insert("type".to_owned(), command.kind.into());
        fields.insert("path".to_owned(), self.path.clone().into());
        self.learn_secrets(command);
        if command.kind == "read" {
            return self.read(step, command, fields.into()).await;
        }
        let one_each = matches!(command.kind, "append" | "idempotent-append");
        let Messages { count, size } = command.messages;
        let rounds = if one_each { count.max(1) } else { 1 };
        for _ in 0..rounds {
            let numbers = self.book.write(if one_each { 1 } else { count }, size);
            let texts: Vec<_> = numbers.clone().map(|number| self.book.text(number).to_owned()).collect();
            let mut command_line = fields.clone();
            match command.kind {
                "idempotent-append-batch" => drop(command_line.insert("items".to_owned(), texts.into())),
                // The body of a creation is sent as it is, a message is wrapped by the client.
                "create" if count > 0 && self.book.is_json() => {
                    drop(command_line.insert("data".to_owned(), format!("[{}]", texts.join(",")).into()));
                }
                _ if count > 0 => drop(command_line.insert("data".to_owned(), texts.concat().into())),
                _ => {}
            }
            let started = Instant::now();
            let result = self.ask(&command_line.into()).await?;
            let succeeded = result["success"] == true;
            let stored = step.expect.stored.unwrap_or(if succeeded { Stored::All } else { Stored::Some });
            self.book.note(Write { line: step.line, first: numbers.start, end: numbers.end, stored });
            self.check(&step.expect, &result, started.elapsed())?;
        }
        Ok(())
    }

    async fn read(&mut self, step: &Step, command: &Command, mut fields: Value) -> Result<(), String> {
        if fields["offset"] == "resume" {
            let held = self.reader.offset.clone().filter(|_| self.flaw != Some(Kind::Forgets));
            fields["offset"] = held.unwrap_or_else(|| "-1".to_owned()).into();
        } else {
            self.reader = Reader::default();
            if fields["offset"] == "now" {
                self.reader.first = self.stored().await?.map_or(0, |(numbers, _)| numbers.len());
            }
        }
        if fields["timeoutMs"].is_null() {
            fields["timeoutMs"] = READ_MS.into();
        }
        if command.is_background {
            if self.background.is_some() {
                return Err("only one read in the background".to_owned());
            }
            self.background = Some(Instant::now());
            return self.adapter.send(&fields).await.map_err(|error| error.to_string());
        }
        let started = Instant::now();
        let result = self.ask(&fields).await?;
        self.check(&step.expect, &result, started.elapsed())?;
        self.take_read(&step.expect, &result).await
    }

    /// Adds what a read brought to what was read before, and compares it with what there is.
    async fn take_read(&mut self, expect: &Expect, result: &Value) -> Result<(), String> {
        if result["success"] != true {
            return Ok(());
        }
        for chunk in result["chunks"].as_array().into_iter().flatten() {
            let data = chunk["data"].as_str().unwrap_or_default();
            let piece = if chunk["binary"] == true {
                STANDARD.decode(data).map_err(|error| format!("a binary chunk is not base64: {error}"))?
            } else {
                data.as_bytes().to_vec()
            };
            self.reader.pieces.push(piece);
        }
        self.reader.offset = result["offset"].as_str().map(str::to_owned);
        let seen = self.book.numbers(&self.reader.pieces)?;
        let stored = self.stored().await?.map(|(numbers, _)| numbers).unwrap_or_default();
        let expected = stored.get(self.reader.first..).unwrap_or_default();
        judge::read_right(&seen, expected, expect.complete)
    }

    /// Compares a result with what is expected of it.
    fn check(&self, expect: &Expect, result: &Value, took: Duration) -> Result<(), String> {
        if result["success"] == true {
            if !expect.may_succeed {
                return Err(format!("it succeeded, expected was one of {:?}", expect.codes));
            }
            let closed = result["streamClosed"].as_bool();
            if expect.closed.is_some() && closed != expect.closed {
                return Err(format!("`streamClosed` is {closed:?}, expected was {:?}", expect.closed));
            }
        } else {
            let code = result["errorCode"].as_str().unwrap_or_default();
            if !expect.codes.iter().any(|right| right == code) {
                return Err(format!("{code}: {}; expected was {:?}", result["message"], expect.codes));
            }
            let status = result["status"].as_u64();
            if !expect.statuses.is_empty() && !status.is_some_and(|status| expect.statuses.contains(&status)) {
                return Err(format!("the status is {status:?}, expected was one of {:?}", expect.statuses));
            }
        }
        if let Some(after) = expect.after.filter(|after| took < *after) {
            return Err(format!("it took {took:?}, less than {after:?}"));
        }
        Ok(())
    }

    async fn server_append(&mut self, line: usize, messages: Messages) -> Result<(), String> {
        for _ in 0..messages.count {
            let numbers = self.book.write(1, messages.size);
            let headers = [("content-type", self.scenario.content_type.as_str())];
            let text = self.book.text(numbers.start).to_owned();
            let answer = direct::ask(self.proxy.server(), "POST", &self.target(), &headers, text.as_bytes()).await?;
            if !matches!(answer.status, 200 | 204) {
                return Err(format!("the server answers {} to an append", answer.status));
            }
            self.book.note(Write { line, first: numbers.start, end: numbers.end, stored: Stored::All });
        }
        Ok(())
    }

    /// What must hold of every scenario, and what this one asks for.
    async fn judge(&self) -> Result<(), String> {
        if let Some(trouble) = self.proxy.trouble().or_else(|| self.foreign.trouble()) {
            return Err(trouble);
        }
        for armed in self.armed.iter().filter(|armed| !armed.may_miss) {
            let listener = if armed.is_foreign { &self.foreign } else { &self.proxy };
            if listener.fired(armed.rule) == 0 {
                return Err(format!("the fault {} of line {} never happened", armed.fault, armed.line));
            }
        }
        let holds = &self.scenario.holds;
        match self.stored().await? {
            None if holds.gone => {}
            None => return Err("the server has no stream".to_owned()),
            Some(_) if holds.gone => return Err("the server still has the stream".to_owned()),
            Some((numbers, is_closed)) => {
                self.book.judge(&numbers)?;
                if holds.closed.is_some_and(|wanted| wanted != is_closed) {
                    return Err(format!("the stream is {}", if is_closed { "closed" } else { "open" }));
                }
            }
        }
        let (requests, foreign) = self.requests();
        counts(&requests, &holds.requests, "requests")?;
        counts(&foreign, &holds.foreign, "requests to the foreign origin")?;
        judge::keeps_secrets(&foreign, &self.secrets)?;
        judge::waits(&requests)?;
        judge::bounded(&requests, MOST_REQUESTS, self.started.elapsed())
    }

    /// Messages the server has, and whether the stream is closed.
    async fn stored(&self) -> Result<Option<(Vec<usize>, bool)>, String> {
        let Some(content) = direct::content(self.proxy.server(), &self.target()).await? else { return Ok(None) };
        let pieces: Vec<_> = content.bodies.iter().map(|body| body.to_vec()).collect();
        let numbers = self.book.numbers(&pieces).map_err(|why| format!("the server's data: {why}"))?;
        Ok(Some((numbers, content.is_closed)))
    }

    fn learn_secrets(&mut self, command: &Command) {
        if let Some(headers) = command.fields.get("headers").and_then(Value::as_object) {
            self.secrets.extend(headers.keys().map(|name| name.to_ascii_lowercase()));
        }
        if command.kind == "set-dynamic-header"
            && let Some(name) = command.fields.get("name").and_then(Value::as_str)
        {
            self.secrets.push(name.to_ascii_lowercase());
        }
    }

    async fn ask(&mut self, command: &Value) -> Result<Value, String> {
        if self.background.is_some() {
            return Err("the adapter is busy with a read; await it first".to_owned());
        }
        let limit = self.timeout + Duration::from_millis(command["timeoutMs"].as_u64().unwrap_or_default());
        let mut result = self.adapter.command(command, limit).await.map_err(|error| error.to_string())?;
        if self.flaw == Some(Kind::Endless) {
            for _ in 0..ENDLESS {
                if result["success"] == true {
                    break;
                }
                result = self.adapter.command(command, limit).await.map_err(|error| error.to_string())?;
            }
        }
        if let Some(flaw) = self.flaw {
            flaw.result(&mut result);
        }
        Ok(result)
    }

    /// Path of the stream on the server.
    fn target(&self) -> String {
        format!("{}{}", self.prefix, self.path)
    }
}

fn counts(requests: &[Exchange], wanted: &[Count], what: &str) -> Result<(), String> {
    for count in wanted {
        let came = requests.iter().filter(|exchange| exchange.is(&count.of)).count() as u64;
        if came < count.at_least || came > count.at_most {
            let most = if count.at_most == u64::MAX { "any number".to_owned() } else { count.at_most.to_string() };
            return Err(format!("{came} {what} like line {}, expected were {} to {most}", count.line, count.at_least));
        }
    }
    Ok(())
}
