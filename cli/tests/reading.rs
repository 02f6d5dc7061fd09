//! `read` with its options.

mod support;

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _},
};

use support::World;

fn numbers(world: &World, id: &str, batches: &[&str]) {
    world.run(&["create", id, "--json"]);
    for batch in batches {
        let written = world.run(&["write", id, batch, "--batch-json"]);
        assert_eq!(written.code, 0, "{written:?}");
    }
}

fn tail_of(world: &World, id: &str) -> String {
    let head = world.run(&["head", id, "--output", "json"]);
    let head: serde_json::Value = serde_json::from_str(&head.out).expect("an object");
    head["next_offset"].as_str().expect("an offset").to_owned()
}

#[test]
fn an_offset_says_where_to_start() {
    let world = World::new();
    numbers(&world, "s", &["[1,2]"]);
    let middle = tail_of(&world, "s");
    world.run(&["write", "s", "3"]);
    assert_eq!(world.run(&["read", "s", "--offset", &middle]).out, "[3]");
    assert_eq!(world.run(&["read", "s", "--offset", "-1", "--format", "ndjson"]).out, "1\n2\n3\n");
    assert_eq!(world.run(&["read", "s", "--offset", "now"]).out, "[]");
    let bad = world.run(&["read", "s", "--offset", "oops"]);
    assert!(bad.code == 1 && bad.err.starts_with("Failed to read stream \"s\"\n  HTTP 400 Bad Request"), "{bad:?}");
}

#[test]
fn formats_change_the_form_only() {
    let world = World::new();
    numbers(&world, "s", &["[{\"a\":1.0},\"x\"]"]);
    assert_eq!(world.run(&["read", "s"]).out, "[{\"a\":1.0},\"x\"]");
    assert_eq!(world.run(&["read", "s", "--format", "raw"]).out, "[{\"a\":1.0},\"x\"]");
    assert_eq!(world.run(&["read", "s", "--format", "ndjson"]).out, "{\"a\":1.0}\n\"x\"\n");
    assert_eq!(world.run(&["read", "s", "--format", "pretty"]).out, "{\n  \"a\": 1.0\n}\n\"x\"\n");
    world.run(&["create", "bytes"]);
    world.pipe(b"\x00\x01AB", &["write", "bytes"]);
    let hex = world.run(&["read", "bytes", "--format", "hex"]);
    assert_eq!(hex.out, format!("00000000  00 01 41 42{}  |..AB|\n", " ".repeat(12 * 3 + 1)));
    let refused = world.run(&["read", "bytes", "--format", "ndjson"]);
    assert!(refused.code == 1 && refused.err.contains("application/octet-stream"), "{refused:?}");
}

#[test]
fn a_limit_counts_messages_or_bytes() {
    let world = World::new();
    numbers(&world, "s", &["[1,2,3]", "[4,5]"]);
    assert_eq!(world.run(&["read", "s", "--limit", "2"]).out, "[1,2]");
    assert_eq!(world.run(&["read", "s", "--limit", "4", "--format", "ndjson"]).out, "1\n2\n3\n4\n");
    assert_eq!(world.run(&["read", "s", "--limit", "9", "--format", "ndjson"]).out, "1\n2\n3\n4\n5\n");
    world.run(&["create", "t", "--content-type", "text/plain"]);
    world.run(&["write", "t", "hello world"]);
    assert_eq!(world.run(&["read", "t", "--limit", "5"]).out, "hello");
    let live = world.run(&["read", "s", "--live", "--limit", "5", "--format", "ndjson"]);
    assert_eq!((live.code, live.out.as_str()), (0, "1\n2\n3\n4\n5\n"), "a limit ends a live read");
}

#[test]
fn a_checkpoint_resumes_after_what_was_printed() {
    let world = World::new();
    numbers(&world, "s", &["[1,2,3]"]);
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("mark");
    let file = file.to_str().expect("UTF-8");
    let read = |more: &[&str]| {
        let ran = world.run(&[&["read", "s", "--format", "ndjson", "--checkpoint", file], more].concat());
        assert_eq!(ran.code, 0, "{ran:?}");
        ran.out
    };
    assert_eq!(read(&[]), "1\n2\n3\n");
    assert_eq!(fs::read_to_string(file).expect("a file").lines().next(), Some(tail_of(&world, "s").as_str()));
    assert_eq!(read(&[]), "", "nothing new");
    world.run(&["write", "s", "[4,5,6]", "--batch-json"]);
    assert_eq!(read(&["--limit", "2"]), "4\n5\n", "a limit may stop inside a batch");
    assert_eq!(read(&["--limit", "1"]), "6\n", "and nothing is skipped or repeated");
    world.run(&["write", "s", "7"]);
    assert_eq!(read(&[]), "7\n");
    let other = world.run(&["read", "t", "--checkpoint", file]);
    assert!(other.code == 1 && other.err.contains(file), "another stream's file is refused: {other:?}");
}

#[test]
fn a_checkpoint_of_now_holds_a_real_offset() {
    let world = World::new();
    numbers(&world, "s", &["[1]"]);
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("mark");
    let file = file.to_str().expect("UTF-8");
    let now = world.run(&["read", "s", "--offset", "now", "--checkpoint", file]);
    assert_eq!(now.code, 0, "{now:?}");
    world.run(&["write", "s", "2"]);
    let next = world.run(&["read", "s", "--offset", "now", "--checkpoint", file, "--format", "ndjson"]);
    assert_eq!(next.out, "2\n", "the file beats --offset: {next:?}");
}

#[test]
fn a_quiet_live_read_ends_after_its_timeout() {
    let world = World::new();
    numbers(&world, "s", &["[1]"]);
    for transport in ["long-poll", "sse"] {
        let read = world.run(&["read", "s", "--live", "--timeout", "300ms", "--transport", transport]);
        assert_eq!((read.code, read.out.as_str(), read.err.as_str()), (0, "[1]", ""), "{transport}");
    }
}

#[test]
fn both_transports_follow() {
    let world = World::new();
    for transport in ["long-poll", "sse"] {
        numbers(&world, transport, &["[1]"]);
        let mut tail = world.start(&["read", transport, "-f", "--transport", transport, "--format", "ndjson"]);
        let mut lines = BufReader::new(tail.0.stdout.take().expect("a pipe")).lines();
        let mut next = || lines.next().map(|line| line.expect("UTF-8"));
        assert_eq!(next().as_deref(), Some("1"));
        for n in 2..5 {
            world.run(&["write", transport, &n.to_string()]);
            assert_eq!(next(), Some(n.to_string()));
        }
        world.run(&["close", transport, "5"]);
        assert_eq!(next().as_deref(), Some("5"));
        assert_eq!(next(), None);
        assert_eq!(tail.0.wait().expect("ends").code(), Some(0));
    }
}

#[test]
fn texts_are_followed_byte_by_byte() {
    let world = World::new();
    world.run(&["create", "t", "--content-type", "text/plain"]);
    let text = b"dos\r\n  indented\r\nold mac\rlast";
    let tail = world.start(&["read", "t", "--live"]);
    world.pipe(text, &["write", "t"]);
    world.run(&["close", "t"]);
    let mut tail = tail;
    let mut got = Vec::new();
    tail.0.stdout.take().expect("a pipe").read_to_end(&mut got).expect("readable");
    assert_eq!(got, text);
}
