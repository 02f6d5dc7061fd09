//! The standalone binary: what it accepts, what it refuses and how, and how it ends.

#![cfg(feature = "bin")]
#![allow(clippy::unwrap_used, missing_docs)]

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    path::Path,
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

use tempfile::TempDir;

fn program(dir: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_durable-streams-server"));
    command.current_dir(dir).env_clear().env("RUST_LOG", "warn");
    command
}

fn run(dir: &Path, args: &[&str]) -> Output {
    program(dir).args(args).output().expect("the program runs")
}

/// Exit code, standard output, standard error.
fn outcome(dir: &Path, args: &[&str]) -> (i32, String, String) {
    let Output { status, stdout, stderr } = run(dir, args);
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
    (status.code().expect("an exit code"), text(stdout), text(stderr))
}

fn write(dir: &TempDir, name: &str, text: &str) -> String {
    std::fs::write(dir.path().join(name), text).expect("written");
    name.to_owned()
}

/// A server process; killed when dropped.
struct Running {
    child: Child,
    out: BufReader<std::process::ChildStdout>,
    port: u16,
}

impl Running {
    fn start(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("started");
        let mut out = BufReader::new(child.stdout.take().expect("its output"));
        let mut line = String::new();
        out.read_line(&mut line).expect("a line");
        let Some(url) = line.trim_end().strip_prefix("listening on http://") else {
            let mut reason = String::new();
            child.stderr.take().expect("its errors").read_to_string(&mut reason).expect("UTF-8");
            panic!("{line:?}: {reason}");
        };
        let port = url.rsplit(':').next().and_then(|port| port.parse().ok()).expect("a port");
        Self { child, out, port }
    }

    /// One request on its own connection; gives status and body.
    fn ask(&self, method: &str, target: &str, headers: &[&str], body: &str) -> (u16, String) {
        let mut socket = TcpStream::connect(("127.0.0.1", self.port)).expect("connected");
        let mut text = format!("{method} {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n");
        for header in headers {
            text.push_str(&format!("{header}\r\n"));
        }
        text.push_str(&format!("Content-Length: {}\r\n\r\n{body}", body.len()));
        socket.write_all(text.as_bytes()).expect("sent");
        let mut reply = String::new();
        socket.read_to_string(&mut reply).expect("an answer");
        let (head, body) = reply.split_once("\r\n\r\n").expect("a head");
        (head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status"), body.to_owned())
    }

    #[cfg(unix)]
    fn signal(&self, signal: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args([signal, &pid]).status().expect("kill runs").success());
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn bad_flags_name_themselves_and_the_fix() {
    let dir = tempfile::tempdir().expect("a directory");
    for (args, parts) in [
        (&["--prot", "1"][..], &["--prot", "--port"][..]),
        (&["dev", "--colour"], &["--colour"]),
        (&["--port", "many"], &["--port is \"many\"", "0 to 65535"]),
        (&["--storage", "s3"], &["--storage is \"s3\"", "file or memory"]),
        (&["--tier", "s3"], &["--tier", "not built into"]),
        (&["--tier-bucket", "b"], &["--tier-bucket", "not built into"]),
        (&["--long-poll-timeout", "20"], &["--long-poll-timeout is \"20\"", "30s"]),
        (&["--tls-cert", "x"], &["tls-cert", "tls-key"]),
        (&["serve"], &["serve"]),
        (&["validate"], &["--config"]),
    ] {
        let (code, out, error) = outcome(dir.path(), args);
        assert_eq!((code, out.as_str()), (2, ""), "{args:?}: {error}");
        assert!(parts.iter().all(|part| error.contains(part)), "{args:?}: {error}");
    }
}

#[test]
fn bad_variables_name_themselves() {
    let dir = tempfile::tempdir().expect("a directory");
    let output = program(dir.path()).arg("dev").env("DS_MAX_BODY_BYTES", "huge").output().expect("runs");
    let error = String::from_utf8(output.stderr).expect("UTF-8");
    assert_eq!(output.status.code(), Some(2));
    assert!(error.contains("DS_MAX_BODY_BYTES is \"huge\"") && error.contains("16MiB"), "{error}");
}

#[test]
fn bad_files_name_file_line_and_fix_and_end_run_with_1_and_validate_with_2() {
    let dir = tempfile::tempdir().expect("a directory");
    for (name, text, parts) in [
        ("a.toml", "port = 1\nstorag = \"file\"\n", &["a.toml:2:", "storag", "did you mean storage"][..]),
        ("b.toml", "port = \"x\"\n", &["b.toml:1:", "the key port", "\"x\""]),
        ("c.toml", "port = = 1\n", &["c.toml:1:"]),
        ("Caddyfile.bad", ":1 {\n  file_server\n}\n", &["Caddyfile.bad:2:", "file_server", "in front"]),
        (
            "d.caddy",
            ":1 {\n durable_streams {\n store memory\n data_dir x\n }\n}",
            &["d.caddy:4:", "store and data_dir"],
        ),
    ] {
        let file = write(&dir, name, text);
        for (command, expected) in [("run", 1), ("validate", 2)] {
            let (code, _, error) = outcome(dir.path(), &[command, "--config", &file]);
            assert_eq!(code, expected, "{name}: {error}");
            assert!(parts.iter().all(|part| error.contains(part)), "{error}");
        }
    }
    let (code, _, error) = outcome(dir.path(), &["run", "-c", "missing.toml"]);
    assert_eq!(code, 1);
    assert!(error.contains("missing.toml"), "{error}");
}

#[test]
fn version_and_help_are_answered() {
    let dir = tempfile::tempdir().expect("a directory");
    for args in [&["version"][..], &["--version"], &["-V"]] {
        let (code, out, _) = outcome(dir.path(), args);
        assert_eq!((code, out.trim_end()), (0, concat!("durable-streams-server ", env!("CARGO_PKG_VERSION"))));
    }
    let (code, out, _) = outcome(dir.path(), &["--help"]);
    assert_eq!(code, 0);
    for word in ["dev", "run", "validate", "version", "--long-poll-timeout-ms", "--webhooks", "STREAMS_DIR"] {
        assert!(out.contains(word), "{word}");
    }
}

#[test]
fn validate_shows_what_would_run() {
    let dir = tempfile::tempdir().expect("a directory");
    let caddyfile = write(
        &dir,
        "Caddyfile",
        ":{$PORT:4437} {\n\tdurable_streams {\n\t\tprefix /v1/stream/\n\t\tstore file {\n\t\t\tdir /var/lib/streams\n\t\t}\n\
         \t\tlong_poll_timeout 20s\n\t}\n}\n",
    );
    let (code, out, error) = outcome(dir.path(), &["validate", "--config", &caddyfile, "--adapter", "caddyfile"]);
    assert_eq!(code, 0, "{error}");
    for line in ["http://0.0.0.0:4437", "prefix /v1/stream/", "storage file /var/lib/streams", "long-poll-timeout 20s"]
    {
        assert!(out.contains(line), "{line} in {out}");
    }
    assert!(error.contains("no access control"), "{error}");
    let toml = write(&dir, "s.toml", "host = \"127.0.0.1\"\nstorage = \"memory\"\nmax_body_bytes = \"1MiB\"\n");
    let output = program(dir.path())
        .args(["validate", "-c", &toml, "--max-body-bytes", "2MiB"])
        .env("DS_MAX_BODY_BYTES", "3MiB")
        .env("PORT", "7000")
        .output()
        .expect("runs");
    let out = String::from_utf8(output.stdout).expect("UTF-8");
    for line in ["http://127.0.0.1:7000", "storage memory", "max-body-bytes 2097152"] {
        assert!(out.contains(line), "flag over environment over file: {line} in {out}");
    }
}

#[test]
fn the_examples_are_valid() {
    let dir = tempfile::tempdir().expect("a directory");
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/server");
    for name in ["Caddyfile", "streams.toml"] {
        let file = examples.join(name);
        let (code, out, error) = outcome(dir.path(), &["validate", "--config", file.to_str().expect("UTF-8")]);
        assert_eq!(code, 0, "{error}");
        for line in ["4437", "prefix /v1/stream/", "storage file ./streams-data"] {
            assert!(out.contains(line), "{name}: {line} in {out}");
        }
    }
}

#[test]
fn port_and_host_from_outside_do_not_touch_several_sites() {
    let dir = tempfile::tempdir().expect("a directory");
    let site = |address: &str| format!("{address} {{\n durable_streams {{\n store memory\n }}\n}}\n");
    let file = write(&dir, "Caddyfile", &(site("127.0.0.1:7001") + &site("127.0.0.1:7002")));
    let output = program(dir.path()).args(["validate", "-c", &file]).env("PORT", "9").output().expect("runs");
    let (out, error) =
        (String::from_utf8(output.stdout).expect("UTF-8"), String::from_utf8(output.stderr).expect("UTF-8"));
    assert!(out.contains("127.0.0.1:7001") && out.contains("127.0.0.1:7002"), "{out}");
    assert!(error.contains("several addresses"), "{error}");
}

#[test]
fn hosts_may_share_a_port_but_not_a_name() {
    let dir = tempfile::tempdir().expect("a directory");
    let site = |address: &str| format!("{address} {{\n durable_streams {{\n store memory\n }}\n}}\n");
    let file = write(&dir, "two.caddy", &(site("a.example:7001") + &site("b.example:7001")));
    let (code, out, error) = outcome(dir.path(), &["validate", "-c", &file]);
    assert_eq!(code, 0, "{error}");
    assert_eq!(out.matches("http://").count(), 1, "{out}");
    assert!(out.contains("host a.example") && out.contains("host b.example"), "{out}");
    let file = write(&dir, "same.caddy", &(site("a.example:7001") + &site("a.example:7001")));
    let (code, _, error) = outcome(dir.path(), &["validate", "-c", &file]);
    assert_eq!(code, 2);
    assert!(error.contains("same.caddy:6: a.example:7001 is the address of two sites"), "{error}");
}

#[cfg(unix)]
#[test]
fn the_limit_of_open_files_is_lifted() {
    let dir = tempfile::tempdir().expect("a directory");
    let program = env!("CARGO_BIN_EXE_durable-streams-server");
    let mut shell = Command::new("sh");
    let script = format!("ulimit -S -n 64; exec {program} dev --port 0");
    let server = Running::start(shell.args(["-c", &script]).current_dir(dir.path()));
    let held: Vec<TcpStream> =
        (0..100).map(|_| TcpStream::connect(("127.0.0.1", server.port)).expect("connected")).collect();
    assert_eq!(server.ask("GET", "/health", &[], "").0, 200);
    drop(held);
}

#[test]
fn flags_without_a_command_serve_and_port_zero_is_printed() {
    let dir = tempfile::tempdir().expect("a directory");
    let server = Running::start(program(dir.path()).args([
        "--host",
        "127.0.0.1",
        "--port",
        "0",
        "--storage",
        "memory",
        "--long-poll-timeout-ms",
        "100",
        "--webhooks",
        "dev",
        "--worker-threads",
        "1",
        "--wal-shards",
        "2",
        "--stream-lanes",
        "4",
        "--read-offload",
        "tail",
        "--metrics",
    ]));
    assert_eq!(server.ask("PUT", "/v1/stream/a", &["Content-Type: text/plain"], "x").0, 201);
    assert_eq!(server.ask("GET", "/v1/stream/a?offset=now&live=long-poll", &[], "").0, 204);
    assert_eq!(server.ask("GET", "/health", &[], ""), (200, r#"{"status":"ok"}"#.to_owned()));
    assert_eq!(server.ask("GET", "/metrics", &[], "").0, 200);
    assert!(std::fs::read_dir(dir.path()).expect("listed").next().is_none(), "memory leaves nothing behind");
}

#[test]
fn dev_keeps_nothing_unless_a_directory_is_given() {
    let dir = tempfile::tempdir().expect("a directory");
    let server = Running::start(program(dir.path()).args(["dev", "--port", "0"]));
    assert_eq!(server.ask("PUT", "/v1/stream/a", &[], "x").0, 201);
    drop(server);
    assert!(std::fs::read_dir(dir.path()).expect("listed").next().is_none());
    let server = Running::start(program(dir.path()).args(["dev", "--port", "0"]).env("STREAMS_DIR", "kept"));
    assert_eq!(server.ask("PUT", "/v1/stream/a", &[], "x").0, 201);
    assert!(dir.path().join("kept").is_dir());
}

#[test]
fn both_caddyfile_shapes_serve() {
    let dir = tempfile::tempdir().expect("a directory");
    let shapes = [
        "{\n\torder durable_streams before reverse_proxy\n}\n127.0.0.1:0 {\n\tdurable_streams {\n\t\tprefix /v1/stream/\n\
         \t\tstore file {\n\t\t\tdir ./one\n\t\t}\n\t}\n}\n",
        "{\n\tadmin off\n\tauto_https off\n}\n127.0.0.1:0 {\n\troute /v1/stream/* {\n\t\tdurable_streams {\n\
         \t\t\tdata_dir ./two\n\t\t}\n\t}\n}\n",
    ];
    for (text, data) in shapes.into_iter().zip(["one", "two"]) {
        // `run` finds a Caddyfile where it is started.
        write(&dir, "Caddyfile", text);
        let server = Running::start(program(dir.path()).arg("run"));
        assert_eq!(server.ask("PUT", "/v1/stream/a", &["Content-Type: text/plain"], "x").0, 201);
        assert_eq!(server.ask("GET", "/v1/stream/a", &[], ""), (200, "x".to_owned()));
        assert_eq!(server.ask("PUT", "/other/a", &[], "x").0, 404);
        assert_eq!(server.ask("GET", "/health", &[], "").0, 200);
        assert!(dir.path().join(data).is_dir());
    }
}

#[test]
fn a_guarded_site_turns_strangers_away_and_proxies_the_rest() {
    let dir = tempfile::tempdir().expect("a directory");
    let behind = Running::start(program(dir.path()).args(["dev", "--port", "0", "--prefix", "/"]));
    assert_eq!(behind.ask("PUT", "/page", &["Content-Type: text/plain"], "from behind").0, 201);
    assert_eq!(behind.ask("PUT", "/verify", &["Content-Type: text/plain"], "yes").0, 201);
    let config = format!(
        "127.0.0.1:0 {{\n\t@stranger not header Authorization \"Bearer secret\"\n\trespond @stranger 401\n\
         \tforward_auth 127.0.0.1:{0} {{\n\t\turi /verify\n\t\tcopy_headers ETag\n\t}}\n\
         \tdurable_streams {{\n\t\tstore memory\n\t}}\n\treverse_proxy 127.0.0.1:{0}\n}}\n",
        behind.port
    );
    let file = write(&dir, "guarded.caddy", &config);
    let server = Running::start(program(dir.path()).args(["run", "-c", &file]));
    let secret = ["Authorization: Bearer secret", "Content-Type: text/plain"];
    assert_eq!(server.ask("PUT", "/v1/stream/a", &[], "x").0, 401);
    assert_eq!(server.ask("PUT", "/v1/stream/a", &secret, "x").0, 201);
    assert_eq!(server.ask("GET", "/v1/stream/a", &secret, ""), (200, "x".to_owned()));
    let (status, body) = server.ask("GET", "/page", &secret, "");
    assert!(status == 200 && body.contains("from behind"), "{status} {body}");
    assert_eq!(behind.ask("DELETE", "/verify", &[], "").0, 204);
    assert_eq!(server.ask("GET", "/v1/stream/a", &secret, "").0, 404, "the no of the upstream is passed on");
}

#[test]
fn an_address_in_use_is_named() {
    let dir = tempfile::tempdir().expect("a directory");
    let port = std::net::TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a port").port();
    let text = format!("localhost:{port} {{\n durable_streams {{\n store memory\n }}\n}}\n");
    let file = write(&dir, "hosts.caddy", &text);
    let server = Running::start(program(dir.path()).args(["run", "-c", &file]));
    assert_eq!(server.port, port);
    assert_eq!(server.ask("PUT", "/v1/stream/a", &[], "x").0, 201);
    let (code, _, error) = outcome(dir.path(), &["dev", "--port", &port.to_string()]);
    assert_eq!(code, 1);
    assert!(error.contains(&format!("localhost:{port}")), "{error}");
}

#[test]
fn one_directory_serves_one_process_and_foreign_ones_are_left_alone() {
    let dir = tempfile::tempdir().expect("a directory");
    let args = ["--host", "127.0.0.1", "--port", "0", "--data-dir", "data"];
    let first = Running::start(program(dir.path()).args(args));
    let (code, _, error) = outcome(dir.path(), &args);
    assert_eq!(code, 1);
    assert!(error.contains("data"), "{error}");
    drop(first);
    std::fs::create_dir(dir.path().join("photos")).expect("made");
    std::fs::write(dir.path().join("photos/cat.jpg"), "meow").expect("written");
    let (code, _, error) = outcome(dir.path(), &["--host", "127.0.0.1", "--port", "0", "--data-dir", "photos"]);
    assert_eq!(code, 1);
    assert!(error.contains("photos") && error.contains("cat.jpg"), "{error}");
    assert_eq!(std::fs::read(dir.path().join("photos/cat.jpg")).expect("still there"), b"meow");
}

#[test]
fn another_number_of_shards_on_the_same_data_is_an_error() {
    let dir = tempfile::tempdir().expect("a directory");
    let args = ["--host", "127.0.0.1", "--port", "0", "--data-dir", "data", "--wal-shards"];
    drop(Running::start(program(dir.path()).args(args).arg("4")));
    drop(Running::start(program(dir.path()).args(args).arg("4")));
    let (code, _, error) = outcome(dir.path(), &[&args[..], &["8"]].concat());
    assert_eq!(code, 2, "{error}");
    assert!(error.contains('8') && error.contains('4') && error.contains("data"), "{error}");
}

#[cfg(unix)]
#[test]
fn a_signal_ends_it_in_order_and_data_survives() {
    let dir = tempfile::tempdir().expect("a directory");
    let args = ["--host", "127.0.0.1", "--port", "0", "--data-dir", "data", "--long-poll-timeout", "10m"];
    for signal in ["-TERM", "-INT"] {
        let mut server = Running::start(program(dir.path()).args(args));
        let path = format!("/v1/stream/a{signal}");
        assert_eq!(server.ask("PUT", &path, &["Content-Type: text/plain"], "x").0, 201);
        let mut waiting = TcpStream::connect(("127.0.0.1", server.port)).expect("connected");
        waiting
            .write_all(format!("GET {path}?offset=now&live=sse HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes())
            .expect("sent");
        let mut start = [0; 16];
        waiting.read_exact(&mut start).expect("the response has begun");
        let started = Instant::now();
        server.signal(signal);
        let mut rest = String::new();
        waiting.read_to_string(&mut rest).expect("the rest");
        assert!(rest.ends_with("\r\n0\r\n\r\n"), "the response ends properly: {rest:?}");
        assert_eq!(server.child.wait().expect("ended").code(), Some(0));
        assert!(started.elapsed() < Duration::from_secs(10));
        let mut left = String::new();
        server.out.read_to_string(&mut left).expect("no more output");
        assert_eq!(left, "");
        let again = Running::start(program(dir.path()).args(args));
        assert_eq!(again.ask("GET", &path, &[], ""), (200, "x".to_owned()));
    }
}
