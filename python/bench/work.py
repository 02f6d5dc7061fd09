"""What every side of the benchmark works on, and how a figure is printed."""

import json
import os
import time

MESSAGES = int(os.environ.get("BENCH_MESSAGES", 1_000_000))
MESSAGE_BYTES = 100
READ_BYTES = 256 << 20
# Messages per request wherever a batch is built by hand; the producer's own limit is 1 MiB.
BATCH = 1_000
TAILS = 1_000
LATENCY_SAMPLES = 300


def message(number):
    """The n-th message as a dict; its JSON has `MESSAGE_BYTES` bytes."""
    return {"n": number, "name": "sensor-a", "ok": True, "celsius": 21.5, "text": PADDING[len(str(number)) :]}


# The text makes up for the digits of the number.
PADDING = ""
PADDING = "x" * (MESSAGE_BYTES - len(json.dumps(message(0), separators=(",", ":"))) + 1)


def message_json(number):
    return json.dumps(message(number), separators=(",", ":")).encode()


assert len(message_json(0)) == len(message_json(MESSAGES)) == MESSAGE_BYTES


def json_url(server):
    return f"{server}/v1/stream/bench-json"


def bytes_url(server):
    # As tests/interop's client-bench fills it.
    return f"{server}/v1/stream/read-256-mib"


def new_url(server, name):
    return f"{server}/v1/stream/{name}-{os.getpid()}-{time.time_ns()}"


def resident_kib():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS"))


def median(values):
    return sorted(values)[len(values) // 2]


def rate(count, started):
    return count / (time.perf_counter() - started)


def report(**figures):
    print(json.dumps(figures))
