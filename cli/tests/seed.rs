//! The lines of the installation page, run as they are printed; only the URL is ours.

mod support;

use std::io::{BufRead as _, BufReader};

use support::World;

#[test]
fn a_stream_is_created_written_read_and_deleted() {
    let world = World::new();
    let created = world.shell("durable-stream create my-stream");
    assert_eq!((created.code, created.err.as_str()), (0, ""));
    assert_eq!(
        created.out,
        format!("Stream created successfully: \"my-stream\"\n  URL: {}/v1/stream/my-stream\n", world.origin())
    );

    let written = world.shell("durable-stream write my-stream \"Hello, world!\"");
    assert_eq!((written.code, written.err.as_str()), (0, ""));
    assert_eq!(written.out, "Wrote 13 bytes to stream \"my-stream\"\n");

    let piped = world.shell("echo '{\"message\": \"hello\"}' | durable-stream write my-stream --json");
    assert_eq!((piped.code, piped.out.as_str()), (0, "Wrote 1 JSON message to stream \"my-stream\"\n"));
    assert!(piped.err.contains("application/octet-stream"), "a stream of bytes is remarked on: {}", piped.err);

    let read = world.shell("durable-stream read my-stream");
    assert_eq!((read.code, read.err.as_str()), (0, ""));
    assert_eq!(read.out, "Hello, world!{\"message\": \"hello\"}\n");

    let deleted = world.shell("durable-stream delete my-stream");
    assert_eq!((deleted.code, deleted.out.as_str()), (0, "Stream deleted successfully: \"my-stream\"\n"));
    assert_eq!(world.shell("durable-stream read my-stream").code, 1);
}

#[test]
fn a_file_is_piped_in() {
    let world = World::new();
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("data.json"), "[{\"n\": 1}, {\"n\": 2}]\n").expect("a file");
    world.shell("durable-stream create my-stream --json");
    let line = format!("cd '{}' && cat data.json | durable-stream write my-stream --json", folder.path().display());
    let written = world.shell(&line);
    assert_eq!((written.code, written.err.as_str()), (0, ""));
    assert_eq!(written.out, "Wrote 1 JSON message to stream \"my-stream\"\n");
    assert_eq!(world.read("my-stream"), "[[{\"n\":1},{\"n\":2}]]", "an array is one message");
}

#[test]
fn live_follows_like_tail_until_the_stream_is_closed() {
    let world = World::new();
    world.shell("durable-stream create my-stream --content-type text/plain");
    world.shell("durable-stream write my-stream 'one\\n'");
    let mut tail = world.start(&["read", "my-stream", "--live"]);
    let mut lines = BufReader::new(tail.0.stdout.take().expect("a pipe")).lines();
    let mut next = || lines.next().map(|line| line.expect("UTF-8"));
    assert_eq!(next().as_deref(), Some("one"));
    world.shell("durable-stream write my-stream 'two\\n'");
    assert_eq!(next().as_deref(), Some("two"));
    world.shell("durable-stream close my-stream");
    assert_eq!(next(), None);
    assert_eq!(tail.0.wait().expect("ends").code(), Some(0));
}

#[test]
fn both_ways_of_authentication_are_accepted() {
    let world = World::new();
    world.shell("durable-stream create my-stream");
    for line in [
        "export STREAM_AUTH=\"Bearer my-token\"; durable-stream read my-stream",
        "durable-stream --auth \"Bearer my-token\" read my-stream",
        "durable-stream read my-stream --auth \"Bearer my-token\"",
    ] {
        let read = world.shell(line);
        assert_eq!((read.code, read.err.as_str()), (0, ""), "{line}");
    }
}

#[test]
fn the_four_options_are_accepted() {
    let world = World::new();
    for line in [
        "durable-stream create text --content-type text/plain",
        "durable-stream write text more --content-type text/plain",
        "durable-stream --content-type=text/plain write text again",
        "durable-stream create json --json",
        "durable-stream write json '{}' --json",
    ] {
        let ran = world.shell(line);
        assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{line}");
    }
}
