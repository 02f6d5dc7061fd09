//! Each target over its corpus: everything that fuzzing ever found interesting, and every
//! fault it found, again as an ordinary test.

use std::{
    path::Path,
    sync::atomic::{AtomicUsize, Ordering},
};

use durable_streams_fuzz::TARGETS;

/// Panics in any thread, those of a server included: there they end a task and no test.
static PANICS: AtomicUsize = AtomicUsize::new(0);

#[test]
fn every_target_passes_over_its_corpus() {
    let default = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        PANICS.fetch_add(1, Ordering::Relaxed);
        default(info);
    }));
    let mut failures = Vec::new();
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    for (name, target) in TARGETS {
        let folder = corpus.join(name);
        let mut files: Vec<_> = std::fs::read_dir(&folder)
            .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
            .map(|entry| entry.expect("an entry").path())
            .collect();
        files.sort_unstable();
        assert!(files.len() >= 5, "{} has only {} files", folder.display(), files.len());
        for file in files {
            let data = std::fs::read(&file).expect("a file of the corpus");
            let outcome = std::panic::catch_unwind(|| target(&data));
            if outcome.is_err() || PANICS.swap(0, Ordering::Relaxed) > 0 {
                failures.push(file.display().to_string());
            }
        }
        target(&[]);
    }
    assert_eq!(failures, <[String; 0]>::default());
}

#[test]
fn every_target_has_a_program_for_the_fuzzer() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("engine/fuzz_targets");
    let mut programs: Vec<String> = std::fs::read_dir(&folder)
        .expect("the fuzzer's programs")
        .filter_map(|entry| Some(entry.ok()?.path().file_stem()?.to_str()?.to_owned()))
        .collect();
    programs.sort_unstable();
    assert_eq!(programs, TARGETS.iter().map(|(name, _)| *name).collect::<Vec<_>>());
}
