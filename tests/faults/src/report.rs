//! What people and pipelines get to see of a run.

use std::fmt::Write;

use serde_json::{Value, json};

use crate::{
    proxy::record::Exchange,
    run::{Outcome, Report, Run},
};

/// One scenario in one line.
pub fn line(report: &Report) -> String {
    let (word, more) = match &report.outcome {
        Outcome::Passed => ("passed ", String::new()),
        Outcome::Failed { .. } => ("FAILED ", String::new()),
        Outcome::Skipped(why) => ("skipped", format!(": {why}")),
    };
    let counts = format!("{:>3} requests {:>3} faults", report.requests, report.faults);
    format!("{word} {:<44} {:>6} ms {counts}{more}", report.id, report.took.as_millis())
}

/// The failures, then the totals.
pub fn text(run: &Run) -> String {
    let mut text = String::new();
    for report in &run.reports {
        text.push_str(&failure(report));
    }
    let (passed, failed, skipped) = run.totals();
    let _ = writeln!(text, "\n{} against {}, {:.1} s", run.client, run.host, run.took.as_secs_f64());
    let _ = writeln!(text, "{passed} passed, {failed} failed, {skipped} skipped");
    text
}

/// The run as JSON.
pub fn json(run: &Run) -> Value {
    let (passed, failed, skipped) = run.totals();
    let scenarios: Vec<_> = run
        .reports
        .iter()
        .map(|report| {
            let (outcome, why) = match &report.outcome {
                Outcome::Passed => ("passed", None),
                Outcome::Failed { .. } => ("failed", Some(failure(report))),
                Outcome::Skipped(why) => ("skipped", Some(why.clone())),
            };
            let mut value = json!({"scenario": report.id, "name": report.name, "place": report.place,
                "outcome": outcome, "tookMs": report.took.as_millis() as u64, "requests": report.requests,
                "faults": report.faults});
            if let Some(why) = why {
                value["why"] = why.into();
            }
            value
        })
        .collect();
    json!({"client": run.client, "host": run.host, "tookMs": run.took.as_millis() as u64, "strict": run.is_strict,
        "passed": passed, "failed": failed, "skipped": skipped, "scenarios": scenarios})
}

fn failure(report: &Report) -> String {
    let Outcome::Failed { why, wire, foreign } = &report.outcome else { return String::new() };
    let mut text = format!("\nFAILED {} ({})\n  {}\n  {why}\n", report.id, report.name, report.place);
    let start = wire.first().map(|exchange| exchange.at);
    for (exchange, to) in
        wire.iter().map(|exchange| (exchange, "")).chain(foreign.iter().map(|other| (other, " FOREIGN")))
    {
        let at = start.map_or(0, |start| exchange.at.saturating_duration_since(start).as_millis());
        let _ = writeln!(text, "  {at:>6} ms{to} {}", one(exchange));
    }
    text
}

fn one(exchange: &Exchange) -> String {
    let query = if exchange.query.is_empty() { String::new() } else { format!("?{}", exchange.query) };
    let fault = exchange.fault.map(|fault| format!(" [{fault}]")).unwrap_or_default();
    let status = exchange.answered.map_or_else(|| "no answer".to_owned(), |(status, _)| status.to_string());
    let producer: Vec<_> = exchange
        .headers
        .iter()
        .filter(|(name, _)| name.starts_with("producer-"))
        .map(|(name, value)| format!(" {name}={value}"))
        .collect();
    let end = exchange.end.unwrap_or("under way");
    let bytes = exchange.body.len();
    format!("{} {}{query}{} {bytes} B{fault} -> {status}, {end}", exchange.method, exchange.path, producer.concat())
}
