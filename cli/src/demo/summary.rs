//! What the demo found, as a text and as JSON.

use std::{path::Path, time::Duration};

use serde_json::{Value, json};

use super::compare::Verdict;
use crate::{
    args::Storage,
    units::{count, grouped, size},
};

/// The input as it was counted before anything was written.
#[derive(Debug, Clone)]
pub struct InputFacts {
    /// What it is called.
    pub name: String,
    /// Messages.
    pub messages: u64,
    /// Their bytes, compact.
    pub bytes: u64,
    /// SHA-256 of all messages, each followed by a line feed.
    pub sha256: String,
}

/// One phase.
#[derive(Debug, Clone)]
pub struct Phase {
    /// What was done.
    pub name: &'static str,
    /// Messages that went through.
    pub messages: u64,
    /// Their bytes.
    pub bytes: u64,
    /// How long it took.
    pub took: Duration,
}

/// One kill.
#[derive(Debug, Clone)]
pub struct Kill {
    /// Messages the tailing reader had at that moment, counted from the start of the stream.
    pub at_message: u64,
    /// Messages handed to the producer that the reader did not have yet.
    pub under_way: u64,
    /// How long nobody answered.
    pub gap: Duration,
}

/// Everything the demo found.
#[derive(Debug, Clone)]
pub struct Summary {
    /// The input.
    pub input: InputFacts,
    /// Where the server kept data.
    pub storage: Storage,
    /// The phases, in order.
    pub phases: Vec<Phase>,
    /// The kills, in order.
    pub kills: Vec<Kill>,
    /// What the readers of the running demo got: read back from the start, then tailed.
    pub live: Verdict,
    /// What an independent read of everything got afterwards.
    pub again: Verdict,
}

impl Summary {
    /// Whether both readers got the input, no more and no less, in order.
    pub fn is_faithful(&self) -> bool {
        [&self.live, &self.again].iter().all(|verdict| verdict.is_faithful() && verdict.sha256 == self.input.sha256)
    }

    /// The summary for people; the phases were told when they ended.
    pub fn text(&self) -> String {
        let mut lines = vec![String::new()];
        for kill in &self.kills {
            lines.push(format!(
                "server killed (SIGKILL) at message {}, with {} under way; back after {:.2} s",
                grouped(kill.at_message),
                grouped_count(kill.under_way),
                kill.gap.as_secs_f64()
            ));
        }
        if self.storage == Storage::Memory {
            lines.push("server not killed: memory storage keeps nothing across a restart".to_owned());
        }
        lines.push(format!("restarts {}", self.kills.len()));
        lines.push(format!("sha256 of the input         {}", self.input.sha256));
        lines.push(format!("sha256 of the live reader   {}", self.live.sha256));
        lines.push(format!("sha256 of the second read   {}", self.again.sha256));
        lines.push(format!("live reader: {}", finding(&self.live)));
        lines.push(format!("second read: {}", finding(&self.again)));
        lines.push(String::new());
        let rate = self.rate();
        lines.push(format!(
            "messages {}, bytes {}, rate {} messages/s ({}/s): {}",
            grouped(self.again.messages),
            grouped(self.again.bytes),
            grouped(rate.0),
            size(rate.1),
            finding(&self.worst())
        ));
        lines.join("\n")
    }

    /// The summary for programs.
    pub fn json(&self, data_dir: &Path, is_kept: bool) -> Value {
        let verdict = |verdict: &Verdict| {
            json!({
                "messages": verdict.messages,
                "bytes": verdict.bytes,
                "lost": verdict.lost,
                "doubled": verdict.doubled,
                "misplaced": verdict.misplaced,
                "unknown": verdict.unknown,
                "sha256": verdict.sha256,
            })
        };
        let seconds = Duration::as_secs_f64;
        json!({
            "ok": self.is_faithful(),
            "command": "demo",
            "storage": self.storage.as_str(),
            "input": {
                "name": self.input.name,
                "messages": self.input.messages,
                "bytes": self.input.bytes,
                "sha256": self.input.sha256,
            },
            "phases": self.phases.iter().map(|phase| json!({
                "name": phase.name,
                "messages": phase.messages,
                "bytes": phase.bytes,
                "seconds": seconds(&phase.took),
            })).collect::<Vec<_>>(),
            "restarts": self.kills.len(),
            "kills": self.kills.iter().map(|kill| json!({
                "at_message": kill.at_message,
                "under_way": kill.under_way,
                "gap_seconds": seconds(&kill.gap),
            })).collect::<Vec<_>>(),
            "live_reader": verdict(&self.live),
            "second_read": verdict(&self.again),
            "messages_per_second": self.rate().0,
            "data_dir": is_kept.then(|| data_dir.display().to_string()),
        })
    }

    /// Messages and bytes per second over all phases: everything that went through a server.
    fn rate(&self) -> (u64, u64) {
        let took: Duration = self.phases.iter().map(|phase| phase.took).sum();
        let messages: u64 = self.phases.iter().map(|phase| phase.messages).sum();
        let bytes: u64 = self.phases.iter().map(|phase| phase.bytes).sum();
        (per_second(messages, took), per_second(bytes, took))
    }

    fn worst(&self) -> Verdict {
        let (live, again) = (&self.live, &self.again);
        Verdict {
            lost: live.lost.max(again.lost),
            doubled: live.doubled.max(again.doubled),
            misplaced: live.misplaced.max(again.misplaced),
            unknown: live.unknown.max(again.unknown),
            ..again.clone()
        }
    }
}

impl Phase {
    /// What the columns of [`Phase::line`] are.
    pub const HEADING: &str = "phase                                  messages       size      time   messages/s";

    /// The phase for people.
    pub fn line(&self) -> String {
        format!(
            "{:<34} {:>12} {:>10} {:>7.2} s {:>12}",
            self.name,
            grouped(self.messages),
            size(self.bytes),
            self.took.as_secs_f64(),
            grouped(per_second(self.messages, self.took))
        )
    }
}

/// The verdict in words.
fn finding(verdict: &Verdict) -> String {
    let order = match verdict.misplaced {
        0 => "order kept".to_owned(),
        n => format!("order broken ({} out of place)", grouped_count(n)),
    };
    let unknown = match verdict.unknown {
        0 => String::new(),
        n => format!(", {} not of the input", grouped_count(n)),
    };
    format!("lost {}, doubled {}, {order}{unknown}", grouped(verdict.lost), grouped(verdict.doubled))
}

fn grouped_count(n: u64) -> String {
    count(n, "message").replacen(&n.to_string(), &grouped(n), 1)
}

#[allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a rate for people"
)]
fn per_second(n: u64, took: Duration) -> u64 {
    (n as f64 / took.as_secs_f64().max(1e-6)) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn anything_but_the_input_itself_fails() {
        let verdict = |sha256: &str| Verdict { sha256: sha256.to_owned(), ..Verdict::default() };
        let input = InputFacts { name: String::new(), messages: 1, bytes: 1, sha256: "ab".to_owned() };
        let summary = |live, again| Summary {
            input: input.clone(),
            storage: Storage::File,
            phases: Vec::new(),
            kills: Vec::new(),
            live,
            again,
        };
        assert!(summary(verdict("ab"), verdict("ab")).is_faithful());
        assert!(!summary(verdict("ab"), verdict("cd")).is_faithful());
        assert!(!summary(Verdict { lost: 1, ..verdict("ab") }, verdict("ab")).is_faithful());
        assert!(!summary(verdict("ab"), Verdict { doubled: 1, ..verdict("ab") }).is_faithful());
        let text = summary(Verdict { lost: 1, ..verdict("ab") }, verdict("ab")).text();
        assert!(text.ends_with("lost 1, doubled 0, order kept"), "{text}");
    }

    #[test]
    fn the_heading_stands_above_the_columns() {
        let phase = Phase { name: "x", messages: 1, bytes: 1, took: Duration::from_secs(1) };
        assert_eq!(phase.line().chars().count(), Phase::HEADING.chars().count());
    }

    #[test]
    fn findings_say_what_is_wrong() {
        assert_eq!(finding(&Verdict::default()), "lost 0, doubled 0, order kept");
        let bad = Verdict { lost: 3, misplaced: 1, unknown: 1200, ..Verdict::default() };
        assert_eq!(
            finding(&bad),
            "lost 3, doubled 0, order broken (1 message out of place), 1,200 messages not of the input"
        );
    }
}
