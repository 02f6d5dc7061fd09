//! 32 seeds without a broken promise, equal traces of equal seeds, and a judge that sees
//! every planted fault.

use durable_streams_sim::{Bug, Promise, run, run_with_bug};

#[test]
fn seeds_keep_every_promise() {
    for seed in 0..32 {
        let report = run(seed);
        assert_eq!(report.violations, [], "seed {seed}; cargo xtask sim --seed {seed} --trace");
    }
}

#[test]
fn runs_are_not_idle() {
    let reports: Vec<_> = (0..32).map(run).collect();
    let acknowledged: usize = reports.iter().map(|report| report.acknowledged).sum();
    let crashes: u64 = reports.iter().map(|report| report.crashes).sum();
    assert!(acknowledged > 1000, "{acknowledged} messages acknowledged");
    assert!(crashes > 50, "{crashes} restarts");
}

#[test]
fn a_seed_is_a_run() {
    for seed in 0..8 {
        assert_eq!(run(seed), run(seed));
    }
}

/// The fault is found within 200 seeds, as a break of this promise.
fn is_found(bug: Bug, promise: Promise) {
    let breaks = |seed| run_with_bug(seed, bug).violations.iter().any(|violation| violation.promise == promise);
    assert!((0..200).any(breaks), "{bug:?} was not seen as a break of {promise:?}");
}

#[test]
fn a_server_without_deduplication_is_found() {
    is_found(Bug::ServerForgetsProducers, Promise::NothingDoubled);
}

#[test]
fn a_server_that_forgets_epochs_is_found() {
    is_found(Bug::ServerForgetsEpochs, Promise::OldEpochsAreFenced);
}

#[test]
fn a_store_that_answers_before_it_is_durable_is_found() {
    is_found(Bug::StoreAnswersEarly, Promise::NothingLost);
}

#[test]
fn a_store_that_drops_a_unit_is_found() {
    is_found(Bug::StoreDropsUnit, Promise::NothingLost);
}

#[test]
fn a_store_that_forgets_closure_is_found() {
    is_found(Bug::StoreForgetsClosure, Promise::ClosureIsFinal);
}

#[test]
fn a_client_that_renumbers_retries_is_found() {
    is_found(Bug::ClientRenumbersRetries, Promise::NothingDoubled);
}

#[test]
fn a_reader_that_skips_is_found() {
    is_found(Bug::ReaderSkips, Promise::ReadsArePrefixes);
}

#[test]
fn a_reader_that_repeats_is_found() {
    is_found(Bug::ReaderRepeats, Promise::ReadsArePrefixes);
}

#[test]
fn a_reader_that_stops_early_is_found() {
    is_found(Bug::ReaderStopsEarly, Promise::EndIsTheEnd);
}

#[test]
fn a_server_that_lets_gaps_through_is_found() {
    is_found(Bug::ServerForgetsGaps, Promise::OrderKept);
}

#[test]
fn a_server_that_forgets_its_offsets_is_found() {
    is_found(Bug::ServerForgetsOffsets, Promise::NoRefusal);
}

#[test]
fn a_store_that_tears_a_unit_is_found() {
    is_found(Bug::StoreTearsUnit, Promise::NothingInvented);
}

#[test]
fn a_client_without_time_limits_is_found() {
    is_found(Bug::ClientWaitsForever, Promise::EverythingSettles);
}
