use std::path::Path;

use super::*;
use crate::proxy::rule::{Fault, How, Point};

fn parse(text: &str) -> Result<Vec<Scenario>, String> {
    let file: Arc<str> = "a.yaml".into();
    let node = yaml::load(&file, text).map_err(|error| error.to_string())?;
    read(&file, "a", &node).map_err(|error| error.to_string())
}

fn with_step(step: &str) -> Result<Vec<Scenario>, String> {
    parse(&format!("about: a\nscenarios:\n- id: b\n  name: B\n  steps:\n  - {step}\n"))
}

#[test]
fn a_scenario_says_which_faults_meet_which_requests() {
    let scenarios = with_step(
        "{do: append, messages: 2, faults: [{on: {method: POST, query: {live: null}, headers: {X-A: \"1\"}}, skip: 1, count: all, cutAnswer: {body: 3, how: reset}}]}",
    )
    .expect("well formed");
    let step = &scenarios[0].steps[0];
    let rule = &step.faults[0].rule;
    assert!(matches!(rule.fault, Fault::CutAnswer(Point::Body(3), How::Reset)));
    assert_eq!((rule.skip, rule.count), (1, None));
    assert_eq!(rule.on.headers, [("x-a".to_owned(), Some("1".to_owned()))]);
    assert_eq!(rule.on.query, [("live".to_owned(), None)]);
    let Action::Client(command) = &step.action else { panic!("not a command") };
    assert_eq!((command.kind, command.messages.count), ("append", 2));
    assert_eq!(scenarios[0].id, "a/b");
}

#[test]
fn what_is_not_part_of_the_format_is_refused_with_its_line() {
    for step in [
        "{do: nothing}",
        "{do: append, mesages: 2}",
        "{do: append, faults: [{cutAnswer: {}, stall: {}}]}",
        "{do: append, faults: [{on: {method: POST}}]}",
        "{do: append, faults: [{cutAnswer: {how: softly}}]}",
        "{do: append, faults: [{wrongLength: {by: 0}}]}",
        "{do: append, faults: [{answer: {status: 99}}]}",
        "{do: append, faults: [{answer: {status: 429, retryAfter: soon}}]}",
        "{do: append, expect: {stored: maybe}}",
        "{do: read, messages: 1}",
    ] {
        let error = with_step(step).expect_err(step);
        assert!(error.starts_with("a.yaml:6: "), "{error}");
    }
}

#[test]
fn the_scenarios_of_this_repository_are_well_formed_and_many() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
    let scenarios = load(&folder).expect("well formed");
    assert!(scenarios.len() >= 40, "{}", scenarios.len());
    // A scenario without a fault proves nothing about faults.
    for scenario in &scenarios {
        let is_faulty =
            scenario.steps.iter().any(|step| !step.faults.is_empty() || matches!(step.action, Action::Outage(_)));
        assert!(is_faulty, "{}", scenario.id);
    }
}
