//! For pipelines: JUnit XML and JSON.

use std::fmt::Write;

use serde_json::{Value, json};

use super::console;
use crate::run::{Outcome, Report, Run};

/// The run as JSON.
pub fn json(run: &Run) -> Value {
    let (passed, failed, skipped) = run.totals();
    let tests: Vec<_> = run.reports.iter().map(test).collect();
    json!({
        "client": run.client,
        "host": run.host,
        "tookMs": millis(run.took),
        "passed": passed,
        "failed": failed,
        "skipped": skipped,
        "tests": tests,
    })
}

fn test(report: &Report) -> Value {
    let (outcome, why) = match &report.outcome {
        Outcome::Passed => ("passed", None),
        Outcome::Skipped(reason) => ("skipped", Some(reason.clone())),
        Outcome::Failed { .. } => ("failed", Some(console::failure(report))),
    };
    let mut test = json!({"suite": report.suite, "test": report.test, "name": report.name, "place": report.place,
        "outcome": outcome, "tookMs": millis(report.took)});
    if let Some(why) = why {
        test["why"] = why.into();
    }
    test
}

fn millis(span: std::time::Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

/// The run as JUnit XML.
pub fn junit(run: &Run) -> String {
    let (_, failed, skipped) = run.totals();
    let mut xml = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let _ = writeln!(
        xml,
        "<testsuites name=\"{}\" tests=\"{}\" failures=\"{failed}\" skipped=\"{skipped}\" time=\"{:.3}\">",
        escaped(&format!("{} against {}", run.client, run.host)),
        run.reports.len(),
        run.took.as_secs_f64()
    );
    let mut rest = run.reports.as_slice();
    while let Some(first) = rest.first() {
        let len = rest.iter().take_while(|report| report.suite == first.suite).count();
        let (of_suite, others) = rest.split_at(len);
        suite(&mut xml, of_suite);
        rest = others;
    }
    xml.push_str("</testsuites>\n");
    xml
}

fn suite(xml: &mut String, reports: &[Report]) {
    let Some(first) = reports.first() else { return };
    let count = |test: fn(&Outcome) -> bool| reports.iter().filter(|report| test(&report.outcome)).count();
    let _ = writeln!(
        xml,
        "  <testsuite name=\"{}\" tests=\"{}\" failures=\"{}\" skipped=\"{}\">",
        escaped(&first.suite),
        reports.len(),
        count(|outcome| matches!(outcome, Outcome::Failed { .. })),
        count(|outcome| matches!(outcome, Outcome::Skipped(_)))
    );
    for report in reports {
        let _ = write!(
            xml,
            "    <testcase classname=\"{}\" name=\"{}\" time=\"{:.3}\"",
            escaped(&report.suite),
            escaped(&report.test),
            report.took.as_secs_f64()
        );
        let _ = match &report.outcome {
            Outcome::Passed => writeln!(xml, "/>"),
            Outcome::Skipped(reason) => writeln!(xml, "><skipped message=\"{}\"/></testcase>", escaped(reason)),
            Outcome::Failed { why, .. } => writeln!(
                xml,
                "><failure message=\"{}\">{}</failure></testcase>",
                escaped(why),
                escaped(&console::failure(report))
            ),
        };
    }
    xml.push_str("  </testsuite>\n");
}

/// Text as XML allows it.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\n' | '\t' => escaped.push(c),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => escaped.push('\u{fffd}'),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn reports_survive_any_text() {
        let report = Report {
            suite: "a<b".to_owned(),
            test: "t\"".to_owned(),
            name: "n".to_owned(),
            place: "f:1".to_owned(),
            outcome: Outcome::Failed { place: "f:2".to_owned(), why: "\u{1}&<".to_owned(), wire: Vec::new() },
            took: Duration::from_millis(5),
        };
        let run =
            Run { client: "c".to_owned(), host: "h".to_owned(), reports: vec![report], took: Duration::from_millis(5) };
        let xml = junit(&run);
        assert!(xml.contains("name=\"t&quot;\"") && xml.contains("message=\"\u{fffd}&amp;&lt;\""), "{xml}");
        assert_eq!(json(&run)["failed"], 1);
        assert!(console::text(&run).ends_with("0 passed, 1 failed, 0 skipped\n"));
    }
}
