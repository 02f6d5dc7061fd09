//! The client's rules, protocol.md §28, by number and in a few words.

/// Every rule.
pub const RULES: &[(&str, &str)] = &[
    ("C1", "offsets are opaque and resent exactly"),
    ("C2", "start at -1 by default; `now` works"),
    ("C3", "catch up without `live` first, follow the next offset over partial answers"),
    ("C4", "only a closed flag is the end; its data first, no request after"),
    ("C5", "up-to-date, 204 and a dropped connection are not the end"),
    ("C6", "the last cursor is echoed; none is needed"),
    ("C7", "long-poll takes 200 and 204, offset and flags from both"),
    ("C8", "query parameters sorted by key"),
    ("C9", "SSE lines end at CR, LF, CRLF only, however the network cuts them"),
    ("C10", "SSE: at most one leading space goes"),
    ("C11", "SSE: unknown events and fields ignored, many data events per control"),
    ("C12", "SSE: a malformed or empty control event is a parse error"),
    ("C13", "SSE: base64 strictly by header, per event, checked, per connection"),
    ("C14", "SSE: data only with its control event, resume from the last one"),
    ("C15", "SSE: reconnect on end with backoff, not after closure"),
    ("C16", "JSON reads: a truncated or corrupt body is a parse error, nothing advances"),
    ("C17", "JSON writes: each value wrapped, batches as one array"),
    ("C18", "byte writes: batches concatenated without separators"),
    ("C19", "network errors, 429 and 5xx retried with backoff; Retry-After honoured; bounded"),
    ("C20", "other 4xx not retried"),
    ("C21", "plain appends retried on 429 and 5xx"),
    ("C22", "the kinds of 409 told apart by headers"),
    ("C23", "stream-closed errors carry the final offset"),
    ("C24", "producer: three headers on every request, seq from 0, +1 per batch"),
    ("C25", "producer: 200 and 204 are success; duplicates are told"),
    ("C26", "producer: a gap behind outstanding batches waits and resends, others fail"),
    ("C27", "producer: 403 is a stale epoch, or claims the next one"),
    ("C28", "producer: with autoClaim one request until the first success"),
    ("C29", "producer: a failed seq fails all higher ones"),
    ("C30", "producer: close waits, uses the next seq, repeats locally; detach does not close"),
    ("C31", "producer: restart raises the epoch and resets seq"),
    ("C32", "producer: numbers stay within 2^53-1"),
    ("C33", "producer: retries repeat the same tuple and body"),
    ("C34", "create takes every setting; 200 and 201 are success and told apart"),
    ("C35", "head tells everything; a missing stream is an error"),
    ("C36", "close is idempotent without a body, an error with one on a closed stream"),
    ("C37", "custom and dynamic headers and parameters on every request"),
    ("C38", "arguments checked locally, naming the parameter"),
    ("C39", "error messages contain the path"),
    ("C40", "a 304 means unchanged"),
    ("C41", "abort and timeout cancel requests and waits promptly"),
    ("C42", "missing next offset on duplicates, unknown headers and fields tolerated"),
    ("C43", "a long-poll that the client gives up waiting for is no error"),
    ("C44", "stream content is never evaluated"),
    ("C45", "webhook receivers verify signature, key, time window and subscription"),
    ("C46", "workers stop acking when the lease is lost"),
];

/// A rule that no command of an adapter can show.
#[derive(Debug)]
pub struct Elsewhere {
    /// The rule.
    pub rule: &'static str,
    /// Why no case shows it.
    pub why: &'static str,
    /// The file of the tests that show it, from the workspace's folder.
    pub file: &'static str,
    /// Their names.
    pub tests: &'static [&'static str],
}

/// Rules about parties that neither read nor write streams: the adapter protocol has no command
/// for them. The client's own tests break them one by one.
pub const ELSEWHERE: &[Elsewhere] = &[
    Elsewhere {
        rule: "C45",
        why: "a webhook receiver is a server that the adapter protocol does not start. The client checks webhooks for \
              it (`verify_webhook`); `core/tests/subscription.rs` does so with webhooks of the real server",
        file: "core/protocol/src/subscription.rs",
        tests: &[
            "a_genuine_webhook_is_taken_with_the_key_it_names",
            "a_body_with_other_bytes_is_refused_though_it_means_the_same",
            "another_key_than_the_named_one_is_no_help",
            "a_time_outside_the_window_is_refused_on_both_sides",
            "a_genuine_wake_for_somebody_else_is_refused",
        ],
    },
    Elsewhere {
        rule: "C46",
        why: "the adapter protocol has no command for workers. The client is one (`Worker`, `Lease`); \
              `core/tests/subscription.rs` takes the lease away from it on the real server",
        file: "core/protocol/src/subscription.rs",
        tests: &["a_fenced_or_gone_lease_is_lost_and_sends_nothing_more", "a_refused_offset_leaves_the_lease"],
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tests_that_stand_for_cases_exist() {
        let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
        for elsewhere in ELSEWHERE {
            let text = std::fs::read_to_string(format!("{root}/{}", elsewhere.file)).expect(elsewhere.file);
            for test in elsewhere.tests {
                assert!(text.contains(&format!("    #[test]\n    fn {test}(")), "{}: {test}", elsewhere.file);
            }
        }
    }
}
