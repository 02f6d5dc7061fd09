//! `serve`: the bundled server, started from the command line.

mod support;

use std::{
    io::{BufRead as _, BufReader},
    process::Stdio,
};

use support::{Running, bare, ran};

#[test]
fn serve_prints_its_url_and_answers() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    let arguments = ["serve", "--host", "127.0.0.1", "--port", "0", "--storage", "file", "--data-dir"];
    let mut command = bare(&arguments);
    let child = command.arg(&data).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("starts");
    let mut server = Running(child);
    let mut lines = BufReader::new(server.0.stdout.take().expect("a pipe")).lines();
    let url = lines.by_ref().map(|line| line.expect("UTF-8")).find_map(|line| {
        let begin = line.find("http://")?;
        line[begin..].split_whitespace().next().map(str::to_owned)
    });
    let url = url.expect("a URL is printed");
    let origin = url.splitn(4, '/').take(3).collect::<Vec<_>>().join("/");
    let run = |arguments: &[&str]| ran(bare(&[&["--url", &origin], arguments].concat()).output().expect("runs"));
    assert_eq!(run(&["create", "s"]).code, 0);
    assert_eq!(run(&["write", "s", "kept"]).code, 0);
    assert_eq!(run(&["read", "s"]).out, "kept");
    assert!(data.is_dir());
}

#[test]
fn help_and_mistakes_of_serve_are_the_servers() {
    let help = ran(bare(&["serve", "--help"]).output().expect("runs"));
    assert!(help.code == 0 && help.out.contains("--data-dir"), "{help:?}");
    let refused = ran(bare(&["serve", "--wat"]).output().expect("runs"));
    assert!(refused.code == 2 && refused.err.contains("--wat"), "{refused:?}");
}
