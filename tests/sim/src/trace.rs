//! What happened, line by line, as a hash that two runs of one seed must share.

use std::fmt;

use durable_streams_protocol::Time;

/// Hashes the lines of a run, and prints them if asked.
#[derive(Debug)]
pub(crate) struct Trace {
    hash: u64,
    lines: u64,
    is_printed: bool,
}

impl Trace {
    pub(crate) const fn new(is_printed: bool) -> Self {
        Self { hash: 0xcbf2_9ce4_8422_2325, lines: 0, is_printed }
    }

    pub(crate) fn line(&mut self, now: Time, text: fmt::Arguments<'_>) {
        let line = format!("{:>12} {text}", now.as_micros());
        if self.is_printed {
            eprintln!("{line}");
        }
        self.lines += 1;
        // FNV-1a: the same on every machine.
        for byte in line.bytes().chain([b'\n']) {
            self.hash = (self.hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    pub(crate) const fn hash(&self) -> u64 {
        self.hash
    }

    pub(crate) const fn lines(&self) -> u64 {
        self.lines
    }
}
