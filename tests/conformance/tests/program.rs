//! The kit's program from outside: what it prints, what it reports, how it ends. The client
//! is a script that answers as it is told, so that every outcome can be had.

#![cfg(unix)]

use std::{
    collections::BTreeMap,
    process::{Command, Output},
};

use serde_json::Value;
use tempfile::TempDir;

/// An adapter with one feature whose heads always find nothing.
const ADAPTER: &str = r#"while read -r line; do
  case "$line" in
    *'"type":"init"'*) echo '{"type":"init","success":true,"clientName":"script","clientVersion":"1","features":{"sse":true}}' ;;
    *'"type":"shutdown"'*) echo '{"type":"shutdown","success":true}'; exit ;;
    *'"type":"clear-dynamic"'*) echo '{"type":"clear-dynamic","success":true}' ;;
    *'/noise'*) echo 'now looking' ;;
    *'"type":"head"'*) echo '{"type":"error","success":false,"commandType":"head","errorCode":"NOT_FOUND","message":"no <such> \"stream\" & no other","status":404}' ;;
  esac
done
"#;

const GOOD: &str = "- id: good\n  name: Good\n  operations:\n  - action: clear-dynamic\n";
const BAD: &str = "- id: bad\n  name: Bad & <wrong>\n  operations:\n  - action: head\n    path: /x\n";
const NEEDS: &str = "- id: needs\n  name: Needs\n  requires: [long-poll]\n  operations:\n  - action: clear-dynamic\n";

struct Kit {
    folder: TempDir,
}

impl Kit {
    /// A folder with the adapter and one suite.
    fn with(tests: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("adapter.sh"), ADAPTER).expect("is written");
        std::fs::create_dir(folder.path().join("cases")).expect("is made");
        let suite = format!("id: script\nname: Script\ncategory: consumer\ntests:\n{}", tests.concat());
        std::fs::write(folder.path().join("cases/suite.yaml"), suite).expect("is written");
        Self { folder }
    }

    fn run(&self, flags: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_durable-streams-conformance"))
            .args(["--adapter", "sh", "--adapter-arg", "adapter.sh", "--cases", "cases"])
            .args(["--json", "report.json", "--junit", "report.xml"])
            .args(flags)
            .current_dir(&self.folder)
            .output()
            .expect("the program starts")
    }

    fn file(&self, name: &str) -> String {
        std::fs::read_to_string(self.folder.path().join(name)).expect(name)
    }
}

fn last_line(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).lines().last().unwrap_or_default().to_owned()
}

#[test]
fn reports_say_what_became_of_each_test() {
    let kit = Kit::with(&[GOOD, BAD, NEEDS]);
    let output = kit.run(&[]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(last_line(&output), "1 passed, 1 failed, 1 skipped");
    let console = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(console.starts_with("script 1 against own\nFAIL  script  "), "{console}");
    assert!(console.contains("FAILED script/bad (Bad & <wrong>)"), "{console}");
    assert!(console.contains("cases/suite.yaml:12: unexpected error NOT_FOUND (status 404)"), "{console}");

    let json: Value = serde_json::from_str(&kit.file("report.json")).expect("JSON");
    assert_eq!((&json["client"], &json["host"]), (&"script 1".into(), &"own".into()));
    assert_eq!((&json["passed"], &json["failed"], &json["skipped"]), (&1.into(), &1.into(), &1.into()));
    let outcomes: Vec<_> = json["tests"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|test| (test["test"].as_str().expect("text"), test["outcome"].as_str().expect("text")))
        .collect();
    assert_eq!(outcomes, [("good", "passed"), ("bad", "failed"), ("needs", "skipped")]);
    assert!(json["tests"][1]["why"].as_str().is_some_and(|why| why.contains("no <such> \"stream\"")));

    let xml = Elements::read(&kit.file("report.xml"));
    let totals = xml.only("testsuites");
    assert_eq!((totals["tests"].as_str(), totals["failures"].as_str(), totals["skipped"].as_str()), ("3", "1", "1"));
    assert_eq!(xml.only("testsuite")["name"], "script");
    assert_eq!(xml.all("testcase").len(), 3);
    assert!(xml.only("failure")["message"].contains("no <such> \"stream\" & no other"));
    assert_eq!(xml.only("skipped")["message"], "the client has no long-poll");
}

#[test]
fn a_good_run_ends_with_0() {
    let output = Kit::with(&[GOOD]).run(&[]);
    assert_eq!((output.status.code(), last_line(&output).as_str()), (Some(0), "1 passed, 0 failed, 0 skipped"));
}

#[test]
fn a_skip_on_our_own_server_is_a_failure_unless_the_client_is_known_to_lack_something() {
    let kit = Kit::with(&[GOOD, NEEDS]);
    let skipped = kit.run(&[]);
    assert_eq!((skipped.status.code(), last_line(&skipped).as_str()), (Some(1), "1 passed, 0 failed, 1 skipped"));
    let left_out = kit.run(&["--lacks", "longPoll"]);
    assert_eq!((left_out.status.code(), last_line(&left_out).as_str()), (Some(0), "1 passed, 0 failed, 0 skipped"));
    let stale = kit.run(&["--lacks", "sse"]);
    assert_eq!(stale.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&stale.stderr).contains("said to lack"));
}

#[test]
fn what_an_adapter_says_besides_results_fails_the_test_and_not_the_run() {
    let noise = "- id: noise\n  name: Noise\n  operations:\n  - action: head\n    path: /noise\n";
    let kit = Kit::with(&[noise, GOOD]);
    let output = kit.run(&["--jobs", "1"]);
    assert_eq!(last_line(&output), "1 passed, 1 failed, 0 skipped");
    assert!(kit.file("report.json").contains("which is for results only"));
}

#[test]
fn a_run_that_cannot_be_ends_with_2() {
    for (flags, why) in [
        (&["--test", "unknown"][..], "no test was run"),
        (&["--cases", "nowhere"], "nowhere"),
        (&["--server", "http://127.0.0.1:9"], "127.0.0.1:9"),
    ] {
        let output = Kit::with(&[GOOD]).run(flags);
        assert_eq!(output.status.code(), Some(2), "{flags:?}");
        assert!(String::from_utf8_lossy(&output.stderr).contains(why), "{flags:?}: {output:?}");
    }
    let output = Kit::with(&["- id: a\n  name: A\n  operations:\n  - action: hed\n"]).run(&[]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("suite.yaml:8: there is no action"), "{output:?}");
    let kit = Kit::with(&[GOOD]);
    std::fs::write(kit.folder.path().join("adapter.sh"), "exit 3\n").expect("is written");
    assert_eq!(kit.run(&[]).status.code(), Some(2));
}

/// Elements of an XML text with their attributes, in the order of their start tags.
struct Elements(Vec<(String, BTreeMap<String, String>)>);

impl Elements {
    /// Reads a text; panics unless every element is closed where it should be.
    fn read(xml: &str) -> Self {
        let mut rest = xml.strip_prefix("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n").expect("a declaration");
        let (mut elements, mut open) = (Vec::new(), Vec::new());
        while let Some((text, after)) = rest.split_once('<') {
            assert!(!text.contains('>'), "a stray > in {text:?}");
            let (tag, after) = after.split_once('>').expect("the tag ends");
            rest = after;
            if let Some(name) = tag.strip_prefix('/') {
                assert_eq!(open.pop().as_deref(), Some(name), "elements are nested");
                continue;
            }
            let (tag, is_empty) = tag.strip_suffix('/').map_or((tag, false), |tag| (tag, true));
            let (name, attributes) = tag.split_once(' ').unwrap_or((tag, ""));
            elements.push((name.to_owned(), attributes_of(attributes)));
            if !is_empty {
                open.push(name.to_owned());
            }
        }
        assert!(open.is_empty() && rest.trim().is_empty(), "{open:?} {rest:?}");
        Self(elements)
    }

    fn all(&self, name: &str) -> Vec<&BTreeMap<String, String>> {
        self.0.iter().filter(|(element, _)| element == name).map(|(_, attributes)| attributes).collect()
    }

    fn only(&self, name: &str) -> &BTreeMap<String, String> {
        let [one] = self.all(name)[..] else { panic!("not one {name}") };
        one
    }
}

fn attributes_of(mut text: &str) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    while let Some((name, after)) = text.split_once("=\"") {
        let (value, after) = after.split_once('"').expect("the value ends");
        let plain = value.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&amp;", "&");
        found.insert(name.trim().to_owned(), plain);
        text = after;
    }
    found
}
