//! The process that carries the client under test: JSON lines in, JSON lines out.

use std::{collections::BTreeSet, process::Stdio, time::Duration};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    process::{Child, ChildStdin, Command},
    sync::mpsc,
};

/// A running adapter.
pub struct Adapter {
    child: Child,
    stdin: ChildStdin,
    lines: mpsc::UnboundedReceiver<String>,
    /// Who it says it is.
    pub name: String,
    /// Which version.
    pub version: String,
    features: BTreeSet<String>,
}

/// Why an adapter cannot be used any more.
#[derive(Debug, Clone, thiserror::Error)]
pub enum AdapterError {
    /// It did not start.
    #[error("cannot start the adapter {0}: {1}")]
    Start(String, String),
    /// It ended.
    #[error("the adapter ended during `{0}`")]
    Gone(String),
    /// It did not answer.
    #[error("the adapter did not answer `{0}` within {1:?}")]
    Late(String, Duration),
    /// It wrote something that is no result.
    #[error("the adapter wrote {0:?} to standard output, which is for results only")]
    Noise(String),
    /// Its answer breaks the adapter protocol.
    #[error("the answer to `{0}` breaks the adapter protocol: {1}; it was {2}")]
    Shape(String, String, String),
}

/// How to start an adapter.
#[derive(Debug, Clone)]
pub struct AdapterCommand {
    /// Program and arguments.
    pub words: Vec<String>,
    /// What one command may take.
    pub timeout: Duration,
}

impl AdapterCommand {
    /// Reads a command line: a program that exists as it is written, or words. Further
    /// arguments are taken as they are; with them the line is the program alone.
    pub fn parse(line: &str, arguments: &[String], timeout: Duration) -> Self {
        let mut words = if !arguments.is_empty() || std::path::Path::new(line).exists() {
            vec![line.to_owned()]
        } else {
            line.split_whitespace().map(str::to_owned).collect()
        };
        words.extend_from_slice(arguments);
        Self { words, timeout }
    }

    /// The command that introduces a server, and makes an adapter forget everything else.
    pub fn init(&self, server_url: &str) -> Value {
        json!({"type": "init", "serverUrl": server_url, "timeoutMs": self.timeout.as_millis() as u64})
    }

    /// Starts the adapter and introduces the server to it.
    pub async fn start(&self, server_url: &str) -> Result<Adapter, AdapterError> {
        let shown = self.words.join(" ");
        let fail = |why: String| AdapterError::Start(shown.clone(), why);
        let (program, arguments) = self.words.split_first().ok_or_else(|| fail("no program is named".to_owned()))?;
        let mut child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| fail(error.to_string()))?;
        let (Some(stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(fail("it has no standard streams".to_owned()));
        };
        let (sender, lines) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            let mut reader = BufReader::new(stdout).lines();
            while let Ok(Some(line)) = reader.next_line().await {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        let mut adapter =
            Adapter { child, stdin, lines, name: String::new(), version: String::new(), features: BTreeSet::new() };
        let answer = adapter.command(&self.init(server_url), self.timeout).await?;
        adapter.introduce(&answer)?;
        Ok(adapter)
    }
}

impl Adapter {
    /// Whether it declared a feature, in whichever spelling.
    pub fn has(&self, feature: &str) -> bool {
        self.features.contains(&plain(feature))
    }

    /// Sends a command and waits for its result.
    pub async fn command(&mut self, command: &Value, timeout: Duration) -> Result<Value, AdapterError> {
        self.send(command).await?;
        self.answer(command["type"].as_str().unwrap_or_default(), timeout).await
    }

    /// Sends a command without waiting.
    pub async fn send(&mut self, command: &Value) -> Result<(), AdapterError> {
        if let Ok(line) = self.lines.try_recv() {
            return Err(AdapterError::Noise(line));
        }
        // Line separators of other alphabets must not look like the end of the line.
        let line = command.to_string().replace('\u{2028}', "\\u2028").replace('\u{2029}', "\\u2029") + "\n";
        let gone = || AdapterError::Gone(command["type"].as_str().unwrap_or_default().to_owned());
        self.stdin.write_all(line.as_bytes()).await.map_err(|_| gone())?;
        self.stdin.flush().await.map_err(|_| gone())
    }

    /// Waits for the result of the command sent last.
    pub async fn answer(&mut self, command: &str, timeout: Duration) -> Result<Value, AdapterError> {
        let line = tokio::time::timeout(timeout, self.lines.recv())
            .await
            .map_err(|_| AdapterError::Late(command.to_owned(), timeout))?
            .ok_or_else(|| AdapterError::Gone(command.to_owned()))?;
        let result: Value = serde_json::from_str(&line).map_err(|_| AdapterError::Noise(line.clone()))?;
        match shape(command, &result) {
            Ok(()) => Ok(result),
            Err(why) => Err(AdapterError::Shape(command.to_owned(), why, line)),
        }
    }

    /// Ends it in order.
    pub async fn stop(mut self) -> Result<(), AdapterError> {
        const PATIENCE: Duration = Duration::from_secs(5);
        self.command(&json!({"type": "shutdown"}), PATIENCE).await?;
        let Self { mut child, stdin, .. } = self;
        drop(stdin);
        match tokio::time::timeout(PATIENCE, child.wait()).await {
            Ok(_) => Ok(()),
            Err(_) => Err(AdapterError::Late("exit".to_owned(), PATIENCE)),
        }
    }

    /// Ends it at once.
    pub async fn kill(mut self) {
        // Ended already is as good.
        let _ = self.child.kill().await;
    }

    fn introduce(&mut self, answer: &Value) -> Result<(), AdapterError> {
        let broken = |why: &str| AdapterError::Shape("init".to_owned(), why.to_owned(), answer.to_string());
        let text = |key: &str| answer[key].as_str().map(str::to_owned);
        self.name = text("clientName").ok_or_else(|| broken("`clientName` is missing"))?;
        self.version = text("clientVersion").ok_or_else(|| broken("`clientVersion` is missing"))?;
        if let Some(features) = answer["features"].as_object() {
            self.features =
                features.iter().filter(|(_, value)| **value == Value::Bool(true)).map(|(key, _)| plain(key)).collect();
        }
        Ok(())
    }
}

/// A feature's name without the differences between its spellings.
pub fn plain(feature: &str) -> String {
    feature.replace('-', "").to_ascii_lowercase()
}

/// Checks that a result has what adapter-protocol §2 makes mandatory, in the right types.
fn shape(command: &str, result: &Value) -> Result<(), String> {
    let Some(fields) = result.as_object() else { return Err("it is not an object".to_owned()) };
    let kind = fields.get("type").and_then(Value::as_str).unwrap_or_default();
    let success = fields.get("success").and_then(Value::as_bool);
    if fields.values().any(Value::is_null) {
        return Err("unset fields must be absent, not null".to_owned());
    }
    if kind == "error" {
        if success != Some(false) {
            return Err("an error needs `success: false`".to_owned());
        }
        for key in ["commandType", "errorCode", "message"] {
            if !fields.get(key).is_some_and(Value::is_string) {
                return Err(format!("an error needs `{key}`"));
            }
        }
        if fields["commandType"] != command {
            return Err(format!("`commandType` must be {command:?}"));
        }
        if fields.get("status").is_some_and(|status| !status.is_u64()) {
            return Err("`status` must be a number".to_owned());
        }
        return Ok(());
    }
    if kind != command {
        return Err(format!("`type` must be {command:?} or \"error\""));
    }
    if success != Some(true) {
        return Err("`success` must be true".to_owned());
    }
    let has = |key: &str, test: fn(&Value) -> bool| match fields.get(key).is_some_and(test) {
        true => Ok(()),
        false => Err(format!("`{key}` is missing or of the wrong type")),
    };
    match command {
        "create"
        | "connect"
        | "append"
        | "head"
        | "delete"
        | "idempotent-append"
        | "idempotent-append-batch"
        | "idempotent-close"
        | "idempotent-detach" => has("status", Value::is_u64)?,
        "close" => has("finalOffset", Value::is_string)?,
        "read" if fields.contains_key("results") => {
            let results = fields["results"].as_array().ok_or("`results` must be a list")?;
            results.iter().try_for_each(|result| shape(command, result))?;
        }
        "read" => {
            has("status", Value::is_u64)?;
            has("offset", Value::is_string)?;
            has("upToDate", Value::is_boolean)?;
            has("streamClosed", Value::is_boolean)?;
            has("chunks", |chunks| {
                chunks.as_array().is_some_and(|chunks| {
                    chunks.iter().all(|chunk| chunk["data"].as_str().is_some_and(|data| !data.is_empty()))
                })
            })?;
        }
        _ => {}
    }
    if command == "head" {
        has("streamClosed", Value::is_boolean)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_line_is_split_only_when_it_stands_alone() {
        let words = |line: &str, arguments: &[String]| AdapterCommand::parse(line, arguments, Duration::ZERO).words;
        assert_eq!(words("python3 -m adapter", &[]), ["python3", "-m", "adapter"]);
        assert_eq!(words("/opt/my adapter", &["a b".to_owned()]), ["/opt/my adapter", "a b"]);
    }

    #[test]
    fn a_result_without_its_mandatory_fields_is_refused() {
        let good = json!({"type": "read", "success": true, "status": 200, "offset": "1", "upToDate": true,
            "streamClosed": false, "chunks": [{"data": "a"}]});
        assert_eq!(shape("read", &good), Ok(()));
        for key in ["type", "success", "status", "offset", "upToDate", "streamClosed", "chunks"] {
            let mut bad = good.clone();
            bad.as_object_mut().expect("an object").remove(key);
            assert!(shape("read", &bad).is_err(), "{key}");
        }
        let empty = json!({"type": "read", "success": true, "status": 200, "offset": "1", "upToDate": true,
            "streamClosed": false, "chunks": [{"data": ""}]});
        assert!(shape("read", &empty).is_err());
        assert!(shape("head", &json!({"type": "head", "success": true, "status": 200})).is_err());
        assert!(
            shape(
                "head",
                &json!({"type": "error", "success": false, "commandType": "read",
            "errorCode": "X", "message": "m"})
            )
            .is_err()
        );
    }
}
