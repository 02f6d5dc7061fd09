"""Signals that interrupt what blocks the main thread."""

import contextlib
import signal


@contextlib.contextmanager
def interrupted_after(seconds, kind):
    """Raises `kind` out of whatever the main thread does then."""

    def interrupt(_signal, _frame):
        raise kind

    previous = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)
