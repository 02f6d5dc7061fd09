//! What the commands say and do, on a real server.

mod support;

use support::{World, bare, ran};

#[test]
fn create_again_with_the_same_settings_succeeds_and_with_others_fails() {
    let world = World::new();
    let first = world.run(&["create", "a/b:c", "--json", "--ttl", "1h"]);
    assert_eq!(first.code, 0, "{first:?}");
    assert_eq!(world.run(&["create", "a/b:c", "--ttl", "60m", "--json"]), first);
    let other = world.run(&["create", "a/b:c"]);
    assert_eq!((other.code, other.out.as_str()), (1, ""));
    assert!(other.err.starts_with("Failed to create stream \"a/b:c\"\n  HTTP 409 Conflict: "), "{}", other.err);
}

#[test]
fn head_shows_type_offset_closure_and_expiry() {
    let world = World::new();
    world.run(&["create", "s", "--content-type", "text/plain", "--ttl", "90s"]);
    world.run(&["write", "s", "hello"]);
    let head = world.run(&["head", "s"]);
    assert_eq!((head.code, head.err.as_str()), (0, ""));
    for part in ["Stream \"s\"", "text/plain", "Closed: no", "after 90 s", "/v1/stream/s"] {
        assert!(head.out.contains(part), "{}", head.out);
    }
    world.run(&["create", "t", "--closed", "--expires-at", "2100-01-01T00:00:00Z"]);
    let head = world.run(&["head", "t"]);
    assert!(head.out.contains("Closed: yes") && head.out.contains("2100-01-01"), "{}", head.out);
}

#[test]
fn close_ends_a_stream_with_a_last_message() {
    let world = World::new();
    world.run(&["create", "s", "--json"]);
    let closed = world.run(&["close", "s", "{\"last\": true}"]);
    assert_eq!(closed.code, 0, "{closed:?}");
    assert!(closed.out.starts_with("Stream closed successfully: \"s\"\n"), "{}", closed.out);
    assert_eq!(world.read("s"), "[{\"last\":true}]");
    assert_eq!(world.run(&["close", "s"]).code, 0, "closing again is fine");
    let late = world.run(&["write", "s", "1"]);
    assert_eq!(late.code, 1);
    assert!(late.err.contains("HTTP 409 Conflict: the stream is closed"), "{}", late.err);
}

#[test]
fn a_fork_continues_its_source() {
    let world = World::new();
    world.run(&["create", "main", "--json"]);
    world.run(&["write", "main", "[1,2,3]", "--batch-json"]);
    let forked = world.run(&["fork", "main", "side"]);
    assert_eq!(forked.code, 0, "{forked:?}");
    world.run(&["write", "side", "4"]);
    assert_eq!(world.run(&["read", "side", "--format", "ndjson"]).out, "1\n2\n3\n4\n");
    assert_eq!(world.read("main"), "[1,2,3]");
    let start = "0000000000000000_0000000000000000";
    let part = world.run(&["fork", "main", "part", "--offset", start, "--sub-offset", "2"]);
    assert_eq!(part.code, 0, "{part:?}");
    assert_eq!(world.read("part"), "[1,2]");
    let none = world.run(&["fork", "nothing", "x"]);
    assert!(
        none.code == 1 && none.err.starts_with("Failed to fork stream \"nothing\"\n  HTTP 404 Not Found"),
        "{none:?}"
    );
}

#[test]
fn sizes_are_told_in_bytes_kb_and_mb() {
    let world = World::new();
    world.run(&["create", "s"]);
    for (length, size) in [(5, "5 bytes"), (1536, "1.5 KB"), (2 << 20, "2.0 MB")] {
        let written = world.pipe(&vec![b'x'; length], &["write", "s"]);
        assert_eq!(written.out, format!("Wrote {size} to stream \"s\"\n"), "{}", written.err);
    }
    assert_eq!(world.read("s").len(), 5 + 1536 + (2 << 20));
}

#[test]
fn words_are_joined_and_escapes_replaced_once() {
    let world = World::new();
    world.run(&["create", "s", "--content-type", "text/plain"]);
    let written = world.run(&["write", "s", r"a\tb", r"c\\n", r"\n", "-5"]);
    assert_eq!(written.code, 0, "{written:?}");
    assert_eq!(world.read("s"), "a\tb c\\n \n -5");
    world.run(&["create", "raw", "--content-type", "text/plain"]);
    world.pipe(br"a\tb", &["write", "raw"]);
    assert_eq!(world.read("raw"), r"a\tb", "standard input is never altered");
}

#[test]
fn json_keeps_its_text() {
    let world = World::new();
    world.run(&["create", "s", "--json"]);
    let text = r#"{"z":1,"a":12345678901234567890123,"f":1.0,"e":"x\ny"}"#;
    assert_eq!(world.run(&["write", "s", text]).out, "Wrote 1 JSON message to stream \"s\"\n");
    world.run(&["write", "s", "[1,[2]]", "--json"]);
    assert_eq!(world.run(&["read", "s", "--format", "ndjson"]).out, format!("{text}\n[1,[2]]\n"));
}

#[test]
fn a_batch_stores_each_element() {
    let world = World::new();
    world.run(&["create", "s", "--json"]);
    assert_eq!(
        world.run(&["write", "s", "--batch-json", "[{\"t\":71},[1],\"x\"]"]).out,
        "Wrote 3 messages to stream \"s\"\n"
    );
    assert_eq!(world.run(&["write", "s", "--batch-json", "{\"t\":72}"]).out, "Wrote 1 message to stream \"s\"\n");
    assert_eq!(world.run(&["read", "s", "--format", "ndjson"]).out, "{\"t\":71}\n[1]\n\"x\"\n{\"t\":72}\n");
    let empty = world.run(&["write", "s", "--batch-json", "[]"]);
    assert!(empty.code == 1 && empty.err.contains("empty"), "{empty:?}");
}

#[test]
fn a_long_batch_is_sent_in_pieces_and_in_order() {
    let world = World::new();
    world.run(&["create", "s", "--json"]);
    let elements: Vec<String> = (0..30_000).map(|n| format!("{{\"n\":{n},\"pad\":\"{:060}\"}}", n)).collect();
    let array = format!("[{}]", elements.join(","));
    assert!(array.len() > 2 << 20);
    let written = world.pipe(array.as_bytes(), &["write", "s", "--batch-json"]);
    assert_eq!(written.out, "Wrote 30000 messages to stream \"s\"\n", "{}", written.err);
    assert_eq!(world.run(&["read", "s", "--format", "ndjson"]).out, elements.join("\n") + "\n");
}

#[test]
fn the_url_decides_where_streams_live() {
    let world = World::new();
    world.run(&["create", "s", "--content-type", "text/plain"]);
    world.run(&["write", "s", "x"]);
    let full = format!("{}/v1/stream/s", world.origin());
    let with = |arguments: &[&str]| ran(bare(arguments).output().expect("runs"));
    assert_eq!(with(&["read", &full]).out, "x", "a full URL as id");
    assert_eq!(with(&["--url", world.origin(), "read", "s"]).out, "x", "no path: the prefix is appended");
    assert_eq!(with(&["read", "/s", &format!("--url={}/v1/stream/", world.origin())]).out, "x", "a path of its own");
    assert_eq!(with(&["read", "stream/s", "--url", world.origin(), "--prefix", "/v1"]).out, "x");
    assert_eq!(with(&["read", "v1/stream/s", "--url", world.origin(), "--prefix", "/"]).out, "x");
    // The flag beats the variable.
    let mut command = world.command(&["read", "s", "--url", "http://127.0.0.1:1"]);
    assert_eq!(ran(command.output().expect("runs")).code, 1);
}

#[test]
fn results_are_objects_when_asked_for() {
    let world = World::new();
    let object = |arguments: &[&str]| -> serde_json::Value {
        let ran = world.run(&[arguments, &["--output", "json"]].concat());
        assert_eq!(ran.code, 0, "{ran:?}");
        serde_json::from_str(&ran.out).expect("one object")
    };
    let created = object(&["create", "s", "--json"]);
    assert_eq!((&created["ok"], &created["is_new"], &created["stream"]), (&true.into(), &true.into(), &"s".into()));
    assert_eq!(object(&["create", "s", "--json"])["is_new"], false);
    let written = object(&["write", "s", "1"]);
    assert_eq!((&written["messages"], &written["command"]), (&1.into(), &"write".into()));
    let head = object(&["head", "s"]);
    assert_eq!((&head["content_type"], &head["closed"]), (&"application/json".into(), &false.into()));
    assert_eq!(head["next_offset"], written["next_offset"]);
    assert_eq!(object(&["delete", "s"])["command"], "delete");
}

#[test]
fn help_version_and_completions_go_to_standard_output() {
    for arguments in [&["--help"][..], &["-h"], &["read", "--help"], &["--nonsense", "--help"]] {
        let help = ran(bare(arguments).output().expect("runs"));
        assert_eq!((help.code, help.err.as_str()), (0, ""), "{arguments:?}");
        assert!(help.out.contains("Usage: durable-stream"), "{}", help.out);
    }
    let version = ran(bare(&["--version"]).output().expect("runs"));
    assert_eq!((version.code, version.out), (0, format!("durable-stream {}\n", env!("CARGO_PKG_VERSION"))));
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let script = ran(bare(&["completions", shell]).output().expect("runs"));
        assert!(script.code == 0 && script.out.contains("durable-stream"), "{shell}");
    }
}
