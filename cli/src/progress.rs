//! A progress bar for long writes: on a terminal only, and only once it has taken a while.

use std::{
    fs,
    io::{self, IsTerminal as _},
    time::Duration,
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Drawn at most this often. Units: times per second.
const DRAWS_PER_SECOND: u8 = 10;

/// A bar that counts bytes of standard input; hidden when nobody would see it.
pub fn of_standard_input() -> ProgressBar {
    // A redirected file has a length, a pipe has none.
    let length = fs::metadata("/dev/stdin").ok().filter(fs::Metadata::is_file).map(|file| file.len());
    bytes(length)
}

/// A bar that counts bytes; hidden when standard error is not a terminal.
pub fn bytes(length: Option<u64>) -> ProgressBar {
    if !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::with_draw_target(length, ProgressDrawTarget::stderr_with_hz(DRAWS_PER_SECOND));
    let template = match length {
        Some(_) => "{prefix}{wide_bar} {bytes}/{total_bytes}  {bytes_per_sec}  {eta}",
        None => "{prefix}{spinner} {bytes}  {bytes_per_sec}  {elapsed}",
    };
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style.progress_chars("=> "));
    }
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}
