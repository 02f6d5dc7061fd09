//! What a process has used so far, by its own counters: other load on the machine disturbs
//! them less than the clock.

use std::{
    fs,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

/// Sums over the threads of a process. Linux only; elsewhere not a number.
pub(super) struct Usage {
    cpu_us: f64,
    switches: f64,
}

impl Usage {
    /// Reads the counters of a process.
    pub(super) fn of(pid: u32) -> Self {
        let mut sum = Self { cpu_us: 0.0, switches: 0.0 };
        let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else {
            return Self { cpu_us: f64::NAN, switches: f64::NAN };
        };
        for thread in threads.flatten() {
            // A thread may end meanwhile.
            sum.cpu_us += cpu_ns(&thread.path()).unwrap_or(0.0) / 1000.0;
            sum.switches += switches(&thread.path()).unwrap_or(0.0);
        }
        sum
    }

    /// Waits until a server has done what it does after its answers, such as moving what was appended
    /// from its log to where it stays: whoever is measured next would share the machine with that.
    /// Where there are no counters, it just waits a second.
    pub(super) fn settle(pid: u32) {
        const LOOK_EVERY: Duration = Duration::from_millis(300);
        const IDLE_US: f64 = 3000.0;
        let started = Instant::now();
        // The kernel's part; where there is no such program, the server's part must do.
        let _ = Command::new("sync").status();
        let mut quiet_looks = 0;
        while quiet_looks < 3 && started.elapsed() < Duration::from_secs(30) {
            let before = Self::of(pid);
            std::thread::sleep(LOOK_EVERY);
            let [used, _] = Self::of(pid).since(&before, 1.0);
            // Not a number counts as quiet.
            quiet_looks = if used > IDLE_US { 0 } else { quiet_looks + 1 };
        }
    }

    /// Processor time in microseconds and context switches since then, per operation.
    pub(super) fn since(&self, earlier: &Self, operations: f64) -> [f64; 2] {
        [(self.cpu_us - earlier.cpu_us) / operations, (self.switches - earlier.switches) / operations]
    }
}

fn cpu_ns(thread: &Path) -> Option<f64> {
    fs::read_to_string(thread.join("schedstat")).ok()?.split(' ').next()?.parse().ok()
}

/// Voluntary ones, such as waiting, and those the scheduler forced.
fn switches(thread: &Path) -> Option<f64> {
    let status = fs::read_to_string(thread.join("status")).ok()?;
    let counts = status.lines().filter(|line| line.contains("ctxt_switches:"));
    counts.map(|line| line.split_once(':').and_then(|(_, count)| count.trim().parse::<f64>().ok())).sum()
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::Usage;

    #[test]
    fn work_shows_as_processor_time() {
        let before = Usage::of(std::process::id());
        let mut number = 1_u64;
        while Usage::of(std::process::id()).since(&before, 1.0)[0] < 1000.0 {
            number = std::hint::black_box(number.wrapping_mul(31));
        }
        let [per_operation, _] = Usage::of(std::process::id()).since(&before, 10.0);
        assert!(per_operation >= 100.0, "{per_operation}");
    }
}
