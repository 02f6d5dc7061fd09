//! What goes wrong: words, streams, exit codes.

mod support;

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use support::{Ran, Running, World, bare, ran};

fn fails(ran: &Ran, begin: &str, parts: &[&str]) {
    assert_eq!((ran.code, ran.out.as_str()), (1, ""), "{ran:?}");
    assert!(ran.err.starts_with(begin), "{}", ran.err);
    for part in parts {
        assert!(ran.err.contains(part), "{part:?} in {}", ran.err);
    }
}

#[test]
fn a_missing_stream_is_told_in_words() {
    let world = World::new();
    fails(
        &world.run(&["write", "none", "x"]),
        "Failed to write to stream \"none\"\n  HTTP 404 Not Found",
        &["create none"],
    );
    fails(&world.run(&["read", "none"]), "Failed to read stream \"none\"\n  HTTP 404 Not Found", &[]);
    fails(&world.run(&["delete", "none"]), "Failed to delete stream \"none\"\n  HTTP 404 Not Found", &[]);
    fails(&world.run(&["head", "none"]), "Failed to inspect stream \"none\"\n  HTTP 404 Not Found", &[]);
    fails(&world.run(&["read", "none", "--live"]), "Failed to read stream \"none\"\n  HTTP 404 Not Found", &[]);
}

#[test]
fn an_explicit_type_that_differs_is_the_servers_409() {
    let world = World::new();
    world.run(&["create", "s", "--content-type", "text/plain"]);
    let written = world.run(&["write", "s", "x", "--content-type", "text/html"]);
    fails(&written, "Failed to write to stream \"s\"\n  HTTP 409 Conflict", &["content type"]);
}

#[test]
fn bad_usage_names_argument_value_and_fix() {
    let world = World::new();
    for (arguments, parts) in [
        (&["frobnicate", "s"][..], &["frobnicate"][..]),
        (&[], &["no command", "Usage"]),
        (&["read"], &["<id>"]),
        (&["read", "s", "--wat"], &["--wat"]),
        (&["read", "s", "--format", "xml"], &["xml", "ndjson"]),
        (&["read", "s", "--limit", "none"], &["none", "--limit", "whole number"]),
        (&["read", "s", "--timeout", "soon"], &["soon", "--timeout", "10s"]),
        (&["read", "s", "--transport", "sse"], &["--live"]),
        (&["create", "s", "--ttl", "1h", "--expires-at", "2100-01-01T00:00:00Z"], &["--ttl", "--expires-at"]),
        (&["create", "s", "--expires-at", "tomorrow"], &["tomorrow", "--expires-at", "RFC 3339"]),
        (&["create", "s", "--content-type", "nonsense"], &["nonsense", "text/plain"]),
        (&["create", "s", "--json", "--content-type", "text/plain"], &["--json", "text/plain"]),
        (&["create", "s", "--content-type", "--json"], &["--content-type"]),
        (&["write", "s", "x", "--checkpoint", "f"], &["--producer-id"]),
        (&["write", "s", "x", "--producer-id", ""], &["--producer-id", "name"]),
        (&["fork", "s", "t", "--offset", "-1"], &["--offset", "-1", "tail"]),
        (&["create", "a b"], &["a b", "letters"]),
        (&["create", "../x"], &["../x", ".."]),
        (&["create", "a//b"], &["a//b", "empty"]),
        (&["create", ""], &["empty"]),
        (&["--url", "localhost:4437", "read", "s"], &["--url", "localhost:4437", "http://"]),
        (&["--url", "ftp://h", "read", "s"], &["--url", "ftp://h"]),
        (&["--auth", "", "read", "s"], &["--auth", "empty"]),
        (&["--auth", "a\nb", "read", "s"], &["--auth", "line break"]),
        (&["--auth-file", "/nonexistent/token", "read", "s"], &["--auth-file", "/nonexistent/token"]),
        (&["demo", "--input", "/nonexistent/feed"], &["--input", "/nonexistent/feed"]),
    ] {
        let refused = world.run(arguments);
        assert_eq!((refused.code, refused.out.as_str()), (1, ""), "{arguments:?}: {refused:?}");
        assert!(refused.err.starts_with("Error: "), "{arguments:?}: {}", refused.err);
        for part in parts {
            assert!(refused.err.contains(part), "{part:?} for {arguments:?} in {}", refused.err);
        }
    }
    let mut command = bare(&["read", "s"]);
    let refused = ran(command.env("STREAM_URL", "streams.example.com").output().expect("runs"));
    fails(&refused, "Error: STREAM_URL \"streams.example.com\"", &["http://"]);
}

#[test]
fn nothing_to_write_is_explained() {
    let world = World::new();
    world.run(&["create", "s"]);
    fails(&world.pipe(b"", &["write", "s"]), "Error: no content to write", &["standard input is empty"]);
    fails(&world.pipe(b"", &["write", "s", "--json"]), "Error: no content to write", &[]);
    fails(&world.pipe(b"", &["write", "s", "--ndjson"]), "", &["no content to write"]);
    fails(&world.run(&["write", "s", ""]), "Error: no content to write", &[]);
}

#[test]
fn invalid_json_is_shown_up_to_a_hundred_characters() {
    let world = World::new();
    world.run(&["create", "s", "--json"]);
    let long = format!("{{{}", "x".repeat(500));
    let refused = world.run(&["write", "s", &long, "--json"]);
    fails(&refused, "Error: invalid JSON", &[&long[..100]]);
    assert!(!refused.err.contains(&long[..101]), "{}", refused.err);
    fails(&world.run(&["write", "s", "just text"]), "Error: invalid JSON", &["just text"]);
    fails(&world.pipe(b"{\"a\":1}\n{\"a\":2}\n", &["write", "s", "--json"]), "Error: invalid JSON", &["--ndjson"]);
    fails(&world.pipe(b"{\"a\":", &["write", "s", "--json"]), "Error: invalid JSON", &[]);
    assert_eq!(world.read("s"), "[]");
}

#[test]
fn credentials_are_never_shown() {
    let world = World::new();
    world.run(&["create", "s"]);
    let odd = world.run(&["--auth", "s3cret", "read", "s"]);
    assert_eq!(odd.code, 0);
    assert!(odd.err.starts_with("Warning: ") && !odd.err.contains("s3cret"), "{}", odd.err);
    let refused =
        ran(bare(&["--url", "http://127.0.0.1:1", "--auth", "Bearer s3cret", "read", "s"]).output().expect("runs"));
    assert!(refused.code == 1 && !refused.err.contains("s3cret"), "{refused:?}");
    let refused = ran(bare(&["--url", "http://me:s3cret@h", "read", "s"]).output().expect("runs"));
    assert!(refused.code == 1 && !refused.err.contains("s3cret"), "{refused:?}");
}

/// A server that answers everything with one status and shows what it was asked.
fn fixed(status: &'static str) -> (String, std::thread::JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}/s", listener.local_addr().expect("an address"));
    let served = std::thread::spawn(move || {
        let (mut socket, _) = listener.accept().expect("a client");
        let mut request = String::new();
        let mut lines = BufReader::new(socket.try_clone().expect("a socket"));
        while lines.read_line(&mut request).expect("a line") > 2 {}
        let _ = write!(socket, "HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        request
    });
    (url, served)
}

#[test]
fn the_authorization_is_sent_as_it_is() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("token");
    std::fs::write(&file, "Token from-file\n").expect("written");
    let file = file.to_str().expect("UTF-8");
    for (option, wanted) in [(["--auth", "Bearer a b"], "Bearer a b"), (["--auth-file", file], "Token from-file")] {
        let (url, served) = fixed("404 Not Found");
        let refused = ran(bare(&[&option[..], &["read", &url]].concat()).output().expect("runs"));
        fails(&refused, "Failed to read stream", &["404"]);
        let request = served.join().expect("served").to_ascii_lowercase();
        assert!(request.contains(&format!("authorization: {}\r\n", wanted.to_ascii_lowercase())), "{request}");
    }
}

#[test]
fn detailed_exit_codes_tell_kinds_apart() {
    let world = World::new();
    world.run(&["create", "s"]);
    world.run(&["close", "s"]);
    let code = |arguments: &[&str]| world.run(&[arguments, &["--exit-codes", "detailed"]].concat()).code;
    assert_eq!(code(&["head", "s"]), 0);
    assert_eq!(code(&["head", "s", "--wat"]), 2);
    assert_eq!(code(&["head", "a b"]), 2);
    assert_eq!(code(&["head", "none"]), 3);
    assert_eq!(code(&["create", "s", "--json"]), 4);
    assert_eq!(code(&["write", "s", "x"]), 5);
    assert_eq!(code(&["head", "s", "--url", "http://127.0.0.1:1"]), 7);
    assert_eq!(code(&["read", "s", "--offset", "oops"]), 10);
    for (status, wanted) in [("401 Unauthorized", 6), ("403 Forbidden", 6), ("410 Gone", 9)] {
        let (url, _served) = fixed(status);
        assert_eq!(code(&["head", &url]), wanted, "{status}");
    }
}

#[test]
fn errors_are_objects_when_asked_for() {
    let world = World::new();
    let object = |arguments: &[&str]| -> serde_json::Value {
        let ran = world.run(&[&["--output", "json"], arguments].concat());
        assert_eq!((ran.code, ran.out.as_str()), (1, ""));
        serde_json::from_str(&ran.err).expect("one object")
    };
    let missing = object(&["read", "none"]);
    assert_eq!(missing["ok"], false);
    assert_eq!((&missing["error"]["code"], &missing["error"]["status"]), (&"NOT_FOUND".into(), &404.into()));
    assert_eq!(object(&["read", "a b"])["error"]["code"], "INVALID_ARGUMENT");
    assert_eq!(object(&["read", "s", "--wat"])["error"]["code"], "INVALID_ARGUMENT");
}

#[test]
fn a_reader_that_goes_away_ends_the_read_quietly() {
    let world = World::new();
    world.run(&["create", "s"]);
    world.pipe(&vec![b'x'; 4 << 20], &["write", "s"]);
    let mut read = world.command(&["read", "s"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("starts");
    let mut begin = [0; 10];
    read.stdout.take().expect("a pipe").read_exact(&mut begin).expect("the begin");
    let mut said = String::new();
    read.stderr.take().expect("a pipe").read_to_string(&mut said).expect("UTF-8");
    assert_eq!((read.wait().expect("ends").code(), said.as_str()), (Some(0), ""));
}

#[cfg(target_os = "linux")]
#[test]
fn a_live_read_ends_when_its_reader_goes_away_although_nothing_comes() {
    let world = World::new();
    world.run(&["create", "s", "--content-type", "text/plain"]);
    world.run(&["write", "s", "here\\n"]);
    let head = world.shell("durable-stream read s --live | head -1");
    assert_eq!((head.code, head.out.as_str(), head.err.as_str()), (0, "here\n", ""));
}

#[cfg(unix)]
#[test]
fn an_interrupt_ends_a_live_read_at_once_with_130() {
    let world = World::new();
    world.run(&["create", "s", "--content-type", "text/plain"]);
    world.run(&["write", "s", "here\\n"]);
    for transport in ["long-poll", "sse"] {
        let mut tail = world.start(&["read", "s", "--live", "--transport", transport]);
        let mut first = String::new();
        BufReader::new(tail.0.stdout.as_mut().expect("a pipe")).read_line(&mut first).expect("a line");
        assert_eq!(first, "here\n");
        let interrupted = Instant::now();
        let sent = Command::new("kill").args(["-INT", &tail.0.id().to_string()]).status().expect("kill runs");
        assert!(sent.success());
        let code = tail.0.wait().expect("ends").code();
        let took = interrupted.elapsed();
        assert_eq!(code, Some(130), "{transport}");
        assert!(took < Duration::from_millis(1000), "{transport} took {took:?}");
    }
}

#[cfg(unix)]
#[test]
fn an_interrupt_ends_a_connect_that_hangs() {
    // A listener that never accepts: its queue takes the connection, no answer ever comes.
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}/s", listener.local_addr().expect("an address"));
    let child = bare(&["head", &url]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("starts");
    let mut head = Running(child);
    let (socket, _): (TcpStream, _) = listener.accept().expect("a client");
    assert!(Command::new("kill").args(["-INT", &head.0.id().to_string()]).status().expect("kill runs").success());
    assert_eq!(head.0.wait().expect("ends").code(), Some(130));
    drop(socket);
}
