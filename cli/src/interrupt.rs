//! What ends a command from outside: signals, at once and also in the middle of a
//! long-poll, and a reader of our output that goes away.

use tokio::{runtime::Runtime, signal};

/// Exit code after an interrupt, as shells count it: 128 + SIGINT.
pub const INTERRUPTED: i32 = 130;
/// Exit code after a request to terminate: 128 + SIGTERM.
#[cfg(unix)]
pub const TERMINATED: i32 = 143;

/// Ends the process as soon as it is interrupted. Progress files are whole at any time, so
/// there is nothing to wait for.
pub fn exit_at_once(runtime: &Runtime) {
    runtime.spawn(async { std::process::exit(interrupted().await) });
}

/// Waits for an interrupt or a request to terminate; gives the exit code.
pub async fn interrupted() -> i32 {
    #[cfg(unix)]
    {
        let terminate = signal::unix::signal(signal::unix::SignalKind::terminate());
        if let Ok(mut terminate) = terminate {
            return tokio::select! {
                _ = signal::ctrl_c() => INTERRUPTED,
                _ = terminate.recv() => TERMINATED,
            };
        }
    }
    let _ = signal::ctrl_c().await;
    INTERRUPTED
}

/// Waits until nobody reads standard output any more. A write would tell, but a live read
/// may have nothing to write for hours: `read --live | head -1` has to end all the same.
/// Never resolves where the system cannot tell.
pub async fn output_gone() {
    #[cfg(target_os = "linux")]
    {
        use tokio::io::{Interest, unix::AsyncFd};
        // A regular file cannot be watched, and never goes away.
        // SAFETY: the descriptor of standard output stays open as long as the process lives.
        let watched = unsafe { AsyncFd::register_with_interest(std::io::stdout(), Interest::ERROR) };
        if let Ok(stdout) = watched
            && stdout.ready(Interest::ERROR).await.is_ok()
        {
            return;
        }
    }
    std::future::pending().await
}
