//! `write` of many messages, and exactly once.

mod support;

use std::fs;

use support::World;

fn lines(range: std::ops::Range<u32>) -> String {
    range.map(|n| format!("{{\"n\":{n}}}\n")).collect()
}

fn stored(world: &World, id: &str) -> String {
    world.run(&["read", id, "--format", "ndjson"]).out
}

#[test]
fn ndjson_stores_each_line_as_a_message() {
    let world = World::new();
    world.run(&["create", "s", "--json"]);
    let input = lines(0..20_000);
    let written = world.pipe(input.as_bytes(), &["write", "s", "--ndjson"]);
    assert_eq!(
        (written.code, written.out.as_str(), written.err.as_str()),
        (0, "Wrote 20000 messages to stream \"s\"\n", "")
    );
    assert_eq!(stored(&world, "s"), input);
}

#[test]
fn blank_lines_carry_nothing_and_an_array_is_one_message() {
    let world = World::new();
    world.run(&["create", "s", "--json"]);
    let written = world.pipe(b"\n[1,2]\r\n\n  \"x\"  \nnull", &["write", "s", "--ndjson"]);
    assert_eq!(written.out, "Wrote 3 messages to stream \"s\"\n", "{}", written.err);
    assert_eq!(stored(&world, "s"), "[1,2]\n\"x\"\nnull\n");
}

#[test]
fn a_bad_line_is_named_and_those_before_it_are_kept() {
    let world = World::new();
    world.run(&["create", "s", "--json"]);
    let written = world.pipe(b"1\n2\noops\n4\n", &["write", "s", "--ndjson"]);
    assert_eq!((written.code, written.out.as_str()), (1, ""));
    assert!(written.err.contains("line 3") && written.err.contains("2 messages"), "{}", written.err);
    assert_eq!(stored(&world, "s"), "1\n2\n");
}

#[test]
fn ndjson_on_a_stream_of_bytes_keeps_the_lines() {
    let world = World::new();
    world.run(&["create", "s"]);
    let written = world.pipe(b"{\"a\": 1}\n2", &["write", "s", "--ndjson"]);
    assert_eq!((written.code, written.out.as_str()), (0, "Wrote 2 messages to stream \"s\"\n"));
    assert!(written.err.starts_with("Warning: "), "{}", written.err);
    assert_eq!(world.read("s"), "{\"a\": 1}\n2\n");
}

#[test]
fn a_producer_id_makes_a_repeated_run_harmless() {
    let world = World::new();
    world.run(&["create", "s", "--json"]);
    let write = |input: &str| {
        let ran = world.pipe(input.as_bytes(), &["write", "s", "--ndjson", "--producer-id", "p"]);
        assert_eq!(ran.code, 0, "{ran:?}");
    };
    write(&lines(0..50));
    write(&lines(0..50));
    assert_eq!(stored(&world, "s"), lines(0..50));
    write(&lines(0..75));
    assert_eq!(stored(&world, "s"), lines(0..75), "a longer input adds what is new");
}

#[test]
fn a_producer_id_also_writes_lines_of_text() {
    let world = World::new();
    world.run(&["create", "log", "--content-type", "text/plain"]);
    for _ in 0..2 {
        let ran = world.pipe(b"one\n\ntwo\n", &["write", "log", "--producer-id", "p"]);
        assert_eq!(ran.code, 0, "{ran:?}");
    }
    assert_eq!(world.read("log"), "one\n\ntwo\n");
}

#[test]
fn a_progress_file_resumes_and_grows_with_the_input() {
    let world = World::new();
    world.run(&["create", "s", "--json"]);
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("progress");
    let file = file.to_str().expect("UTF-8");
    let arguments = ["write", "s", "--ndjson", "--producer-id", "p", "--checkpoint", file];
    let write = |input: &str| world.pipe(input.as_bytes(), &arguments);
    // Longer than one batch.
    assert_eq!(write(&lines(0..60_000)).out, "Wrote 60000 messages to stream \"s\"\n");
    let again = write(&lines(0..60_000));
    assert_eq!((again.code, again.out.as_str()), (0, "Wrote 0 messages to stream \"s\"\n"));
    assert_eq!(write(&lines(0..60_010)).out, "Wrote 10 messages to stream \"s\"\n");
    assert_eq!(stored(&world, "s"), lines(0..60_010));
    let changed = write(&lines(1..60_020));
    assert!(changed.code == 1 && changed.err.contains(file), "another input is refused: {changed:?}");
    let other = world.pipe(b"1\n", &["write", "s", "--ndjson", "--producer-id", "q", "--checkpoint", file]);
    assert!(other.code == 1 && other.err.contains(file), "another producer's file is refused: {other:?}");
}

#[test]
fn a_run_that_crashed_after_sending_does_not_store_twice() {
    let world = World::new();
    world.run(&["create", "s", "--json"]);
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("progress");
    let path = file.to_str().expect("UTF-8");
    let write =
        |n| world.pipe(lines(0..n).as_bytes(), &["write", "s", "--ndjson", "--producer-id", "p", "--checkpoint", path]);
    assert_eq!(write(10).code, 0);
    let before = fs::read_to_string(&file).expect("a progress file");
    assert_eq!(write(20).code, 0);
    // The state in which a crash right after sending leaves the file: planned, not yet counted as stored.
    let mut crashed: serde_json::Value = serde_json::from_str(&before).expect("an object");
    let after: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(&file).expect("a progress file")).expect("an object");
    crashed["planned"] = after["stored"].clone();
    fs::write(&file, crashed.to_string()).expect("written");
    assert_eq!(write(30).code, 0);
    assert_eq!(stored(&world, "s"), lines(0..30));
}

#[test]
fn long_bytes_arrive_unchanged() {
    let world = World::new();
    world.run(&["create", "s", "--content-type", "text/plain"]);
    let text: String = (0..400_000).map(|n| format!("{n}\n")).collect();
    assert!(text.len() > 2 << 20);
    let written = world.pipe(text.as_bytes(), &["write", "s"]);
    assert_eq!((written.code, written.err.as_str()), (0, ""));
    assert_eq!(world.read("s"), text);
}
