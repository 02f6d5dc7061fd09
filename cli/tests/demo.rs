//! The demo, as users run it: its verdict, and that it leaves nothing behind.

mod support;

use std::fs;

use support::{Ran, bare, ran};

/// Runs the demo with a temporary folder of its own and shows what is left in it.
fn demo(arguments: &[&str]) -> (Ran, Vec<String>) {
    let folder = tempfile::tempdir().expect("a folder");
    let mut command = bare(&[&["demo"], arguments].concat());
    let output = command.env("TMPDIR", folder.path()).output().expect("runs");
    let left = fs::read_dir(folder.path())
        .expect("a folder")
        .map(|entry| entry.expect("an entry").path().display().to_string());
    (ran(output), left.collect())
}

fn summary(arguments: &[&str]) -> serde_json::Value {
    let (ran, left) = demo(&[arguments, &["--output", "json"]].concat());
    assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{}", ran.out);
    assert_eq!(left, Vec::<String>::new(), "nothing is left behind");
    serde_json::from_str(&ran.out).expect("one object")
}

#[test]
fn the_feed_survives_a_killed_server() {
    let (ran, left) = demo(&[]);
    assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{}", ran.out);
    assert!(ran.out.contains("messages 1,707, ") && ran.out.contains("lost 0, doubled 0, order kept"), "{}", ran.out);
    assert!(ran.out.contains("restarts 1"), "{}", ran.out);
    assert!(!ran.out.contains('\u{1b}'), "no terminal codes in a pipe");
    assert_eq!(left, Vec::<String>::new(), "nothing is left behind");
}

#[test]
fn the_summary_is_computed_from_the_data() {
    // sha256sum examples/data/earthquakes.ndjson; wc -l
    let sha256 = "f9c328b996c9ebf79c939266e64729b4d5bf31ee088d4be924c52653fa9fd110";
    let summary = summary(&["--kills", "3"]);
    for reader in ["live_reader", "second_read"] {
        let verdict = &summary[reader];
        assert_eq!((&verdict["sha256"], &verdict["messages"]), (&sha256.into(), &1707.into()), "{reader}");
        for fault in ["lost", "doubled", "misplaced", "unknown"] {
            assert_eq!(verdict[fault], 0, "{reader}: {fault}");
        }
    }
    assert_eq!((&summary["restarts"], &summary["ok"]), (&3.into(), &true.into()));
    let kills = summary["kills"].as_array().expect("kills");
    let mut last = 1707 / 3;
    for kill in kills {
        let at = kill["at_message"].as_u64().expect("a number");
        assert!(last <= at && at < 1707, "in the middle of the writing: {kill}");
        last = at;
    }
}

#[test]
fn memory_is_not_killed() {
    let summary = summary(&["--storage", "memory"]);
    assert_eq!((&summary["restarts"], &summary["storage"]), (&0.into(), &"memory".into()));
}

#[test]
fn any_input_will_do() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("feed");
    let path = file.to_str().expect("UTF-8");
    for text in [
        "1\n".to_owned(),
        "{\"same\":true}\n".repeat(5000),
        (0..3000)
            .map(|n| format!("  {{ \"n\" : {n}, \"t\": \"{}\" }}\r\n\n", "\\u00e9 \\\" ".repeat(n % 40)))
            .collect(),
        "[1,[2]]\n\"text\"\nnull\n-0.0\n1E400\n".to_owned(),
    ] {
        fs::write(&file, &text).expect("written");
        let summary = summary(&["--input", path]);
        let lines = text.lines().filter(|line| !line.trim().is_empty()).count();
        assert_eq!(summary["second_read"]["messages"], lines);
    }
}

#[test]
fn bad_input_is_refused_by_line_before_anything_is_started() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("feed");
    let path = file.to_str().expect("UTF-8");
    for (text, part) in [("{}\n{oops\n", "line 2"), ("", "no events"), ("\n\n", "no events")] {
        fs::write(&file, text).expect("written");
        let (ran, left) = demo(&["--input", path]);
        assert_eq!((ran.code, ran.out.as_str()), (1, ""));
        assert!(ran.err.starts_with("Error: ") && ran.err.contains(part), "{}", ran.err);
        assert_eq!(left, Vec::<String>::new(), "nothing is left behind");
    }
}

#[test]
fn kept_data_can_be_looked_at() {
    let (ran, left) = demo(&["--keep"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(left.len(), 1, "{left:?}");
    assert!(ran.out.contains(&left[0]), "{}", ran.out);
}
