//! How threads of the runtime reach an event loop without the interpreter's lock: they put
//! what is done into a queue and write one byte to a socket that the loop watches. However
//! much is done by the time the loop looks, it wakes once.

use std::{
    io::{Read, Write},
    sync::Arc,
};

use parking_lot::Mutex;
use pyo3::prelude::*;

use crate::host::Job;

#[cfg(unix)]
type Stream = std::os::unix::net::UnixStream;
#[cfg(windows)]
type Stream = std::net::TcpStream;

/// The mailbox of one event loop.
#[pyclass(frozen, module = "durable_streams._durable_streams")]
pub(crate) struct Port {
    watched: Stream,
    mailbox: Arc<Mailbox>,
}

/// The side of a port that other threads hold.
pub(crate) struct Mailbox {
    queue: Mutex<Queue>,
    waker: Stream,
}

#[derive(Default)]
struct Queue {
    mail: Vec<Mail>,
    /// A byte is on its way; no need for another.
    is_woken: bool,
}

/// What is to be done on the loop's thread.
pub(crate) enum Mail {
    /// The call with this key has ended.
    Done(u64),
    /// A callback to run.
    Job(Job),
    /// Nobody waits for the callback with this key any more.
    Abandoned(u64),
}

impl Mailbox {
    /// Leaves word and wakes the loop.
    pub(crate) fn post(&self, mail: Mail) {
        let mut queue = self.queue.lock();
        queue.mail.push(mail);
        let was_woken = std::mem::replace(&mut queue.is_woken, true);
        drop(queue);
        if !was_woken {
            // Full means that the loop has a byte to read already; broken, that it is closed.
            let _ = (&self.waker).write(&[1]);
        }
    }
}

impl Port {
    pub(crate) fn mailbox(&self) -> Arc<Mailbox> {
        Arc::clone(&self.mailbox)
    }
}

#[pymethods]
impl Port {
    #[new]
    fn new() -> PyResult<Self> {
        let (watched, waker) = pair()?;
        watched.set_nonblocking(true)?;
        waker.set_nonblocking(true)?;
        Ok(Self { watched, mailbox: Arc::new(Mailbox { queue: Mutex::default(), waker }) })
    }

    /// What the loop watches for reading.
    #[cfg(unix)]
    fn fileno(&self) -> i32 {
        std::os::fd::AsRawFd::as_raw_fd(&self.watched)
    }

    /// What the loop watches for reading.
    #[cfg(windows)]
    fn fileno(&self) -> u64 {
        std::os::windows::io::AsRawSocket::as_raw_socket(&self.watched)
    }

    /// Takes what was left: keys of calls that ended, callbacks to run, callbacks to give up.
    fn drain(&self) -> (Vec<Job>, Vec<u64>, Vec<u64>) {
        let mut sink = [0; 64];
        // Before the queue is taken: what comes later wakes again.
        while matches!((&self.watched).read(&mut sink), Ok(length) if length == sink.len()) {}
        let mail = {
            let mut queue = self.mailbox.queue.lock();
            queue.is_woken = false;
            std::mem::take(&mut queue.mail)
        };
        let (mut jobs, mut abandoned, mut done) = (Vec::new(), Vec::new(), Vec::new());
        for item in mail {
            match item {
                Mail::Done(key) => done.push(key),
                Mail::Job(job) => jobs.push(job),
                Mail::Abandoned(key) => abandoned.push(key),
            }
        }
        (jobs, abandoned, done)
    }
}

#[cfg(unix)]
fn pair() -> std::io::Result<(Stream, Stream)> {
    Stream::pair()
}

#[cfg(windows)]
fn pair() -> std::io::Result<(Stream, Stream)> {
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0))?;
    let waker = Stream::connect(listener.local_addr()?)?;
    loop {
        let (watched, peer) = listener.accept()?;
        // Somebody else may have been faster.
        if peer == waker.local_addr()? {
            waker.set_nodelay(true)?;
            return Ok((watched, waker));
        }
    }
}
