//! For people: a line per suite, failures with what went over the wire.

use std::fmt::Write;

use crate::{
    run::{Outcome, Report, Run},
    wire::record::{By, End, Exchange},
};

/// How much of a long body is shown, in characters.
const SHOWN_START: usize = 400;
const SHOWN_END: usize = 200;

/// The whole report; its last line is the totals.
pub fn text(run: &Run) -> String {
    let mut text = String::new();
    let mut suites: Vec<&str> = Vec::new();
    for report in &run.reports {
        if !suites.contains(&report.suite.as_str()) {
            suites.push(&report.suite);
        }
    }
    let width = suites.iter().map(|suite| suite.len()).max().unwrap_or(0);
    let _ = writeln!(text, "{} against {}", run.client, run.host);
    for suite in suites {
        let of_suite: Vec<_> = run.reports.iter().filter(|report| report.suite == suite).collect();
        let count = |test: fn(&Outcome) -> bool| of_suite.iter().filter(|report| test(&report.outcome)).count();
        let failed = count(|outcome| matches!(outcome, Outcome::Failed { .. }));
        let skipped = count(|outcome| matches!(outcome, Outcome::Skipped(_)));
        let passed = of_suite.len() - failed - skipped;
        let took: f64 = of_suite.iter().map(|report| report.took.as_secs_f64()).sum();
        let mark = if failed > 0 || (skipped > 0 && run.host_is_own()) { "FAIL" } else { "  ok" };
        let _ = write!(text, "{mark}  {suite:<width$}  {passed:>3} passed");
        if failed > 0 {
            let _ = write!(text, "  {failed} failed");
        }
        if skipped > 0 {
            let _ = write!(text, "  {skipped} skipped");
        }
        let _ = writeln!(text, "  {took:>5.1} s");
    }
    for report in &run.reports {
        match &report.outcome {
            Outcome::Passed => {}
            Outcome::Skipped(reason) => {
                let _ = writeln!(text, "skipped {}/{}: {reason}", report.suite, report.test);
            }
            Outcome::Failed { .. } => text.push_str(&failure(report)),
        }
    }
    let (passed, failed, skipped) = run.totals();
    if skipped > 0 && run.host_is_own() {
        text.push_str("a test skipped on our own server counts as failed; --lacks says what a client cannot have\n");
    }
    let _ = writeln!(text, "took {:.1} s", run.took.as_secs_f64());
    let _ = writeln!(text, "{passed} passed, {failed} failed, {skipped} skipped");
    text
}

/// One failure, with the exchange on the wire.
pub fn failure(report: &Report) -> String {
    let Outcome::Failed { place, why, wire } = &report.outcome else { return String::new() };
    let mut text = format!("\nFAILED {}/{} ({})\n  {place}: {why}\n", report.suite, report.test, report.name);
    let Some(start) = wire.first().map(|exchange| exchange.at) else {
        text.push_str("  nothing went over the wire\n");
        return text;
    };
    for exchange in wire {
        let at = exchange.at.saturating_duration_since(start).as_millis();
        let who = if exchange.by == By::Runner { " (runner)" } else { "" };
        let query = if exchange.query.is_empty() { String::new() } else { format!("?{}", exchange.query) };
        let _ = writeln!(text, "  {at:>6} ms > {} {}{query}{who}", exchange.method, exchange.path);
        headers(&mut text, '>', &exchange.headers);
        body(&mut text, '>', &exchange.body);
        reply(&mut text, exchange, start);
    }
    text
}

fn reply(text: &mut String, exchange: &Exchange, start: std::time::Instant) {
    if let Some((status, map)) = &exchange.reply {
        let _ = writeln!(text, "            < {status}");
        headers(text, '<', map);
        body(text, '<', &exchange.reply_body);
    }
    let (at, how) = match exchange.end {
        None => return text.push_str("            < (under way)\n"),
        Some((_, End::Complete)) => return,
        Some((at, End::Abandoned)) => (at, "the client went away"),
        Some((at, End::Cut)) => (at, "the wire cut it, as told"),
        Some((at, End::ServerGone)) => (at, "the server cut it"),
    };
    let _ = writeln!(text, "  {:>6} ms < ({how})", at.saturating_duration_since(start).as_millis());
}

fn headers(text: &mut String, mark: char, map: &http::HeaderMap) {
    const DULL: [&str; 14] = [
        "host",
        "accept",
        "user-agent",
        "date",
        "connection",
        "keep-alive",
        "transfer-encoding",
        "x-content-type-options",
        "cross-origin-resource-policy",
        "access-control-allow-origin",
        "access-control-allow-methods",
        "access-control-allow-headers",
        "access-control-expose-headers",
        "vary",
    ];
    for (name, value) in map {
        if !DULL.contains(&name.as_str()) {
            let _ = writeln!(text, "            {mark} {name}: {}", String::from_utf8_lossy(value.as_bytes()));
        }
    }
}

fn body(text: &mut String, mark: char, body: &[u8]) {
    if body.is_empty() {
        return;
    }
    let all = match std::str::from_utf8(body) {
        Ok(body) => body.to_owned(),
        Err(_) => body.escape_ascii().to_string(),
    };
    for line in shortened(&all).lines() {
        let _ = writeln!(text, "            {mark}   {line}");
    }
}

/// A body's beginning and end: what went wrong is at either.
fn shortened(body: &str) -> String {
    let len = body.chars().count();
    if len <= SHOWN_START + SHOWN_END {
        return body.to_owned();
    }
    let start: String = body.chars().take(SHOWN_START).collect();
    let end: String = body.chars().skip(len - SHOWN_END).collect();
    format!("{start}\n… ({} bytes in all)\n{end}", body.len())
}
